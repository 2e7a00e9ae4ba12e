"""`SliceFiles`: many files of one slice each, as one array that reads them when it is indexed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.stack.lazy_array import LazyArray


class SliceFiles(LazyArray):
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
        super().__init__((*leading, *shape), dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices along each axis, as numpy understands them."""
        parts = self.places(index)
        if parts is None:  # masks, lists: all is read
            return np.asarray(np.asarray(self)[index])
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
