"""The session worker: queues requests and sends answers as Qt signals.

Called on the main thread.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import DeviceError
from napari_sam2.widgets.worker.adaptation import Prepare, prepare_real
from napari_sam2.widgets.worker.messages import (
    AdaptRequest,
    Answer,
    Failure,
    HandOverRequest,
    Prepared,
    PromptRequest,
    Request,
    RunEnded,
    RunRequest,
)
from napari_sam2.widgets.worker.request_handler import RequestHandler, RunControl
from napari_sam2.widgets.worker.session_protocol import SessionOpener
from napari_sam2.widgets.worker.thread import Worker, readable


class _Signals(QObject):
    answered = Signal(object)


class SessionWorker:
    """Does all heavy work of one panel, one thing after the other, in one thread.

    Requests are frozen values; answers arrive as `Answer` values through the signal
    ``answers.answered``, in the thread of the receiver. Of prompt requests for one session that
    wait one behind the other, only the newest is worked on: each states all prompts there are.
    A request for the session that propagates is worked on between two of its frames.

    Parameters
    ----------
    open_session : callable
        See `SessionOpener`; called in the worker thread.
    prepare : callable
        See `Prepare`; called in the worker thread.
    """

    def __init__(self, open_session: SessionOpener, prepare: Prepare = prepare_real) -> None:
        self.answers = _Signals()
        self._lock = threading.Lock()
        self._waiting: deque[Request] = deque()
        self._before_run: Request | None = None  # the newest that waits before the newest run
        self._control = RunControl()  # of the newest run; each has its own
        self._handler = RequestHandler(open_session, prepare, self._tell)
        self._worker = Worker("engine", on_exit=self.close, on_end=self._handler.close)

    @property
    def busy(self) -> bool:
        """Whether anything that was asked is not done yet."""
        return self._worker.busy

    def submit(self, request: Request) -> None:
        """Have a request worked on."""
        with self._lock:
            last = self._waiting[-1] if self._waiting else None
            # What waits before a run stays there: the run would not know of what joined it.
            joined = None if last is self._before_run else _joined(last, request)
            if joined is None:
                self._waiting.append(request)
            else:
                self._waiting[-1] = joined
        self._worker.submit(self._serve_next)

    def submit_run(self, request: RunRequest) -> None:
        """Propagate, after all that was asked before."""
        control = self._control = RunControl()
        with self._lock:
            self._before_run = self._waiting[-1] if self._waiting else None
        self._worker.submit(lambda: self._run(request, control))

    def submit_hand_over(self, request: HandOverRequest) -> None:
        """Look for objects in the next volume, after all that was asked before."""
        control = self._control = RunControl()
        self._worker.submit(lambda: self._hand_over(request, control))

    def cancel_run(self) -> None:
        """End the current propagation within one frame; what is done stays."""
        self._control.stop()
        session = self._handler.session
        if session is not None:
            session.cancel()

    def hold_run(self, paused: bool) -> None:
        """Pause the current propagation after its frame, or let it go on."""
        self._control.hold(paused)

    def forget_session(self, *, history: bool = True) -> None:
        """Let go of the session and its memory; also of its history, unless that is to stay."""
        with self._lock:
            self._waiting.clear()
        self.cancel_run()
        self._handler.leave()
        self._worker.submit(self._handler.forget if history else self._handler.drop)

    def unload(self) -> None:
        """Free the memory of session and model, after all that was asked before."""
        self._worker.submit(self._handler.unload)

    def close(self) -> None:
        """End the thread as soon as its current step is over; never waits for it."""
        self._worker.close()
        self.cancel_run()
        self._handler.leave()

    def _tell(self, answer: Answer) -> None:
        if not self._worker.closed:
            self.answers.answered.emit(answer)

    # Below: worker thread only.

    def _serve_next(self) -> None:
        with self._lock:
            request = self._waiting.popleft() if self._waiting else None
        if request is None or self._worker.closed:
            return
        try:
            self._handler.serve(request)
        except Exception as error:  # nothing may get lost: all errors reach the user
            self._fail(request, error)

    def _run(self, request: RunRequest, control: RunControl) -> None:
        failed = False
        try:
            self._handler.run(request, control, lambda: self._next_of(request))
        except Exception as error:
            self._fail(request, error)
            failed = True
        skipped = tuple(control.skipped)
        ended = RunEnded(request.generation, control.done, control.stopped, skipped, failed)
        self._tell(ended)

    def _hand_over(self, request: HandOverRequest, control: RunControl) -> None:
        try:
            answer = self._handler.hand_over(request, control)
        except Exception as error:
            self._fail(request, error)
            self._tell(RunEnded(request.generation, 0, control.stopped, failed=True))
            return
        stopped = RunEnded(request.generation, 0, cancelled=True)
        self._tell(stopped if control.stopped else answer)

    def _next_of(self, run: RunRequest) -> Request | None:
        """Take the next request, if it is for the session that is propagating."""
        with self._lock:
            if self._waiting and self._waiting[0].spec.key == run.spec.key:
                return self._waiting.popleft()
        return None

    def _fail(self, request: Request, error: Exception) -> None:
        known = readable(error)
        if isinstance(known, DeviceError):
            # What is on the device is in doubt: the next request opens a new session.
            self._handler.drop()
        if isinstance(request, AdaptRequest):
            self._tell(Prepared(request.generation, None, known))
            return
        self._tell(Failure(request.generation, known, request.step))


def _joined(earlier: Request | None, request: Request) -> PromptRequest | None:
    """Make one of two requests, if the second says all that the first one said."""
    if (
        isinstance(request, PromptRequest)
        and isinstance(earlier, PromptRequest)
        and request.spec.key == earlier.spec.key
    ):
        return replace(request, strokes=earlier.strokes + request.strokes)
    return None
