"""Small layers that several parts of the network share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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


def in_pieces(function: Callable[[Tensor], Tensor], x: Tensor, size: int, dim: int = 0) -> Tensor:
    """Apply a function to slices of `size` rows of x along `dim`, and put the results together.

    What it needs in between stays small and in the processor's cache. Without gradients; the
    function maps every row for itself, to the same number of rows or fewer.
    """
    pieces = x.split(size, dim)
    if len(pieces) == 1:
        return function(x)
    first = function(pieces[0])
    shape = list(first.shape)
    shape[dim] = x.shape[dim] * first.shape[dim] // pieces[0].shape[dim]
    out = first.new_empty(shape)
    start = 0
    for piece in pieces:
        done = function(piece) if start else first
        out.narrow(dim, start, done.shape[dim]).copy_(done)
        start += done.shape[dim]
    return out


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
        return self.layers[-1](self.hidden(x))  # type: ignore[no-any-return]

    def hidden(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to what the last layer sees."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return x
