"""Handles one request at a time on the session and its history.

Worker thread only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator

from napari_sam2.errors import DeviceError, Sam2Error, SessionError
from napari_sam2.labels import Edit, History, RecordBook
from napari_sam2.types import Direction, FrameMasks
from napari_sam2.widgets.state.session_spec import Annotations
from napari_sam2.widgets.worker.adaptation import Prepare
from napari_sam2.widgets.worker.messages import (
    AdaptRequest,
    Answer,
    Done,
    EditRequest,
    Failure,
    Forgotten,
    FrameDone,
    HandedOver,
    HandOverRequest,
    Opened,
    Phase,
    Prepared,
    PromptRequest,
    ReplayRequest,
    Request,
    RunRequest,
    RunSplit,
    RunStarted,
    UndoRequest,
)
from napari_sam2.widgets.worker.session_adapter import StackWork, WorkSnapshot
from napari_sam2.widgets.worker.session_factory import hand_over_objects
from napari_sam2.widgets.worker.session_protocol import Releasing, Session, SessionOpener

MAX_EDITS = 200
MAX_BYTES = 512 * 2**20


class RunControl:
    """Stops or holds a run, from any thread, and knows what has come of its frames."""

    def __init__(self) -> None:
        self.done = 0  # frames
        self.skipped: list[str] = []  # what was wrong with frames that could not be read
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()

    @property
    def stopped(self) -> bool:
        """Whether the run is to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End the run within one frame."""
        self._stop.set()
        self._go.set()

    def hold(self, paused: bool) -> None:
        """Pause the run, or let it go on."""
        (self._go.clear if paused else self._go.set)()

    def wait(self, seconds: float) -> bool:
        """Wait while the run is paused, no longer than this; return whether it may go on."""
        return self._go.wait(seconds)


class RequestHandler:
    """Opens sessions and does with them what is asked. Worker thread only.

    Parameters
    ----------
    open_session : callable
        See `SessionOpener`.
    prepare : callable
        See `Prepare`.
    tell : callable
        Takes the answers.
    """

    def __init__(
        self, open_session: SessionOpener, prepare: Prepare, tell: Callable[[Answer], None]
    ) -> None:
        self._open_session: SessionOpener | None = open_session
        self._prepare = prepare
        self._tell = tell
        self._history: History[WorkSnapshot] = History(MAX_EDITS, MAX_BYTES)
        self._books: dict[Hashable, RecordBook] = {}
        self._work: StackWork | None = None
        self._key: Hashable = None
        self._generations: dict[Hashable, int] = {}  # in which each stack was opened last
        self._left = threading.Event()

    @property
    def session(self) -> Session | None:
        """The session under work."""
        work = self._work
        return None if work is None else work.session

    def serve(self, request: Request) -> None:
        """Do all that a request asks for, but not a run."""
        work = self._work_on(request)
        match request:
            case UndoRequest():
                self._undo(work, request)
            case AdaptRequest():
                self._bring_up_to(work, request)
                self._tell(self._prepared(work, request))
            case EditRequest():
                self._bring_up_to(work, request)
                work.begin()
                changed = work.edit(request.edit)
                self._keep(request, work.end(request.step))
                self._done(work, request, changed)
            case ReplayRequest():
                work.begin()
                self._replay(work, request)
                self._keep(request, work.end(request.step))
                self._done(work, request)
            case PromptRequest():
                work.begin()
                self._bring_up_to(work, request)
                self._keep(request, work.end(request.step))
                self._done(work, request)

    def run(
        self, request: RunRequest, control: RunControl, between: Callable[[], Request | None]
    ) -> None:
        """Propagate until it is done or stopped.

        Parameters
        ----------
        request : RunRequest
        control : RunControl
        between : callable
            Returns a request to serve between two frames, if there is one.
        """
        step, last, forward = request.step, None, True
        if control.stopped:
            return
        work = self._work_on(request)
        self._bring_up_to(work, request)
        work.begin()
        before = 0
        try:
            for result in self._results(work, request, control):
                forward = _goes_forward(request.plan.direction, last, result.frame, forward)
                last, control.done = result.frame, control.done + 1
                if result.skipped is not None:
                    control.skipped.append(result.skipped)
                records = work.frame_done(result, forward=forward)
                changed = work.n_changes > before
                self._tell(FrameDone(request.generation, last, control.done, records, changed))
                step = self._serve_between(request, step, control, between)
                before = work.n_changes
        finally:
            self._keep(request, work.end(step))

    def leave(self) -> None:
        """Cut short what takes long and is of no interest any more; from any thread."""
        self._left.set()

    def hand_over(self, request: HandOverRequest, control: RunControl) -> HandedOver:
        """Find objects of a volume in the next one."""
        if self._open_session is None:
            raise SessionError("The panel is closed.")
        self._tell(Phase(request.generation, "Carrying the objects on…"))
        ids, there, plan = request.object_ids, request.there, request.plan
        frames = plan.start, plan.stop
        prompts = hand_over_objects(
            request.spec, there, ids, self._open_session, lambda: control.stopped, frames
        )
        return HandedOver(request.generation, there, ids, prompts)

    def drop(self) -> None:
        """Let go of the session; the history of the labels stays."""
        self._work, self._key = None, None
        self._left.clear()

    def unload(self) -> None:
        """Let go of the session and of the model; the next request loads them again."""
        self.drop()
        opener: object = self._open_session
        if isinstance(opener, Releasing):
            opener.release()

    def forget(self) -> None:
        """Let go of the session and of all that was done."""
        self.drop()
        self._books.clear()
        self._generations.clear()
        self._history = History(MAX_EDITS, MAX_BYTES)

    def close(self) -> None:
        """Free session and model, even if someone still holds the closed panel."""
        self.forget()
        self._open_session = None

    def _results(
        self, work: StackWork, request: RunRequest, control: RunControl
    ) -> Iterator[FrameMasks]:
        plan, session = request.plan, work.session
        scope = plan.direction, plan.start, plan.stop, plan.object_ids
        results = session.propagate(*scope, plan.recompute)
        self._tell(RunStarted(request.generation, session.planned_frames(*scope)))
        for result in results:
            yield result
            if control.stopped:
                return

    def _serve_between(
        self,
        run: RunRequest,
        step: int,
        control: RunControl,
        between: Callable[[], Request | None],
    ) -> int:
        """Serve what has come meanwhile, and wait while the run is paused; return its step."""
        while not control.stopped:
            request = between()
            if request is None:
                if control.wait(_PATIENCE_S):
                    break
                continue
            work = self._work_on(request)
            if isinstance(request, AdaptRequest):
                self.serve(request)
                continue
            self._keep(run, work.end(step))
            try:
                self.serve(request)
            except DeviceError:
                raise
            except Sam2Error as error:
                self._tell(Failure(request.generation, error, request.step))
            step = request.step + 1
            self._tell(RunSplit(run.generation, step))
            work.begin()
        return step

    def _undo(self, work: StackWork, request: UndoRequest) -> None:
        edit = self._history.get(request.step)
        same_session = edit is not None and work.take_back(edit, again=request.again)
        work.begin()
        self._bring_up_to(work, request)
        rest = work.end(request.to)
        if edit is not None and not same_session:
            # Another session has made its own masks of the prompts: those of then come back.
            work.take_back(edit, again=request.again)
        elif rest.changes and not request.again and self._history.get(request.to) is None:
            # Several steps had been taken in at once: this one is known by itself now.
            self._history.drop([request.step])
            self._keep(request, rest)
        elif rest.changes and request.again:
            self._keep(request, rest)
        self._done(work, request)

    def _prepared(self, work: StackWork, request: AdaptRequest) -> Prepared:
        """Read what can be learnt from; the session is as it was."""
        self._tell(Phase(request.generation, "Reading the masks to learn from…"))
        try:
            return Prepared(request.generation, self._prepare(work.session, request.plan))
        except Sam2Error as error:
            return Prepared(request.generation, None, error)

    def _replay(self, work: StackWork, request: ReplayRequest) -> None:
        for left in work.live.replay(request.saved, request.annotations):
            self._tell(Phase(request.generation, f"Resuming: {left} prompts and masks to go…"))
            if self._left.is_set():
                return
        self._bring_up_to(work, request)

    def _done(self, work: StackWork, request: Request, changed: Annotations | None = None) -> None:
        feedback = work.live.feedback()
        self._tell(Done(request.generation, request.step, work.news(), changed, feedback))

    def _keep(self, request: Request, edit: Edit[WorkSnapshot]) -> None:
        gone = self._history.add(edit) if edit.number else ()
        if gone:
            self._tell(Forgotten(request.generation, gone))

    def _bring_up_to(self, work: StackWork, request: Request) -> None:
        self._tell(Phase(request.generation, "Segmenting…"))
        strokes = request.strokes if isinstance(request, PromptRequest) else ()
        for error in work.bring_up_to(request.annotations, strokes):
            self._tell(Failure(request.generation, error))

    def _work_on(self, request: Request) -> StackWork:
        spec = request.spec
        if self._work is None or self._key != spec.key:
            self.drop()
            if self._open_session is None:
                raise SessionError("The panel is closed.")
            session = self._open_session(
                spec, lambda text: self._tell(Phase(request.generation, text))
            )
            self._tell(Opened(request.generation, session.approximations))
            self._work, self._key = self._new_work(session, request), spec.key
        return self._work

    def _new_work(self, session: Session, request: Request) -> StackWork:
        spec = request.spec

        def accepting(done: int, total: int) -> None:
            self._tell(Phase(request.generation, f"Accepting: {done} of {total} masks…"))

        book = self._books.setdefault(spec.at, RecordBook())
        work = StackWork(session, spec.labels, book, accepting)
        if spec.survey:  # what else may have been written there meanwhile
            work.survey()
        if self._generations.get(spec.at) != request.generation:
            work.retell()  # what was answered last in another one was not heard
        self._generations[spec.at] = request.generation
        return work


_PATIENCE_S = 0.05


def _goes_forward(direction: Direction, last: int | None, frame: int, before: bool) -> bool:
    if direction is not Direction.BOTH:
        return direction is Direction.FORWARD
    return frame > last if last is not None else before
