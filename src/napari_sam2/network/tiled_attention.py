"""Attention by tiles of keys, for values narrower than the keys."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

Spans = Iterator[tuple[Tensor, Tensor]]
"""Keys (K, C) and values (K, D) of one span of tokens after another."""

LOG2_E = math.log2(math.e)
"""What turns scores to base e into scores to base 2."""

_MODEST = 27.0  # a power of 2 that leaves a hundred more before overflow
_QUERIES, _KEYS = 1024, 512  # of a tile: so many scores stay in the caches next to a core


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
    parts: list[_Part] = []
    buffer = q.new_empty(_QUERIES * _KEYS)
    for keys, values in spans:
        parts = parts or [_Part(some, values.shape[1]) for some in q.split(_QUERIES)]
        for part in parts:
            part.see(keys, values, buffer)
    if not all(part.is_sound() for part in parts):
        return None
    return torch.cat([part.result() for part in parts])


class _Part:
    """Some queries: the weighted sums of the values that they have seen, and the weights."""

    def __init__(self, q: Tensor, width: int) -> None:
        self._q = q
        self._sums = q.new_zeros(len(q), width)
        self._weights = q.new_zeros(len(q), 1)
        self._offset: Tensor | None = None  # None: not known yet, or not needed
        self._is_new = True

    def see(self, keys: Tensor, values: Tensor, buffer: Tensor) -> None:
        for some, theirs in zip(keys.split(_KEYS), values.split(_KEYS), strict=True):
            scores = self._scores(some, buffer).exp2_()
            self._weights.add_(scores.sum(dim=1, keepdim=True))
            self._sums.addmm_(scores, theirs)

    def _scores(self, keys: Tensor, buffer: Tensor) -> Tensor:
        scores = buffer[: len(self._q) * len(keys)].view(len(self._q), len(keys))
        if self._offset is not None:
            return torch.addmm(self._offset, self._q, keys.T, out=scores)
        torch.mm(self._q, keys.T, out=scores)
        if self._is_new:
            self._is_new = False
            highest = scores.amax(dim=1, keepdim=True)
            if highest.abs().amax() > _MODEST:
                self._offset = -highest
                scores.add_(self._offset)
        return scores

    def is_sound(self) -> bool:
        return bool(self._weights.isfinite().all() and self._sums.isfinite().all())

    def result(self) -> Tensor:
        return self._sums.div_(self._weights)
