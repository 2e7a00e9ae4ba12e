"""Attention computed in tiles of keys, for values with fewer channels than the keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from napari_sam2.network.parallel_tasks import run_tasks, tasks_wanted

Spans = Iterator[tuple[Tensor, Tensor]]
"""Keys (K, C) and values (K, D) of one span of tokens after another."""

LOG2_E = math.log2(math.e)
"""What turns scores to base e into scores to base 2."""

_MODEST = 27.0  # a power of 2 that leaves a hundred more before overflow
_QUERIES, _KEYS = 1024, 512  # of a tile: so many scores stay in the caches next to a core
_FEWEST = 128  # queries of a tile; products of fewer are slow


def attend_spans(q: Tensor, spans: Spans) -> Tensor | None:
    """Softmax attention, a tile of scores at a time.

    torch's own kernels want values as wide as the keys, or write out all scores; here neither is
    needed, and a tile of scores stays in the processor's cache. Softmax does not change when a
    constant is taken from all scores of a query. Usually that is their maximum, so that no power
    overflows; here it is the maximum of the first tile, which needs no look at any other before
    its powers are taken. Where that is a modest number nothing is taken from the scores at all,
    which spares a pass over each tile. Without gradients.

    Parameters
    ----------
    q : Tensor of float32, shape (L, C)
        Queries, scaled so that the softmax is one to base 2, whose powers torch computes more than
        twice as fast as those of e on CPUs.
    spans : iterator of (keys, values)
        Float32, shapes (K, C) and (K, D); of any length, in tiles they are cut here.

    Returns
    -------
    Tensor, shape (L, D), or None
        None where powers overflowed: a score lies more than 100 above those of the first tile.
    """
    tiles: list[list[_Part]] = []
    parts: list[_Part] = []
    for keys, values in spans:
        if not tiles:
            rows = _rows_of_a_part(len(q))
            tiles = [
                [_Part(some, values.shape[1]) for some in tile.split(rows)]
                for tile in q.split(_QUERIES)
            ]
            parts = list(chain(*tiles))
            run_tasks(partial(_Part.open, keys=keys[:_KEYS]), parts)
            for tile in tiles:
                _take_off_the_highest(tile)
        run_tasks(partial(_Part.see, keys=keys, values=values), parts)
    if not all(part.is_sound() for part in parts):
        return None
    return torch.cat([part.result() for part in parts])


def _rows_of_a_part(queries: int) -> int:
    """Divide the queries of a tile where there would not be enough parts for all threads."""
    rows = _QUERIES
    while queries >= _QUERIES and rows > _FEWEST and queries < rows * tasks_wanted():
        rows //= 2
    return rows


def _take_off_the_highest(parts: Sequence[_Part]) -> None:
    """Subtract the highest scores from all scores if one of the tile's scores is high."""
    if max(float(part.highest.abs().amax()) for part in parts) > _MODEST:
        for part in parts:
            part.offset = -part.highest


class _Part:
    """Partial sums of some queries: weighted sums of values, and sums of weights."""

    def __init__(self, q: Tensor, width: int) -> None:
        self._q = q
        self._sums = q.new_zeros(len(q), width)
        self._weights = q.new_zeros(len(q), 1)
        self._first: Tensor | None = None  # scores that nobody has looked at since `open`
        self.highest = self._weights
        self.offset: Tensor | None = None

    def open(self, keys: Tensor) -> None:
        """Look at the scores of the first keys, which `see` has to begin with."""
        self._first = torch.mm(self._q, keys.T)
        self.highest = self._first.amax(dim=1, keepdim=True)

    def see(self, keys: Tensor, values: Tensor) -> None:
        buffer = self._q.new_empty(len(self._q) * _KEYS)
        for some, theirs in zip(keys.split(_KEYS), values.split(_KEYS), strict=True):
            scores = self._scores(some, buffer).exp2_()
            self._weights.add_(scores.sum(dim=1, keepdim=True))
            self._sums.addmm_(scores, theirs)

    def _scores(self, keys: Tensor, buffer: Tensor) -> Tensor:
        if self._first is not None:
            scores, self._first = self._first, None
            return scores if self.offset is None else scores.add_(self.offset)
        scores = buffer[: len(self._q) * len(keys)].view(len(self._q), len(keys))
        if self.offset is not None:
            return torch.addmm(self.offset, self._q, keys.T, out=scores)
        return torch.mm(self._q, keys.T, out=scores)

    def is_sound(self) -> bool:
        return bool(self._weights.isfinite().all() and self._sums.isfinite().all())

    def result(self) -> Tensor:
        return self._sums.div_(self._weights)
