"""The feature pyramid down to stride 2 that the fine mask decoder reads."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.config import InvertedResidualConfig, Sam2Config
from napari_sam2.network.trunks.inverted_trunk import InvertedTrunk

_GROUPS = 8


class ConvBlock(nn.Sequential):
    """3 x 3 convolutions, each with group normalisation (arXiv 1803.08494) and ReLU."""

    def __init__(self, channels: int, depth: int = 1) -> None:
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.GroupNorm(min(_GROUPS, channels // 4), channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class FineEncoder(nn.Module):
    """Trunk and top-down pyramid (arXiv 1612.03144) at strides 2, 4, 8 and 16.

    Parameters
    ----------
    config : Sam2Config
        With an inverted residual trunk and `fine_channels`.
    """

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        assert isinstance(config.trunk, InvertedResidualConfig)
        self.trunk = InvertedTrunk(config.trunk)
        # Coarse to fine: strides 32 and 16 share the width, then 8, 4 and 2.
        widths = (config.width, config.width, *config.fine_channels[:3])
        maps = config.trunk.map_channels[::-1]
        self.laterals = nn.ModuleList(
            nn.Conv2d(channels, width, 1) for channels, width in zip(maps, widths, strict=True)
        )
        self.narrowing = nn.ModuleList(
            nn.Conv2d(above, width, 1) for above, width in pairwise(widths)
        )
        self.blocks = nn.ModuleList(ConvBlock(width) for width in widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (B, 3, S, S) to maps at strides 2, 4, 8 and 16."""
        maps: list[Tensor] = self.trunk(images)[::-1]
        x = self.blocks[0](self.laterals[0](maps[0]))
        out = []
        steps = zip(maps[1:], self.laterals[1:], self.narrowing, self.blocks[1:], strict=True)
        for here, lateral, narrow, block in steps:
            x = block(F.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + lateral(here))
            out.append(x)
        return out[::-1]
