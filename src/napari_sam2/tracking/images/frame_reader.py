"""Reading of frames, ahead of time on a thread of its own, with retries after failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import FrameError, StackError
from napari_sam2.stack import FrameStack

Pixels = NDArray[np.float32]


class ReadAhead:
    """Holds the frames that come next, or reads them.

    An error while a frame is read ahead is raised by `get`. The thread runs from `prefetch` to
    `stop`.

    Parameters
    ----------
    read : callable
        Reads one frame.
    """

    def __init__(self, read: Callable[[int], Pixels]) -> None:
        self._read = read
        self._coming: dict[int, Future[Pixels]] = {}
        self._pool: ThreadPoolExecutor | None = None

    def prefetch(self, frames: Sequence[int]) -> None:
        """Begin to read these frames, in this order; drop all others."""
        for frame in self._coming.keys() - set(frames):
            self._coming.pop(frame).cancel()
        for frame in frames:
            if frame not in self._coming:
                self._pool = self._pool or ThreadPoolExecutor(1, "napari-sam2-frames")
                self._coming[frame] = self._pool.submit(self._read, frame)

    def get(self, frame: int) -> Pixels:
        """Return a frame that was read ahead; read it now if it was not."""
        coming = self._coming.pop(frame, None)
        if coming is None or coming.cancel():  # reading now is sooner than waiting for a turn
            return self._read(frame)
        return coming.result()

    def stop(self) -> None:
        """Drop all frames and end the thread."""
        self._coming.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


_WAIT_S = 0.005  # reading that waits longer than this for storage is worth doing ahead
_PAUSE_S = 0.1  # before the second attempt; twice as long before each further one


class FrameReader:
    """Reads frames of a stack; remembers the latest, and which cannot be read.

    Parameters
    ----------
    stack : FrameStack
    attempts : int
        How often to try a frame whose storage fails, before it counts as unreadable.
    always_ahead : bool
        Read in the background also where reading computes instead of waiting for storage: what
        computes does not compute on the processor.

    Attributes
    ----------
    failed : dict of int to FrameError
        Frames that could not be read, and why: they are not tried again.
    """

    def __init__(self, stack: FrameStack, attempts: int = 1, always_ahead: bool = False) -> None:
        self._stack = stack
        self._attempts = attempts
        self.failed: dict[int, FrameError] = {}
        self._ahead = ReadAhead(self._read)
        self._always_ahead = always_ahead
        self._waits = always_ahead
        self._following: list[int] = []
        # Objects are seen in windows of their own, batch after batch: one reading serves them all.
        self._latest: tuple[int, NDArray[np.float32]] | None = None

    def prefetch(self, frames: Sequence[int], now: bool) -> None:
        """Read these frames in the background: now, or as soon as the next one has been read.

        Only where reading waits for storage: where it computes, it would take from the network
        what it gives.
        """
        self._following = [frame for frame in frames if frame not in self.failed]
        if now and self._waits:
            self._ahead.prefetch(self._following)

    def stop_background_work(self) -> None:
        """Stop reading in the background, and drop all frames read ahead."""
        self._following = []
        self._latest = None
        self._ahead.stop()

    def read(self, frame: int) -> NDArray[np.float32]:
        """Return a frame, (Y, X, C) in 0..1; see `FrameStack.read`.

        Raises
        ------
        FrameError
            It cannot be read, now or when it was last tried.
        MemoryError
            There is no memory for it; the engine may free memory and try again.
        """
        if self._latest is not None and self._latest[0] == frame:
            return self._latest[1]
        self._latest = None
        if frame in self.failed:
            raise self.failed[frame]
        attempt, pause = 1, _PAUSE_S
        while True:
            try:
                pixels = self._ahead.get(frame)
            except FrameError as error:
                # Pixels that came and are no pixels will be none the next time either.
                if attempt == self._attempts or error.__cause__ is None:
                    self.failed[frame] = error
                    raise
            except StackError as error:
                if isinstance(error.__cause__, MemoryError):
                    raise error.__cause__ from None
                raise
            else:
                self._following = [each for each in self._following if each != frame]
                self._ahead.prefetch(self._following if self._waits else [])
                self._latest = frame, pixels
                return pixels
            time.sleep(pause)
            attempt, pause = attempt + 1, 2 * pause

    def _read(self, frame: int) -> NDArray[np.float32]:
        began, computed = time.perf_counter(), time.thread_time()
        pixels = self._stack.read(frame)
        waited = time.perf_counter() - began - (time.thread_time() - computed)
        self._waits = self._always_ahead or waited > _WAIT_S
        return pixels

    def retry_unreadable(self) -> None:
        """Forget earlier failures, so that all frames are tried again."""
        self.failed.clear()
        self._latest = None
