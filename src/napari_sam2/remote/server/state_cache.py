"""`StateCache`: what a server keeps of sessions to be faster, by handle, in bounded memory.

The device turn guards it: one thread at a time.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from torch import Tensor

from napari_sam2.tracking.decoding.prediction import ObjectPrediction
from napari_sam2.tracking.memory.memory_bank import FrameMemory

_Value = TypeVar("_Value")


def new_handle() -> int:
    """Return a number that nobody can guess, above 0."""
    return secrets.randbits(62) + 1


class StateCache(Generic[_Value]):
    """Keeps values up to a number of bytes; the one unused for longest goes first.

    Parameters
    ----------
    most_bytes : int
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[Hashable, tuple[_Value, int]] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, key: Hashable, value: _Value, nbytes: int) -> None:
        """Store a value."""
        if key in self._kept:
            self.nbytes -= self._kept.pop(key)[1]
        self._kept[key] = value, nbytes
        self.nbytes += nbytes
        while self.nbytes > self._most and len(self._kept) > 1:
            _, (_, size) = self._kept.popitem(last=False)
            self.nbytes -= size

    def get(self, key: Hashable) -> _Value | None:
        """Return a value, or None."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]


class SessionStates(Generic[_Value]):
    """The values of one kind and one session, in a cache that all sessions share.

    Parameters
    ----------
    cache : StateCache
    nbytes : callable
        Tells how large a value is.
    """

    def __init__(self, cache: StateCache[Any], nbytes: Callable[[_Value], int]) -> None:
        self._cache = cache
        self._nbytes = nbytes
        self._name = secrets.token_bytes(16)

    def put(self, key: Hashable, value: _Value) -> None:
        """Store a value."""
        self._cache.put((self._name, key), value, self._nbytes(value))

    def get(self, key: Hashable) -> _Value | None:
        """Return a value, or None."""
        found: _Value | None = self._cache.get((self._name, key))
        return found


def prediction_bytes(prediction: ObjectPrediction) -> int:
    """Return the bytes of a prediction's tensors."""
    return _nbytes(prediction.logits) + _nbytes(prediction.pointer)


def memory_bytes(memory: FrameMemory) -> int:
    """Return the bytes of a memory's tensors."""
    mask = None if memory.mask is None else memory.mask.logits
    return _nbytes(memory.tokens) + _nbytes(memory.pointer) + _nbytes(mask)


def _nbytes(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.numel() * tensor.element_size()
