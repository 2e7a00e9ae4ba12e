"""The worker: one thread that owns the session, answers prompts and propagates."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import DeviceError, Sam2Error, SessionError
from napari_sam2.widgets.live_session import LiveSession, SessionOpener
from napari_sam2.widgets.messages import (
    Answer,
    Failure,
    FrameDone,
    Phase,
    PromptAnswer,
    PromptRequest,
    RunEnded,
    RunRequest,
    RunStarted,
    SessionSpec,
)
from napari_sam2.widgets.worker import Worker


class _Signals(QObject):
    answered = Signal(object)


class Engine:
    """Does all heavy work of one panel, one thing after the other, in one thread.

    Requests are frozen values; answers arrive as `Answer` values through the signal
    ``answers.answered``, in the thread of the receiver. Of several prompt requests that wait for
    one session, only the newest is worked on: each states all prompts there are. A request for
    the session that propagates is worked on between two of its frames.

    Parameters
    ----------
    open_session : callable
        See `SessionOpener`; called in the worker thread.
    """

    def __init__(self, open_session: SessionOpener) -> None:
        self.answers = _Signals()
        self._open_session: SessionOpener | None = open_session
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, PromptRequest] = {}  # the newest one of each session
        self._stop_run = threading.Event()  # of the newest run; each has its own
        # Only the worker thread changes these two.
        self._live: LiveSession | None = None
        self._key: object = None
        self._worker = Worker("engine", on_exit=self.close, on_end=self._let_go)

    @property
    def busy(self) -> bool:
        """Whether anything that was asked is not done yet."""
        return self._worker.busy

    def submit_prompts(self, request: PromptRequest) -> None:
        """Have the session brought in line with these prompts; replaces a waiting request."""
        with self._lock:
            self._waiting[request.spec.key] = request
        self._worker.submit(self._answer_prompts)

    def submit_run(self, request: RunRequest) -> None:
        """Propagate, after all that was asked before."""
        stop = self._stop_run = threading.Event()
        self._worker.submit(lambda: self._run(request, stop))

    def cancel_run(self) -> None:
        """End the current propagation within one frame; what is done stays."""
        self._stop_run.set()
        live = self._live
        if live is not None:
            live.session.cancel()

    def forget_session(self) -> None:
        """Let go of the session and its memory."""
        with self._lock:
            self._waiting.clear()
        self.cancel_run()
        self._worker.submit(self._drop)

    def close(self) -> None:
        """End the thread as soon as its current step is over; never waits for it."""
        self._worker.close()
        self.cancel_run()

    def _tell(self, answer: Answer) -> None:
        if not self._worker.closed:
            self.answers.answered.emit(answer)

    # Below: worker thread only.

    def _answer_prompts(self) -> None:
        with self._lock:
            key = next(iter(self._waiting), None)
            request = None if key is None else self._waiting.pop(key)
        if request is not None:
            self._answer(request)

    def _answer(self, request: PromptRequest) -> None:
        if self._worker.closed:
            return
        try:
            self._bring_up_to_date(request)
        except Exception as error:  # nothing may get lost: all errors reach the user
            self._fail(request.generation, error)
        else:
            self._tell(PromptAnswer(request.generation))

    def _run(self, request: RunRequest, stop: threading.Event) -> None:
        done = 0
        try:
            for done, frame in enumerate(self._frames(request, stop), 1):
                self._tell(FrameDone(request.generation, frame, done))
                self._take_in_prompts(request.spec)
        except Exception as error:
            self._fail(request.generation, error)
        self._tell(RunEnded(request.generation, done, cancelled=stop.is_set()))

    def _frames(self, request: RunRequest, stop: threading.Event) -> Iterator[int]:
        """Propagate; yield each frame that is done."""
        if stop.is_set() or self._worker.closed:
            return
        live = self._bring_up_to_date(request)
        self._tell(RunStarted(request.generation, live.session.planned_frames(request.direction)))
        for result in live.session.propagate(request.direction):
            yield result.frame
            if stop.is_set() or self._worker.closed:
                return

    def _take_in_prompts(self, spec: SessionSpec) -> None:
        """Answer prompts for the session that is propagating, between two of its frames."""
        with self._lock:
            request = self._waiting.pop(spec.key, None)
        if request is not None:
            self._answer(request)

    def _bring_up_to_date(self, request: PromptRequest | RunRequest) -> LiveSession:
        live = self._session(request.generation, request.spec)
        self._tell(Phase(request.generation, "Segmenting…"))
        for error in live.bring_up_to(request.prompts):
            self._tell(Failure(request.generation, error))
        return live

    def _session(self, generation: int, spec: SessionSpec) -> LiveSession:
        if self._live is None or self._key != spec.key:
            self._drop()
            if self._open_session is None:
                raise SessionError("The panel is closed.")
            session = self._open_session(spec, lambda text: self._tell(Phase(generation, text)))
            self._live, self._key = LiveSession(session), spec.key
        return self._live

    def _drop(self) -> None:
        self._live, self._key = None, None

    def _let_go(self) -> None:
        """Free session and model, even if someone still holds the closed panel."""
        self._drop()
        self._open_session = None

    def _fail(self, generation: int, error: Exception) -> None:
        known = readable(error)
        if isinstance(known, DeviceError):
            # What is on the device is in doubt: the next request opens a new session.
            self._drop()
        self._tell(Failure(generation, known))


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
