"""A worker thread with a queue, and errors turned into messages for users."""

from __future__ import annotations

import atexit
import os
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import DeviceError, Sam2Error, SessionError

THREAD_NAME = "napari-sam2"
"""Every thread of the window is named so."""

_EXIT_SECONDS = 20.0
_NICE = 10

Job = Callable[[], None]


class _Tally(QObject):
    """Counts jobs that are not done yet.

    The end of a job is a signal too, queued behind the signals of the job. It counts as done when
    their receivers have been called.
    """

    _over = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.count = 0
        self._over.connect(self._take_off, Qt.ConnectionType.QueuedConnection)

    def add(self) -> None:
        """Note that there is one more; from any thread."""
        with self._lock:
            self.count += 1

    def over(self) -> None:
        """Note that one is over; from the thread of the jobs."""
        self._over.emit()

    def _take_off(self) -> None:
        with self._lock:
            self.count -= 1


class Worker:
    """Does jobs one after the other, in a thread of its own. Made on the main thread.

    A pool of the standard library would keep Python from ending until all its jobs are done,
    and gives no chance to stop them then.

    Parameters
    ----------
    name : str
        Goes into the thread's name.
    on_exit : callable
        Called when Python ends first: has to stop the current job, and to close the worker.
    on_end : callable
        Called in the thread, last of all.

    Attributes
    ----------
    closed : bool
        The worker takes no jobs any more.
    """

    def __init__(self, name: str, on_exit: Job, on_end: Job) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._on_exit, self._on_end = on_exit, on_end
        self.closed, self._skips = False, threading.Event()
        self._tally = _Tally()
        self._thread = threading.Thread(
            target=self._work, name=f"{THREAD_NAME}-{name}", daemon=True
        )
        self._thread.start()
        atexit.register(_end_with_python, weakref.ref(self))

    @property
    def busy(self) -> bool:
        """Whether a job is not done yet, or the main thread has not handled all its signals."""
        return self._tally.count > 0

    def submit(self, job: Job) -> None:
        """Have a job done after those submitted before; jobs must not raise."""
        if not self.closed:
            self._tally.add()
            self._jobs.put(job)

    def close(self) -> None:
        """End the thread after its current job, without the others; does not wait for it."""
        if not self.closed:
            self._skips.set()
            self.finish()

    def finish(self) -> None:
        """End the thread after all jobs that were submitted; does not wait for it."""
        if not self.closed:
            self.closed = True
            self._jobs.put(None)

    def stop_with_python(self) -> None:
        """Stop the job and wait for the thread: Python is about to take itself apart."""
        self._on_exit()
        self._thread.join(_EXIT_SECONDS)

    def _work(self) -> None:
        _give_way()
        while (job := self._jobs.get()) is not None:
            try:
                if not self._skips.is_set():
                    job()
            finally:
                self._tally.over()
        self._on_end()


def _give_way() -> None:
    """Let the window go first where both want a core; with cores to spare it changes nothing.

    Only Linux has priorities for single threads. Those that torch starts from this one inherit it.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Where a system forbids it, the work is done all the same.
        with suppress(OSError):
            lower = max(_NICE, os.getpriority(os.PRIO_PROCESS, thread))
            os.setpriority(os.PRIO_PROCESS, thread, lower)


def _end_with_python(reference: weakref.ref[Worker]) -> None:
    worker = reference()
    if worker is not None:
        worker.stop_with_python()


def readable(error: Exception) -> Exception:
    """Turn what torch raises into an error that says what to do; leave other errors alone."""
    if isinstance(error, Sam2Error):
        return error
    wrapped: Sam2Error
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        wrapped = DeviceError(
            "The device ran out of memory.",
            safe="All labels so far are kept.",
            remedy="Choose a smaller model, or the device `cpu`.",
        )
    elif isinstance(error, RuntimeError):
        wrapped = SessionError(
            f"Segmenting failed: {error}",
            safe="All labels so far are kept.",
            remedy="Try again; if it fails again, choose another device or model.",
        )
    else:
        return error
    wrapped.__cause__ = error
    return wrapped
