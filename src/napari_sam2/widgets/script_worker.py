"""Jobs of scripts in a thread that lives no longer than the job."""

from __future__ import annotations

import threading
import time

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.widgets.faults import readable
from napari_sam2.widgets.script_job import ScriptJob
from napari_sam2.widgets.script_run import run_job
from napari_sam2.widgets.session_protocol import SessionOpener
from napari_sam2.widgets.worker import Worker

_REPORT_EVERY_S = 0.1


class ScriptWorker(QObject):
    """Does one job at a time, off the main thread.

    Parameters
    ----------
    open_session : callable
        See `SessionOpener`.

    Signals
    -------
    moved(int, int)
        So many frames of so many are done.
    ended(ScriptResult or Exception)
        The job is over.
    """

    moved = Signal(int, int)
    ended = Signal(object)

    def __init__(self, open_session: SessionOpener) -> None:
        super().__init__()
        self._open_session = open_session
        self._cancelled = threading.Event()
        self._closed = False

    def start(self, job: ScriptJob) -> None:
        """Begin with a job."""
        self._cancelled.clear()
        worker = Worker("script", on_exit=self.cancel, on_end=lambda: None)
        worker.submit(lambda: self._work(job, worker))

    def cancel(self) -> None:
        """Stop within one frame."""
        self._cancelled.set()

    def close(self) -> None:
        """Stop, and tell nothing any more."""
        self._closed = True
        self.cancel()

    # Below: worker thread only.

    def _work(self, job: ScriptJob, worker: Worker) -> None:
        last = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if not self._closed and now - last > _REPORT_EVERY_S:
                last = now
                self.moved.emit(done, total)

        outcome: object
        try:
            outcome = run_job(job, self._open_session, tell, self._cancelled.is_set)
        except Exception as error:  # nothing may get lost: all errors reach the user
            outcome = readable(error)
        worker.close()
        if not self._closed:
            self.ended.emit(outcome)
