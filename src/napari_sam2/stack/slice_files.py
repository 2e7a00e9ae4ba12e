"""`SliceFiles`: many files of one slice each, as one array that reads them when it is indexed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class SliceFiles:
    """Slices of one shape and dtype as one array-like; only what is indexed is read.

    Parameters
    ----------
    read : callable
        Returns the pixels of a slice by its number.
    leading : tuple of int
        Shape that the slices make, such as (slices,) or (times, slices); () for a single one.
    shape : tuple of int
        Of each slice.
    dtype : dtype
        Of all of them.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    ndim : int
    size : int
        Number of all pixels.
    """

    def __init__(
        self,
        read: Callable[[int], NDArray[Any]],
        leading: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: Any,
    ) -> None:
        self._read = read
        self._leading = leading
        self.shape = (*leading, *shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices along each axis, as numpy understands them."""
        parts: Sequence[Any] = index if isinstance(index, tuple) else (index,)
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            missing = self.ndim - len(parts) + 1
            parts = (*parts[:at], *[slice(None)] * missing, *parts[at + 1 :])
        count = len(self._leading)
        within = tuple(parts[count:])
        numbers = np.arange(int(np.prod(self._leading))).reshape(self._leading)
        wanted = np.asarray(numbers[tuple(parts[:count])])
        if wanted.ndim == 0:
            return self._slice(int(wanted), within)
        read = [self._slice(number, within) for number in wanted.ravel().tolist()]
        if not read:
            return np.empty((*wanted.shape, *self.shape[count:]), self.dtype)
        return np.stack(read).reshape(*wanted.shape, *read[0].shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read everything."""
        return np.asarray(self[...], dtype)

    def _slice(self, number: int, within: tuple[Any, ...]) -> NDArray[Any]:
        pixels = self._read(number)
        expected = self.shape[len(self._leading) :]
        if pixels.shape != expected:
            raise ValueError(f"slice {number} has the shape {pixels.shape}, not {expected}")
        return np.asarray(pixels[within], self.dtype)


def natural_order(paths: Sequence[Path]) -> list[Path]:
    """Sort files by name, numbers in them by their value: slice_2 comes before slice_10."""
    return sorted(paths, key=lambda path: (_natural_key(path.name), path.name))


def _natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    # Digits compare by length and text: the value, however many there are.
    return tuple(
        (0, len(part.lstrip("0")), part.lstrip("0")) if part.isdecimal() else (1, 0, part.lower())
        for part in re.split(r"(\d+)", name)
        if part
    )
