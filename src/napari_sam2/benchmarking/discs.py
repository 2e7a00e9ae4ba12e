"""The stack of benchmarks: drifting discs of any size and length, computed when they are read."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray


class DriftingDiscs:
    """Bright discs that drift over noise; an array-like (T, Y, X) of uint8 that holds no frame.

    Parameters
    ----------
    frames : int
        Length of the stack.
    size : int
        Side of a frame in pixels.
    objects : int
        Discs, on a grid.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, frames: int, size: int, objects: int) -> None:
        self.shape = (frames, size, size)
        self.objects = objects
        self._columns = ceil(sqrt(objects))
        self._cell = size / self._columns

    @property
    def radius(self) -> float:
        """Radius of every disc, in pixels."""
        return self._cell / 6

    def centre(self, index: int, frame: int) -> tuple[float, float]:
        """Return where a disc is, as (y, x) in pixels."""
        row, column = divmod(index, self._columns)
        drift = self._cell / 5 * np.sin(0.02 * frame + index)
        return (row + 0.5) * self._cell, float((column + 0.5) * self._cell + drift)

    def frame(self, frame: int) -> NDArray[np.uint8]:
        """Draw a frame, (Y, X)."""
        size = self.shape[1]
        image = np.random.default_rng(frame).integers(20, 60, (size, size), dtype=np.uint8)
        yy, xx = np.ogrid[:size, :size]
        for index in range(self.objects):
            y, x = self.centre(index, frame)
            image[(yy - y) ** 2 + (xx - x) ** 2 < self.radius**2] = 180
        return image

    def __getitem__(self, item: int | tuple[int, ...]) -> NDArray[np.uint8]:
        frame, *window = item if isinstance(item, tuple) else (item,)
        image: NDArray[np.uint8] = self.frame(int(frame))[tuple(window)]
        return image
