"""Small layers that several parts of the network share, and how layers compute.

In pieces, in place, in full precision: what saves memory traffic and what needs every bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.parallel_tasks import run_tasks


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each pixel over its channels."""
        channels_last = F.layer_norm(
            x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps
        )
        return channels_last.permute(0, 3, 1, 2)


def in_pieces(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    size: int,
    dim: int = 0,
    as_tasks: bool = False,
) -> Tensor:
    """Apply a function to slices of `size` rows of x along `dim`, and put the results together.

    Intermediate results stay small enough for the processor's cache. It computes no gradients; the
    function maps each row independently, to the same number of rows or fewer.

    Parameters
    ----------
    function : callable
        Maps one slice.
    x : Tensor
    size, dim : int
    as_tasks : bool
        Have each slice computed by one thread alone (see `run_tasks`).
    """
    pieces = x.split(size, dim)
    if len(pieces) == 1:
        return function(x)
    out = _Slices(len(pieces), size, x.shape[dim], dim)

    def compute(index: int) -> None:
        out.put(index, function(pieces[index]))

    if as_tasks:
        run_tasks(compute, range(len(pieces)))
    else:
        for index in range(len(pieces)):
            compute(index)
    return out.whole()


class _Slices:
    """A tensor that several threads write slice by slice; the first slice decides its shape."""

    def __init__(self, count: int, size: int, length: int, dim: int) -> None:
        self._count, self._size, self._length, self._dim = count, size, length, dim
        self._lock = threading.Lock()
        self._out: Tensor | None = None
        self._step = size
        self._last: Tensor | None = None

    def put(self, index: int, part: Tensor) -> None:
        """Write one slice."""
        with self._lock:
            if self._out is None:
                if index == self._count - 1:
                    self._last = part  # shorter than the others, it does not tell the shape
                    return
                shape = list(part.shape)
                self._step = shape[self._dim]
                shape[self._dim] = self._length * self._step // self._size
                self._out = part.new_empty(shape)
            out = self._out
        out.narrow(self._dim, index * self._step, part.shape[self._dim]).copy_(part)

    def whole(self) -> Tensor:
        """Return the tensor, once all slices are there."""
        if self._last is not None:
            self.put(self._count - 1, self._last)
        assert self._out is not None
        return self._out


class MLP(nn.Module):
    """Fully connected layers with an activation between them.

    Parameters
    ----------
    in_features, hidden, out_features : int
        Widths.
    layers : int
        Number of linear layers.
    activation : callable
        Applied after every layer but the last.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        out_features: int,
        layers: int,
        activation: Callable[[Tensor], Tensor] = F.relu,
    ) -> None:
        super().__init__()
        widths = [in_features, *[hidden] * (layers - 1), out_features]
        self.layers = nn.ModuleList(
            nn.Linear(wide_in, wide_out) for wide_in, wide_out in pairwise(widths)
        )
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)  # type: ignore[no-any-return]

    def hidden(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to the input of the last layer."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return x


def computes_in_place(*tensors: Tensor) -> bool:
    """Return whether to take the CPU's float32 path, which works in place and in pieces.

    It saves memory traffic where that is what costs. With gradients nothing may be overwritten;
    GPUs hide the traffic, and have kernels of their own for half precision.
    """
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    for tensor in tensors:  # a generator would be called once per tensor, in every layer
        if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
            return False
    return True


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which no operation is computed in half precision.

    Devices without half precision in torch need no context.
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
