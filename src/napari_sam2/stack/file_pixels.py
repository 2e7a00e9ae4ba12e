"""`FilePixels`: uncompressed pixels of a file, read when they are indexed.

May be used from any thread.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.stack.lazy_array import LazyArray

_PIECE = 2**26  # bytes that are read at once
_SMALL = 2**20  # bytes that are read rather than skipped


class FilePixels(LazyArray):
    """Pixels that lie in a file one after the other, the last axis fastest.

    A memory map would end the whole process where the file is cut off while it is open, or where
    its storage fails; here, reading raises an error. A file that is replaced by another one of
    its name is still the one that was opened.

    Parameters
    ----------
    path : Path
    dtype : dtype
    offset : int
        Place of the first pixel in bytes.
    shape : tuple of int

    Attributes
    ----------
    close : callable
        Lets go of the file.
    """

    def __init__(self, path: Path, dtype: Any, offset: int, shape: tuple[int, ...]) -> None:
        super().__init__(shape, dtype)
        self._path, self._offset = path, int(offset)
        self._lock = threading.Lock()
        self._file = path.open("rb", buffering=0)
        self.close = weakref.finalize(self, self._file.close)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let other processes open the file for themselves."""
        return FilePixels, (self._path, self.dtype, self._offset, self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices along each axis, as numpy understands them.

        Raises
        ------
        OSError
            The file is shorter than it was, or its storage fails.
        """
        places = self.places(index)
        if places is None:  # masks, lists: all is read
            return np.asarray(np.asarray(self)[index])
        chosen = [
            range(*place.indices(size)) if isinstance(place, slice) else _checked(place, size)
            for place, size in zip(places, self.shape, strict=True)
        ]
        return self._chosen(chosen, 0, 0)

    def _chosen(self, chosen: list[range | int], axis: int, first: int) -> NDArray[Any]:
        """Read what is chosen along an axis and those behind it.

        Parameters
        ----------
        chosen : list of range or int
            For every axis.
        axis : int
        first : int
            Number of the pixel at position 0 of this axis and those behind it.
        """
        while axis < self.ndim and isinstance(position := chosen[axis], int):
            first += position * math.prod(self.shape[axis + 1 :])
            axis += 1
        if axis == self.ndim:
            return self._block(first, ())[()]
        along = chosen[axis]
        assert isinstance(along, range)
        kept = [each for each in chosen[axis:] if isinstance(each, range)]
        wanted = math.prod(map(len, kept))
        if not wanted:
            return np.empty([len(each) for each in kept], self.dtype)
        inner = self.shape[axis + 1 :]
        low, high = min(along[0], along[-1]), max(along[0], along[-1]) + 1
        nbytes = (high - low) * math.prod(inner) * self.dtype.itemsize
        if inner and nbytes > max(_SMALL, 2 * wanted * self.dtype.itemsize):
            pixels = np.empty([len(each) for each in kept], self.dtype)
            for place, position in enumerate(along):
                pixels[place] = self._chosen(chosen, axis + 1, first + position * math.prod(inner))
            return pixels
        block = self._block(first + low * math.prod(inner), (high - low, *inner))
        rows = slice(along[0] - low, _stop(along, low), along.step)
        rest = [
            each if isinstance(each, int) else slice(each.start, _stop(each, 0), each.step)
            for each in chosen[axis + 1 :]
        ]
        return block[(rows, *rest)]

    def _block(self, first: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """Read pixels that lie one after the other."""
        pixels: NDArray[Any] = np.empty(shape, self.dtype)
        buffer = pixels.reshape(-1).view(np.uint8)
        start, done = self._offset + first * self.dtype.itemsize, 0
        while done < buffer.size:
            count = self._read(start + done, buffer[done : done + _PIECE])
            if not count:
                raise OSError(f"{self._path} is shorter than it was when it was opened")
            done += count
        return pixels

    def _read(self, start: int, buffer: NDArray[np.uint8]) -> int:
        """Fill a buffer as far as one read of the system does; return how many bytes that was."""
        if hasattr(os, "preadv"):  # leaves the position alone, which forked processes share
            return os.preadv(self._file.fileno(), [buffer.data], start)
        with self._lock:
            self._file.seek(start)
            return self._file.readinto(buffer.data) or 0


def _checked(position: Any, size: int) -> int:
    """Return a position counted from the front."""
    number = int(position)
    if not -size <= number < size:
        raise IndexError(f"index {number} is out of bounds for an axis of length {size}")
    return number % size


def _stop(along: range, low: int) -> int | None:
    """Return where a slice ends that goes along these positions, in a block that begins at `low`.

    Backwards to the first position, it has no end that could be written as a number.
    """
    stop = along[-1] - low + (1 if along.step > 0 else -1)
    return None if stop < 0 else stop
