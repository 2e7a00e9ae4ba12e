"""The memory encoder: makes a memory of the features of a frame and its mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.layers import LayerNorm2d, computes_in_place, in_pieces

_STAGES = 4  # 2 x 2 each: masks come down from stride 1 to stride 16
_ROWS = 512  # of the feed-forward parts at a time, so that they stay in caches


class MaskDownsampler(nn.Module):
    """Strided convolutions from (N, 1, S, S) to (N, C, S / 16, S / 16)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for _ in range(_STAGES):
            layers += [
                nn.Conv2d(channels, 4 * channels, kernel_size=3, stride=2, padding=1),
                LayerNorm2d(4 * channels),
                nn.GELU(),
            ]
            channels *= 4
        self.encoder = nn.Sequential(*layers, nn.Conv2d(channels, width, kernel_size=1))

    def forward(self, masks: Tensor) -> Tensor:
        """Downsample."""
        return self.encoder(masks)  # type: ignore[no-any-return]


class ConvNextBlock(nn.Module):
    """Depthwise 7 x 7 convolution and pointwise MLP with layer scale (arXiv 2201.03545)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, kernel_size=7, padding=3, groups=channels)
        self.norm = LayerNorm2d(channels)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Transform (N, C, h, w); the shape stays."""
        y = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        if computes_in_place(x, self.gamma):
            y = in_pieces(self._feed_forward, y.flatten(0, 2), _ROWS, as_tasks=True).view_as(y)
        else:
            y = self._feed_forward(y)
        return x + y.permute(0, 3, 1, 2)

    def _feed_forward(self, y: Tensor) -> Tensor:
        return self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))  # type: ignore[no-any-return]


class Fuser(nn.Module):
    """A row of ConvNeXt blocks."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvNextBlock(channels) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Transform (N, C, h, w); the shape stays."""
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """Fuse features and mask, then narrow them to the memory's width."""

    def __init__(self, width: int, memory_width: int, fuser_layers: int) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler(width)
        self.pix_feat_proj = nn.Conv2d(width, width, kernel_size=1)
        self.fuser = Fuser(width, fuser_layers)
        self.out_proj = nn.Conv2d(width, memory_width, kernel_size=1)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Encode features (N or 1, C, h, w) with scaled mask probabilities (N, 1, S, S)."""
        fused = self.pix_feat_proj(features) + self.mask_downsampler(masks)
        return self.out_proj(self.fuser(fused))  # type: ignore[no-any-return]
