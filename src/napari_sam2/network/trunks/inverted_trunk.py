"""A trunk of inverted residuals in the shape of EfficientNet-Lite0, small enough for laptops."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.config import InvertedResidualConfig
from napari_sam2.network.layers import computes_in_place, full_precision
from napari_sam2.network.trunks.normalised_conv import NormalisedConv

_EPS = 1e-3  # of batch normalisation, as the ImageNet weights were trained


class InvertedResidual(nn.Module):
    """Widen, convolve each channel for itself, narrow (MobileNetV2, arXiv 1801.04381)."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        inner = channels_in * expansion
        if expansion > 1:
            self.expand = NormalisedConv(channels_in, inner, kernel=1, eps=_EPS)
        self.depthwise = NormalisedConv(inner, inner, stride, kernel, groups=inner, eps=_EPS)
        self.project = NormalisedConv(inner, channels_out, kernel=1, eps=_EPS)
        self.widens = expansion > 1
        self.adds = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        inner = F.relu6(self.expand(x), inplace=True) if self.widens else x
        y: Tensor = self.project(F.relu6(self.depthwise(inner), inplace=True))
        return x + y if self.adds else y


class InvertedTrunk(nn.Module):
    """A stem and stages of inverted residuals; maps at strides 2, 4, 8, 16 and 32."""

    def __init__(self, config: InvertedResidualConfig) -> None:
        super().__init__()
        self.stem = NormalisedConv(3, config.stem, stride=2, eps=_EPS)
        self.stages = nn.ModuleList()
        self._last = config.last_stages
        previous = config.stem
        for index, channels in enumerate(config.channels):
            expansion = config.expansion if index else 1
            blocks = [
                InvertedResidual(
                    channels if block else previous,
                    channels,
                    config.kernels[index],
                    1 if block else config.strides[index],
                    expansion,
                )
                for block in range(config.depths[index])
            ]
            self.stages.append(nn.Sequential(*blocks))
            previous = channels

    @property
    def first(self) -> nn.Module:
        """The layer that reads the pixels; never in half precision."""
        return self.stem

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (B, 3, S, S) to one (B, C, H, W) map per stride, finest first."""
        if computes_in_place(images):
            images = images.contiguous(memory_format=torch.channels_last)
        with full_precision(images.device):
            x = F.relu6(self.stem(images), inplace=True)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self._last:
                maps.append(x)
        return maps
