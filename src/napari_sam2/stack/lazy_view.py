"""`LazyView`: a part of an array that is read when it is converted to numpy.

May be used from any thread that may read the array.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np


class LazyView:
    """An array of which an index is another view, and `numpy.asarray` reads.

    napari indexes resolutions of a pyramid twice, rows and columns before the sliders: an array
    that reads when it is indexed would read all that the sliders can show.

    Parameters
    ----------
    array : array-like
        Anything that takes whole numbers and slices as index.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    ndim : int
    size : int
        Number of its elements.
    """

    def __init__(self, array: Any) -> None:
        self._choose(array, tuple(range(int(size)) for size in array.shape))

    def _choose(self, array: Any, chosen: tuple[int | range, ...]) -> None:
        self._array, self._chosen = array, chosen
        self.shape = tuple(len(each) for each in chosen if isinstance(each, range))
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        """Return a view for integers and slices along each axis; a single element is read."""
        parts = index if isinstance(index, tuple) else (index,)
        at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
        ahead, behind = parts[:at], parts[at + 1 :]
        missing = self.ndim - len(ahead) - len(behind)
        if missing < 0 or not all(
            isinstance(p, slice | int | np.integer) for p in (*ahead, *behind)
        ):
            return np.asarray(self)[index]  # masks, lists: all is read
        places = iter((*ahead, *(slice(None),) * missing, *behind))
        view = object.__new__(LazyView)
        view._choose(
            self._array,
            tuple(
                _chosen(each, next(places)) if isinstance(each, range) else each
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
