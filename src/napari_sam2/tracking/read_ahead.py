"""Frames that are read in a thread of their own while the network works on the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]


class ReadAhead:
    """Holds the frames that come next, or reads them.

    Whatever goes wrong while a frame is read ahead is raised when it is taken, as if it had been
    read only then. The thread lives from `expect` to `stop`.

    Parameters
    ----------
    read : callable
        Reads one frame.
    """

    def __init__(self, read: Callable[[int], Pixels]) -> None:
        self._read = read
        self._coming: dict[int, Future[Pixels]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def expect(self, frames: Sequence[int]) -> None:
        """Begin to read these frames, in this order; let go of all others."""
        for frame in self._coming.keys() - set(frames):
            self._coming.pop(frame).cancel()
        for frame in frames:
            if frame not in self._coming:
                self._pool = self._pool or ThreadPoolExecutor(1, "napari-sam2-frames")
                self._coming[frame] = self._pool.submit(self._read, frame)

    def take(self, frame: int) -> Pixels:
        """Return a frame, read ahead or now."""
        coming = self._coming.pop(frame, None)
        if coming is None or coming.cancel():  # one that waits its turn is read sooner here
            return self._read(frame)
        return coming.result()

    def stop(self) -> None:
        """Let go of all frames, and of the thread."""
        self._coming.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
