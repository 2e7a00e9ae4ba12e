"""Attention by tiles of keys, for values narrower than the keys."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

Tiles = Iterator[tuple[Tensor, Tensor]]
"""Keys (K, C) and values (K, D) of one tile after another."""

LOG2_E = math.log2(math.e)
"""What turns scores to base e into scores to base 2."""

_QUERIES_PER_TILE = 1024
_NEVER_SEEN = -torch.finfo(torch.float32).max


def attend_tiles(q: Tensor, tiles: Tiles) -> Tensor:
    """Softmax attention with running maxima (arXiv 1805.02867), a tile of scores at a time.

    torch's own kernels want values as wide as the keys, or write out all scores; here neither is
    needed, and a tile of scores stays in the processor's cache. Without gradients.

    Parameters
    ----------
    q : Tensor of float32, shape (L, C)
        Queries, scaled so that the softmax is one to base 2, whose powers torch computes more than
        twice as fast as those of e on CPUs.
    tiles : iterator of (keys, values)
        Float32, shapes (K, C) and (K, D).

    Returns
    -------
    Tensor, shape (L, D)
    """
    state: _State | None = None
    for keys, values in tiles:
        if state is None:
            state = _State(q, values.shape[1])
        state.see(keys, values)
    assert state is not None
    return state.result()


class _State:
    """Weighted sums of values so far, their weights, and the largest score, per query."""

    def __init__(self, q: Tensor, width: int) -> None:
        length = len(q)
        size = min(length, _QUERIES_PER_TILE)
        self._parts = [slice(start, start + size) for start in range(0, length, size)]
        self._q = q
        self._sums = q.new_zeros(length, width)
        self._weights = q.new_zeros(length, 1)
        self._largest = q.new_full((length, 1), _NEVER_SEEN)
        self._scores = q.new_empty(0)

    def see(self, keys: Tensor, values: Tensor) -> None:
        for part in self._parts:
            q, largest = self._q[part], self._largest[part]
            scores = torch.mm(q, keys.T, out=self._buffer(len(q), len(keys)))
            peak = torch.maximum(scores.amax(dim=1, keepdim=True), largest)
            shrink = (largest - peak).exp2_()
            largest.copy_(peak)
            scores.sub_(peak).exp2_()
            self._weights[part].mul_(shrink).add_(scores.sum(dim=1, keepdim=True))
            self._sums[part].mul_(shrink).addmm_(scores, values)

    def _buffer(self, rows: int, columns: int) -> Tensor:
        if self._scores.numel() < rows * columns:
            self._scores = self._q.new_empty(rows * columns)
        return self._scores[: rows * columns].view(rows, columns)

    def result(self) -> Tensor:
        return self._sums.div_(self._weights)
