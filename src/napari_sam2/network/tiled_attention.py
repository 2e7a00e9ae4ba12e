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

_QUERIES_PER_TILE = 512


def attend_tiles(q: Tensor, tiles: Tiles) -> Tensor | None:
    """Softmax attention, a tile of scores at a time.

    torch's own kernels want values as wide as the keys, or write out all scores; here neither is
    needed, and a tile of scores stays in the processor's cache. Softmax does not change when a
    constant is taken from all scores of a query. Usually that is their maximum, so that no power
    overflows; here it is the maximum of the first tile, which needs no look at any other before
    its powers are taken. Without gradients.

    Parameters
    ----------
    q : Tensor of float32, shape (L, C)
        Queries, scaled so that the softmax is one to base 2, whose powers torch computes more than
        twice as fast as those of e on CPUs.
    tiles : iterator of (keys, values)
        Float32, shapes (K, C) and (K, D).

    Returns
    -------
    Tensor, shape (L, D), or None
        None where powers overflowed: a score lies more than 100 above those of the first tile.
    """
    state: _State | None = None
    for keys, values in tiles:
        if state is None:
            state = _State(q, values.shape[1])
        state.see(keys, values)
    assert state is not None
    return state.result()


class _State:
    """Weighted sums of values so far, and their weights, per query."""

    def __init__(self, q: Tensor, width: int) -> None:
        length = len(q)
        self._sums = q.new_zeros(length, width)
        self._weights = q.new_zeros(length, 1)
        self._first = True
        self._scores = q.new_empty(0)
        rows = (q, self._sums, self._weights, q.new_empty(length, 1))
        self._parts = list(zip(*(each.split(_QUERIES_PER_TILE) for each in rows), strict=True))

    def see(self, keys: Tensor, values: Tensor) -> None:
        turned = keys.T
        for q, sums, weights, offset in self._parts:
            scores = self._buffer(len(q), len(keys))
            if self._first:
                torch.mm(q, turned, out=scores)
                torch.neg(scores.amax(dim=1, keepdim=True), out=offset)
                scores.add_(offset)
            else:
                torch.addmm(offset, q, turned, out=scores)
            scores.exp2_()
            weights.add_(scores.sum(dim=1, keepdim=True))
            sums.addmm_(scores, values)
        self._first = False

    def _buffer(self, rows: int, columns: int) -> Tensor:
        if self._scores.numel() < rows * columns:
            self._scores = self._sums.new_empty(rows * columns)
        return self._scores[: rows * columns].view(rows, columns)

    def result(self) -> Tensor | None:
        sound = self._weights.isfinite().all() and self._sums.isfinite().all()
        return self._sums.div_(self._weights) if sound else None
