"""A residual convolutional trunk: fewer parameters and quicker to train than Hiera when small."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.config import ConvTrunkConfig


def _conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and a residual (arXiv 1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels)
        self.conv2 = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape of (B, C, H, W)."""
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class ConvTrunk(nn.Module):
    """Four stages of residual blocks at strides 4, 8, 16 and 32."""

    def __init__(self, config: ConvTrunkConfig) -> None:
        super().__init__()
        first = config.channels[0]
        self.stem = nn.Sequential(
            _conv(3, first, stride=2), nn.ReLU(), _conv(first, first, stride=2)
        )
        self.stages = nn.ModuleList()
        previous = first
        for level, (channels, depth) in enumerate(zip(config.channels, config.depths, strict=True)):
            blocks: list[nn.Module] = [ResidualBlock(channels) for _ in range(depth)]
            if level:
                blocks = [_conv(previous, channels, stride=2), nn.ReLU(), *blocks]
            self.stages.append(nn.Sequential(*blocks))
            previous = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (B, 3, S, S) to one (B, C, H, W) map per stage, finest first."""
        x = F.relu(self.stem(images))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
