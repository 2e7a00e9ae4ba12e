"""A convolution with batch normalisation, which is folded into one convolution for inference."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter, is_
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.layers import computes_in_place


class NormalisedConv(nn.Sequential):
    """A convolution without bias and batch normalisation, fused into one when not training.

    Parameters
    ----------
    channels_in, channels_out : int
    stride : int
    kernel : int
        Side of the kernel, odd; the input is padded by half of it.
    groups : int
        Groups of channels that are convolved apart; `channels_in` for a depthwise convolution.
    eps : float
        Of the normalisation.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int = 1,
        kernel: int = 3,
        groups: int = 1,
        eps: float = 1e-5,
    ) -> None:
        conv = nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        )
        super().__init__(conv, nn.BatchNorm2d(channels_out, eps=eps))
        self._folded: _Folded | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        conv, norm = self
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        if norm.training or not computes_in_place(x, conv.weight):
            return norm(conv(x))  # type: ignore[no-any-return]
        sources = conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var
        folded = self._folded
        if (
            folded is None
            or not all(map(is_, sources, folded.sources))
            or list(map(_version, folded.versioned)) != folded.versions
        ):
            folded = self._folded = _Folded(conv, norm)
        return F.conv2d(
            x, folded.weight, folded.bias, conv.stride, conv.padding, groups=conv.groups
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._folded = None  # weights that change their type or place do not change their version
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]


_version = attrgetter("_version")


class _Folded:
    """Batch normalisation multiplied into the convolution before it, channels last.

    Attributes
    ----------
    sources : tuple of Tensor
        What was folded.
    versioned : list of Tensor
        Those of them that count their changes. Tensors made in inference mode have no version and
        cannot change outside of it.
    versions : list of int
        Of `versioned`, when they were folded.
    """

    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.sources = conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var
        weight, gain, offset, mean, variance = self.sources
        scale = gain * (variance + norm.eps).rsqrt()
        scaled = weight * scale[:, None, None, None]
        self.weight = scaled.contiguous(memory_format=torch.channels_last)
        self.bias = offset - mean * scale
        self.versioned = [source for source in self.sources if not source.is_inference()]
        self.versions = list(map(_version, self.versioned))

    def __deepcopy__(self, _memo: dict[int, object]) -> None:
        """Copy to nothing: a copied layer folds its own weights."""
