"""A residual convolutional trunk: fewer parameters and quicker to train than Hiera when small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.config import ConvTrunkConfig
from napari_sam2.network.inference import computes_in_place, full_precision


class NormalisedConv(nn.Sequential):
    """A 3 x 3 convolution with batch normalisation; one convolution while nothing learns."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        conv = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(channels_out))
        self._folded: _Folded | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        conv, norm = self
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        if norm.training or not computes_in_place(x, conv.weight):
            return norm(conv(x))  # type: ignore[no-any-return]
        if self._folded is None or not self._folded.is_of(conv, norm):
            self._folded = _Folded(conv, norm)
        return F.conv2d(x, self._folded.weight, self._folded.bias, conv.stride, conv.padding)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._folded = None  # weights that change their type or place do not change their version
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]


class _Folded:
    """Batch normalisation multiplied into the convolution before it, channels last."""

    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        self._sources = _sources(conv, norm)
        weight, gain, offset, mean, variance = self._sources
        scale = gain * (variance + norm.eps).rsqrt()
        scaled = weight * scale[:, None, None, None]
        self.weight = scaled.contiguous(memory_format=torch.channels_last)
        self.bias = offset - mean * scale
        self._versions = _versions(self._sources)

    def is_of(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
        """Tell whether the layers still hold the values that were folded."""
        sources = _sources(conv, norm)
        same = all(now is then for now, then in zip(sources, self._sources, strict=True))
        return same and _versions(sources) == self._versions


def _sources(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, ...]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var


def _versions(tensors: tuple[Tensor, ...]) -> list[int]:
    # Tensors made in inference mode have no version and cannot change outside of it.
    return [0 if tensor.is_inference() else tensor._version for tensor in tensors]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and a residual (arXiv 1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = NormalisedConv(channels, channels)
        self.conv2 = NormalisedConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape of (B, C, H, W)."""
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
        """What sees the pixels; never in half precision."""
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
