"""`ArrayView`: an array with its axes in another order, of which nothing is read before it is used.

May be used from any thread that may read the array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.stack.lazy_array import LazyArray


class ArrayView(LazyArray):
    """An array with its axes in another order, and some of them held at one position.

    Parameters
    ----------
    array : array-like
        Anything that takes whole numbers and slices as index: numpy, dask, zarr, an image file.
    order : sequence of int or None
        Axes of the array in the order of this view; None stands for a new axis of length 1.
    held : mapping of int to int
        Position along each other axis of the array.
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
        super().__init__([1 if axis is None else sizes[axis] for axis in order], array.dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices along each axis; memory of the array where it has any."""
        places = self.places(index)
        if places is None:  # masks, lists: all is read
            return np.asarray(np.asarray(self)[index])
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
