"""`LazyView`: a part of an array that is read when it is converted to numpy.

May be used from any thread that may read the array.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from napari_sam2.stack.lazy_array import LazyArray


class LazyView(LazyArray):
    """An array of which an index is another view, and `numpy.asarray` reads.

    napari indexes resolutions of a pyramid twice, rows and columns before the sliders: an array
    that reads when it is indexed would read all that the sliders can show.

    Parameters
    ----------
    array : array-like
        Anything that takes whole numbers and slices as index.
    chosen : tuple of int or range, optional
        Positions along each axis of the array; all by default.
    """

    def __init__(self, array: Any, chosen: tuple[int | range, ...] | None = None) -> None:
        if chosen is None:
            chosen = tuple(range(int(size)) for size in array.shape)
        super().__init__([len(each) for each in chosen if isinstance(each, range)], array.dtype)
        self._array, self._chosen = array, chosen

    def __getitem__(self, index: Any) -> Any:
        """Return a view for integers and slices along each axis; a single element is read."""
        places = self.places(index)
        if places is None:  # masks, lists: all is read
            return np.asarray(self)[index]
        parts = iter(places)
        view = LazyView(
            self._array,
            tuple(
                _chosen(each, next(parts)) if isinstance(each, range) else each
                for each in self._chosen
            ),
        )
        return view if view.ndim else np.asarray(view)[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """Read what is viewed, and nothing else."""
        if not self.size:
            return np.empty(self.shape, dtype or self.dtype)
        # zarr knows no negative steps.
        forward = tuple(
            each[::-1] if isinstance(each, range) and each.step < 0 else each
            for each in self._chosen
        )
        where = tuple(
            slice(each.start, each.stop, each.step) if isinstance(each, range) else each
            for each in forward
        )
        turns = tuple(
            slice(None, None, -1 if each.step < 0 else 1)
            for each in self._chosen
            if isinstance(each, range)
        )
        return np.asarray(np.asarray(self._array[where])[turns], dtype)


def _chosen(positions: range, part: Any) -> int | range:
    """Return what an integer or a slice leaves of some positions."""
    return positions[part] if isinstance(part, slice) else positions[operator.index(part)]
