"""A residual convolutional trunk, which trains faster than a small Hiera with fewer parameters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.config import ConvTrunkConfig
from napari_sam2.network.layers import computes_in_place, full_precision
from napari_sam2.network.trunks.normalised_conv import NormalisedConv


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and a residual (arXiv 1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = NormalisedConv(channels, channels)
        self.conv2 = NormalisedConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Transform (B, C, H, W); the shape stays."""
        y: Tensor = self.conv2(F.relu(self.conv1(x), inplace=True))
        return F.relu(y.add_(x), inplace=True)


class ConvTrunk(nn.Module):
    """Four stages of residual blocks at strides 4, 8, 16 and 32."""

    def __init__(self, config: ConvTrunkConfig) -> None:
        super().__init__()
        first = config.channels[0]
        self.stem = nn.Sequential(
            NormalisedConv(3, first, stride=2),
            nn.ReLU(inplace=True),
            NormalisedConv(first, first, stride=2),
        )
        self.stages = nn.ModuleList()
        previous = first
        for level, (channels, depth) in enumerate(zip(config.channels, config.depths, strict=True)):
            blocks: list[nn.Module] = [ResidualBlock(channels) for _ in range(depth)]
            if level:
                blocks = [
                    NormalisedConv(previous, channels, stride=2),
                    nn.ReLU(inplace=True),
                    *blocks,
                ]
            self.stages.append(nn.Sequential(*blocks))
            previous = channels

    @property
    def first(self) -> nn.Module:
        """The layer that reads the pixels; never in half precision."""
        return self.stem[0]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (B, 3, S, S) to one (B, C, H, W) map per stage, finest first."""
        if computes_in_place(images):
            images = images.contiguous(memory_format=torch.channels_last)
        with full_precision(images.device):
            x = self.first(images)
        x = F.relu(self.stem[1:](x), inplace=True)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
