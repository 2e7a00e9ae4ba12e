"""The image encoder: a trunk and a feature pyramid with maps at strides 4, 8 and 16.

Its input is normalised as all networks were trained with: by mean and deviation of ImageNet.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.config import ConvTrunkConfig, HieraConfig, Sam2Config, TrunkConfig
from napari_sam2.network.trunks.conv_trunk import ConvTrunk
from napari_sam2.network.trunks.hiera import Hiera

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor) -> Tensor:
    """Normalise images (B, 1 or 3, h, w) with values in 0..1 to (B, 3, h, w); grey is repeated."""
    mean, std = _statistics(images.device)
    return (images.expand(-1, 3, -1, -1) - mean) / std


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation; once, since a GPU would be waited for each time."""
    mean, std = (torch.tensor(each, device=device).view(1, 3, 1, 1) for each in (_MEAN, _STD))
    return mean, std


class Lateral(nn.Module):
    """A 1 x 1 convolution from a trunk stage to the pyramid's width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel_size=1)


class FpnNeck(nn.Module):
    """Feature pyramid (arXiv 1612.03144); `convs` run from the coarsest stage to the finest."""

    def __init__(self, channels: tuple[int, ...], width: int, top_down: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Lateral(c, width) for c in reversed(channels))
        self.top_down = top_down

    def forward(self, maps: list[Tensor], heads: dict[int, nn.Conv2d]) -> list[Tensor]:
        """Return one map per level, finest first; levels in `heads` pass through their 1 x 1 head.

        A level that receives nothing from above and has a head never exists at the pyramid's
        width: the two 1 x 1 convolutions in a row are one, with the product of their weights.
        """
        out: list[Tensor] = []
        above: Tensor | None = None
        for level in range(len(maps) - 1, -1, -1):
            lateral = self._lateral(len(maps) - 1 - level)
            head = heads.get(level)
            merges = level in self.top_down and above is not None
            feeds = level - 1 in self.top_down and level > 0
            if head is not None and not merges and not feeds:
                out.append(_fused(maps[level], lateral, head))
                above = None
                continue
            here = lateral(maps[level])
            if merges and above is not None:
                here = here + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = here
            out.append(here if head is None else head(here))
        return out[::-1]

    def _lateral(self, index: int) -> nn.Conv2d:
        module = self.convs[index]
        assert isinstance(module, Lateral)
        return module.conv


def _fused(x: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> Tensor:
    outer = second.weight.flatten(1)
    weight = outer @ first.weight.flatten(1)
    assert first.bias is not None
    assert second.bias is not None
    bias = outer @ first.bias + second.bias
    return F.conv2d(x, weight[:, :, None, None], bias)


class ImageEncoder(nn.Module):
    """Trunk and neck."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.trunk = _trunk(config.trunk)
        self.neck = FpnNeck(config.trunk.channels, config.width, config.top_down_levels)

    def forward(self, images: Tensor, heads: dict[int, nn.Conv2d]) -> list[Tensor]:
        """Map (B, 3, S, S) to maps at strides 4, 8 and 16; the coarsest only feeds the others."""
        maps: list[Tensor] = self.neck(self.trunk(images), heads)
        return maps[:-1]


def _trunk(config: TrunkConfig) -> Hiera | ConvTrunk:
    if isinstance(config, HieraConfig):
        return Hiera(config)
    if isinstance(config, ConvTrunkConfig):
        return ConvTrunk(config)
    raise TypeError("an inverted residual trunk needs fine_channels")
