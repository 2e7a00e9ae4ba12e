"""`ArrayView`: an array with its axes in another order, of which nothing is read before it is used.

May be used from any thread that may read the array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ArrayView:
    """An array with its axes in another order, and some of them held at one position.

    Parameters
    ----------
    array : array-like
        Anything that takes whole numbers and slices as index: numpy, dask, zarr, an image file.
    order : sequence of int or None
        Axes of the array in the order of this view; None stands for a new axis of length 1.
    held : mapping of int to int
        Position along each other axis of the array.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    ndim : int
    size : int
        Number of its elements.
    """

    def __init__(
        self,
        array: Any,
        order: Sequence[int | None],
        held: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        sizes = tuple(map(int, array.shape))
        if sorted([*(axis for axis in order if axis is not None), *held]) != [*range(len(sizes))]:
            raise ValueError(f"{order} and {held} are not the axes of an array of {len(sizes)}.")
        self._array, self._order, self._held = array, tuple(order), dict(held)
        self.shape = tuple(1 if axis is None else sizes[axis] for axis in order)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices along each axis; memory of the array where it has any."""
        given = index if isinstance(index, tuple) else (index,)
        at = next((i for i, part in enumerate(given) if part is Ellipsis), len(given))
        given, behind = given[:at], given[at + 1 :]
        places = (*given, *(slice(None),) * (self.ndim - len(given) - len(behind)), *behind)
        where: list[Any] = [slice(None)] * len(self._array.shape)
        for held, position in self._held.items():
            where[held] = position
        read: list[int] = []  # axes that the index leaves, in the order of this view
        new: list[tuple[int, slice]] = []  # places of new axes among them
        for axis, place in zip(self._order, places, strict=True):
            if axis is not None:
                where[axis] = place
                if isinstance(place, slice):
                    read.append(axis)
            elif isinstance(place, slice):
                new.append((len(read) + len(new), place))
            elif place not in (0, -1):
                raise IndexError(f"There is no position {place} along an axis of length 1.")
        pixels = np.asarray(self._array[tuple(where)])
        pixels = pixels.transpose([sorted(read).index(axis) for axis in read])
        for at, part in new:
            pixels = np.expand_dims(pixels, at)[(slice(None),) * at + (part,)]
        return pixels

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read everything."""
        return np.array(self[...], dtype, copy=copy)
