"""The session worker: one thread that works on sessions, and the queue of its requests.

Requests are submitted on the main thread; answers come back as a Qt signal.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Hashable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import DeviceError, FrameError, Sam2Error, SessionError, StoreError
from napari_sam2.labels import Edit, History, PlaneChange, RecordBook
from napari_sam2.types import FrameMasks
from napari_sam2.widgets.state.search import Sighting
from napari_sam2.widgets.state.session_spec import Annotations, SessionSpec
from napari_sam2.widgets.worker.adaptation import Prepare, prepare_process_job
from napari_sam2.widgets.worker.messages import (
    AdaptRequest,
    Answer,
    ContrastJudged,
    DivisionProgress,
    DivisionsProposed,
    Done,
    EditRequest,
    Failure,
    Forgotten,
    FrameDone,
    HandedOver,
    HandOverRequest,
    JoinRequest,
    KeepRequest,
    Opened,
    Phase,
    Prepared,
    PromptRequest,
    ProposeRequest,
    ReplayRequest,
    Request,
    ResultsKept,
    RunEnded,
    RunRequest,
    RunSplit,
    RunStarted,
    SearchEnded,
    SearchProgress,
    SearchRequest,
    UndoRequest,
)
from napari_sam2.widgets.worker.request_handler import RequestHandler, Snapshot, joined
from napari_sam2.widgets.worker.run_control import RunControl
from napari_sam2.widgets.worker.session_factory import hand_over_objects
from napari_sam2.widgets.worker.session_protocol import (
    Dividing,
    Keeping,
    Releasing,
    Session,
    SessionOpener,
)
from napari_sam2.widgets.worker.thread import Worker, readable

MAX_EDITS = 200
MAX_BYTES = 512 * 2**20
_PATIENCE_S = 0.05
_PARTS = 100  # of the progress of a search


class _Signals(QObject):
    answered = Signal(object)


class SessionWorker:
    """Works on the sessions of one panel, one request after the other, in one thread.

    Requests are frozen values; answers arrive as `Answer` values through the signal
    ``answers.answered``, in the thread of the receiver. Of prompt requests for one session that
    wait one behind the other, only the newest is served: each states all prompts there are.
    A request for the session that propagates is served between two of its frames.

    Parameters
    ----------
    open_session : callable
        See `SessionOpener`; called in the worker thread.
    prepare : callable
        See `Prepare`; called in the worker thread.
    """

    def __init__(self, open_session: SessionOpener, prepare: Prepare = prepare_process_job) -> None:
        self.answers = _Signals()
        self._open_session: SessionOpener | None = open_session
        self._prepare = prepare
        self._lock = threading.Lock()
        self._waiting: deque[Request] = deque()
        self._unanswered: tuple[int, ...] = ()  # steps to take back when all is forgotten
        self._before_run: Request | None = None  # the newest that waits before the newest run
        self._control = RunControl()  # of the newest run; each has its own
        self._history: History[Snapshot] = History(MAX_EDITS, MAX_BYTES)
        self._books: dict[Hashable, RecordBook] = {}
        self._handler: RequestHandler | None = None  # of the session that is open
        self._judged: RequestHandler | None = None  # the newest whose contrast was looked at
        self._key: Hashable = None
        self._trouble: Exception | None = None  # with keeping results, as last answered
        self._refused: StoreError | None = None  # why a folder for them could not be taken
        self._generations: dict[Hashable, int] = {}  # in which each stack was opened last
        self._worker = Worker("engine", on_exit=self.close, on_end=self._end)

    @property
    def busy(self) -> bool:
        """Whether anything that was asked is not done yet."""
        return self._worker.busy

    def submit(self, request: Request) -> None:
        """Have a request worked on, after all that was asked before."""
        if isinstance(request, RunRequest | HandOverRequest | SearchRequest):
            self._submit_run(request)
            return
        with self._lock:
            last = self._waiting[-1] if self._waiting else None
            # Requests before a run stay there: the run would lack what is merged into them.
            joined = None if last is self._before_run else _joined(last, request)
            if joined is None:
                self._waiting.append(request)
            else:
                self._waiting[-1] = joined
        self._worker.submit(self._serve_next)

    def _submit_run(self, request: RunRequest | HandOverRequest | SearchRequest) -> None:
        control = self._control = RunControl()
        if isinstance(request, HandOverRequest):
            self._worker.submit(lambda: self._hand_over(request, control))
            return
        with self._lock:
            self._before_run = self._waiting[-1] if self._waiting else None
        if isinstance(request, SearchRequest):
            self._worker.submit(lambda: self._search(request, control))
            return
        self._worker.submit(lambda: self._run(request, control))

    def cancel_run(self) -> None:
        """End the propagation within one frame, or the search; what is done stays."""
        self._control.stop()
        handler = self._handler
        if handler is not None:
            handler.session.cancel()

    def hold_run(self, paused: bool) -> None:
        """Pause the current propagation after its frame, or let it go on."""
        self._control.hold(paused)

    def forget_search(self) -> None:
        """Free what a search has found and what is not to be added."""
        self._worker.submit(self._forget_search)

    def forget_session(self, unanswered: Collection[int] = ()) -> None:
        """Let go of the session and its memory, and of all that was done.

        Parameters
        ----------
        unanswered : collection of int
            Steps whose outcome the window has not taken in: their labels are taken back.
        """
        with self._lock:
            self._waiting.clear()
            self._unanswered = (*self._unanswered, *sorted(unanswered))
        self.cancel_run()
        self._worker.submit(self._forget)

    def drop_session(self) -> None:
        """Let go of the session and its memory, after all steps that were asked before.

        The window has them on record: they are done, and can be undone.
        """
        with self._lock:
            steps = [each for each in self._waiting if each.step or isinstance(each, JoinRequest)]
            self._waiting = deque(steps)
        self.cancel_run()
        self._worker.submit(self._drop)

    def unload(self) -> None:
        """Free the memory of session and model, after all that was asked before."""
        self._worker.submit(self._unload)

    def close(self) -> None:
        """End the thread as soon as its current step is over; never waits for it."""
        self._worker.close()
        self.cancel_run()

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
            self._serve(request)
        except Exception as error:  # nothing may get lost: all errors reach the user
            self._fail(request, error)

    def _run(self, request: RunRequest, control: RunControl) -> None:
        failed = False
        try:
            self._propagate(request, control)
        except Exception as error:
            self._fail(request, error)
            failed = True
        skipped = tuple(control.skipped)
        outdated = None if self._handler is None else self._handler.outdated()
        self._tell(
            RunEnded(request.generation, control.done, control.stopped, skipped, failed, outdated)
        )
        self._tell_kept(request)

    def _search(self, request: SearchRequest, control: RunControl) -> None:
        number, failed, last = request.plan.number, False, -1
        found: tuple[Sighting, ...] = ()

        def progress(done: float) -> None:
            nonlocal last
            if round(_PARTS * done) > last:
                last = round(_PARTS * done)
                self._tell(SearchProgress(request.generation, number, done))

        try:
            if not control.stopped:
                handler = self._handler_of(request)
                self._bring_up_to(handler, request)
                self._tell(Phase(request.generation, "Looking for objects…"))
                found = handler.search(request.plan, progress, lambda: control.stopped)
        except Exception as error:
            self._fail(request, error)
            failed = True
        found = () if control.stopped else found
        self._tell(SearchEnded(request.generation, number, found, control.stopped, failed))

    def _forget_search(self) -> None:
        if self._handler is not None:
            self._handler.forget_search()

    def _hand_over(self, request: HandOverRequest, control: RunControl) -> None:
        try:
            answer = self._handed_over(request, control)
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
            self._drop()
        if isinstance(request, AdaptRequest):
            self._tell(Prepared(request.generation, None, known))
            return
        if isinstance(request, ProposeRequest):
            self._tell(DivisionsProposed(request.generation, request.spec.at, error=known))
            return
        self._tell(Failure(request.generation, known, request.step))

    def _serve(self, request: Request) -> None:
        """Do all that a request asks for, but not a run."""
        if isinstance(request, KeepRequest):
            self._keep_results(request)
            return
        if isinstance(request, JoinRequest):
            self._join(request)
            return
        if isinstance(request, ReplayRequest):
            self._resume(request)
            return
        handler = self._handler_of(request)
        match request:
            case UndoRequest():
                self._undo(handler, request)
            case AdaptRequest():
                self._bring_up_to(handler, request)
                self._tell(self._prepared(handler, request))
            case ProposeRequest():
                self._bring_up_to(handler, request)
                self._tell(self._proposed(handler, request))
            case EditRequest():
                self._bring_up_to(handler, request)
                handler.begin()
                changed = handler.edit(request.edit)
                self._keep(request, handler.end(request.step))
                self._done(handler, request, changed)
            case PromptRequest():
                handler.begin()
                self._bring_up_to(handler, request)
                self._keep(request, handler.end(request.step))
                self._done(handler, request)
                if handler is not self._judged:
                    self._judge_contrast(handler, request)

    def _judge_contrast(self, handler: RequestHandler, request: Request) -> None:
        """Look once per session at what its contrast shows; the answer to the prompt comes first.

        Only limits of a layer are looked at: others are measured on the pixels.
        """
        prompts, spec = request.annotations.prompts, request.spec
        if not prompts or spec.source.contrast is None:
            return
        self._judged = handler
        try:
            little = spec.stack().shows_little(prompts[-1].frame)
        except FrameError:  # the prompt there was refused with this error
            return
        self._tell(ContrastJudged(request.generation, little))

    def _propagate(self, request: RunRequest, control: RunControl) -> None:
        """Propagate until it is done or stopped."""
        step = request.step
        if control.stopped:
            return
        handler = self._handler_of(request)
        self._bring_up_to(handler, request)
        handler.begin()
        before = 0
        try:
            for result in self._results(handler, request, control):
                control.done += 1
                if result.skipped is not None:
                    control.skipped.append(result.skipped)
                records = handler.frame_done(result)
                changed = handler.n_changes > before
                self._tell_kept(request)
                self._tell(
                    FrameDone(request.generation, result.frame, control.done, records, changed)
                )
                step = self._serve_between(request, step, control)
                before = handler.n_changes
        finally:
            self._keep(request, handler.end(step))

    def _handed_over(self, request: HandOverRequest, control: RunControl) -> HandedOver:
        """Find objects of a volume in the next one."""
        if self._open_session is None:
            raise SessionError("The panel is closed.")
        self._tell(Phase(request.generation, "Following the objects into the next volume…"))
        ids, there, plan = request.object_ids, request.there, request.plan
        frames = plan.start, plan.stop
        prompts = hand_over_objects(
            request.spec, there, ids, self._open_session, lambda: control.stopped, frames
        )
        return HandedOver(request.generation, there, ids, prompts)

    def _drop(self) -> None:
        """Let go of the session; the history of the labels stays."""
        if self._handler is not None and self._handler.keeping is not None:
            self._handler.keeping.close()
        self._handler, self._key, self._judged = None, None, None

    def _unload(self) -> None:
        """Let go of the session and of the model; the next request loads them again."""
        self._drop()
        opener: object = self._open_session
        if isinstance(opener, Releasing):
            opener.release()

    def _forget(self) -> None:
        """Let go of the session and of all that was done."""
        with self._lock:
            unanswered, self._unanswered = self._unanswered, ()
        for number in reversed(unanswered):
            self._take_back(number)
        self._drop()
        self._books.clear()
        self._generations.clear()
        self._history = History(MAX_EDITS, MAX_BYTES)

    def _take_back(self, number: int) -> None:
        """Give the labels back as they were before a step, also where they are kept."""
        edit = self._history.get(number)
        if edit is None or edit.before is None:
            return
        if edit.before.owner is self._handler:
            self._handler.rewrite(edit, again=False)
        else:
            edit.undo(edit.before.labels)

    def _end(self) -> None:
        """Free session and model, even if someone still holds the closed panel."""
        self._forget()
        self._open_session = None

    def _results(
        self, handler: RequestHandler, request: RunRequest, control: RunControl
    ) -> Iterator[FrameMasks]:
        plan, session = request.plan, handler.session
        scope = plan.direction, plan.start, plan.stop, plan.object_ids
        results = session.propagate(*scope, plan.recompute)
        self._tell(RunStarted(request.generation, tuple(session.planned_visits(*scope))))
        for result in results:
            yield result
            if control.stopped:
                return

    def _serve_between(self, run: RunRequest, step: int, control: RunControl) -> int:
        """Serve what has come meanwhile, and wait while the run is paused; return its step."""
        while not control.stopped:
            request = self._next_of(run)
            if request is None:
                if control.wait(_PATIENCE_S):
                    break
                continue
            handler = self._handler_of(request)
            if isinstance(request, AdaptRequest | JoinRequest | KeepRequest | ProposeRequest):
                self._serve(request)
                continue
            self._keep(run, handler.end(step))
            try:
                self._serve(request)
            except DeviceError:
                raise
            except Sam2Error as error:
                self._tell(Failure(request.generation, error, request.step))
            step = request.step + 1
            self._tell(RunSplit(run.generation, step))
            handler.begin()
        return step

    def _undo(self, handler: RequestHandler, request: UndoRequest) -> None:
        edit = self._history.get(request.step)
        same_session = edit is not None and handler.take_back(edit, again=request.again)
        handler.begin()
        self._bring_up_to(handler, request)
        rest = handler.end(request.to)
        several = bool(request.to) and self._history.get(request.to) is None and not request.again
        if edit is not None and not same_session and not several:
            # Another session has made its own masks of the prompts, and has erased those that it
            # knows nothing of: the labels of then come back.
            handler.rewrite(rest, again=False)
        elif rest.changes and not request.again and self._history.get(request.to) is None:
            # Several steps had been taken in at once: this one is known by itself now.
            self._history.drop([request.step])
            self._keep(request, rest)
        elif rest.changes and request.again:
            self._keep(request, rest)
        self._done(handler, request)

    def _join(self, request: JoinRequest) -> None:
        """Make one edit of several in the history; if one is gone, none can be taken back."""
        edits = [self._history.get(number) for number in request.numbers]
        known = [edit for edit in edits if edit is not None]
        self._history.drop(request.numbers)
        if len(known) == len(edits):
            self._keep(request, joined(known))
        else:
            self._tell(Forgotten(request.generation, request.numbers))

    def _prepared(self, handler: RequestHandler, request: AdaptRequest) -> Prepared:
        """Read what can be learnt from; the session is as it was."""
        self._tell(Phase(request.generation, "Reading the masks to learn from…"))
        try:
            return Prepared(request.generation, self._prepare(handler.session, request.plan))
        except Sam2Error as error:
            return Prepared(request.generation, None, error)

    def _proposed(self, handler: RequestHandler, request: ProposeRequest) -> DivisionsProposed:
        """Look for divisions; the session is as it was."""
        self._tell(Phase(request.generation, "Looking for divisions…"))
        known, session = (request.generation, request.spec.at), handler.session
        stopped = request.stop.is_set
        if not isinstance(session, Dividing) or stopped():
            return DivisionsProposed(*known, cancelled=stopped())

        def progress(done: float) -> None:
            self._tell(DivisionProgress(request.generation, done))

        try:
            found = session.propose_divisions(progress=progress, cancelled=stopped)
            return DivisionsProposed(*known, found, cancelled=stopped())
        except DeviceError:
            raise
        except Sam2Error as error:
            return DivisionsProposed(*known, error=error)

    def _resume(self, request: ReplayRequest) -> None:
        """Take a session file in, all of it or nothing."""
        if request.stop.is_set():
            return
        before, whole = _pixels_of(request.spec), False
        try:
            whole = self._replay(request)
        finally:
            if not whole:
                # Its masks are not those of the window: nothing may be kept of them.
                self._drop()
                self._books.pop(_book_key(request.spec), None)
                _put_back(request.spec.labels, before)

    def _replay(self, request: ReplayRequest) -> bool:
        """Do what a replay asks for; return False if it was stopped before the end."""
        handler = self._handler_of(request)
        continued = request.spec.results is not None and bool(handler.session.object_ids)
        handler.begin()
        for left in handler.replay(request.saved, request.annotations):
            self._tell(Phase(request.generation, f"Resuming: {left} prompts and masks to go…"))
            if request.stop.is_set() or self._worker.closed:
                return False
        self._bring_up_to(handler, request)
        if continued:
            # What came from the disk is no change that could be undone: history begins with it.
            handler.end(request.step)
            self._tell(Forgotten(request.generation, (request.step,)))
        else:
            self._keep(request, handler.end(request.step))
        self._done(handler, request)
        return True

    def _done(
        self, handler: RequestHandler, request: Request, changed: Annotations | None = None
    ) -> None:
        known = request.generation, request.step, request.spec.at
        outdated = handler.outdated()
        self._tell_kept(request)
        self._tell(Done(*known, handler.take_new_records(), changed, handler.feedback(), outdated))

    def _tell_kept(self, request: Request) -> None:
        """Report whether results are on disk, if that has changed since the last report."""
        failed: Sam2Error | None = None
        if self._handler is not None and self._handler.keeping is not None:
            failed = self._handler.keeping.store_trouble
        trouble = self._refused or failed
        if trouble is not self._trouble:
            self._trouble = trouble
            self._tell(ResultsKept(request.generation, trouble))

    def _keep(self, request: Request, edit: Edit[Snapshot]) -> None:
        gone = self._history.add(edit) if edit.number else ()
        if gone:
            self._tell(Forgotten(request.generation, gone))

    def _bring_up_to(self, handler: RequestHandler, request: Request) -> None:
        self._tell(Phase(request.generation, "Segmenting…"))
        strokes = request.strokes if isinstance(request, PromptRequest) else ()
        for error in handler.apply(request.annotations, strokes):
            self._tell(Failure(request.generation, error))

    def _handler_of(self, request: Request) -> RequestHandler:
        """Return the handler of the session that a request is for, opening it if it is not."""
        spec = request.spec
        continues = isinstance(request, ReplayRequest) and self._continues(request)
        if self._handler is None or self._key != spec.key or continues:
            self._drop()
            if self._open_session is None:
                raise SessionError("The panel is closed.")
            session, continued = self._opened(request)
            self._tell(Opened(request.generation, session.approximations))

            def accepting(done: int, total: int) -> None:
                self._tell(Phase(request.generation, f"Accepting: {done} of {total} masks…"))

            book = self._book_of(spec)
            handler = RequestHandler(session, spec.labels, book, accepting)
            if continued:
                handler.take_over()
            if spec.survey:  # other programs may have written objects there meanwhile
                handler.survey()
            if self._generations.get(spec.at) != request.generation:
                handler.mark_all_new()  # the last answer to another generation was dropped
            handler.keep_records()
            self._generations[spec.at] = request.generation
            self._handler, self._key = handler, spec.key
        return self._handler

    def _book_of(self, spec: SessionSpec) -> RecordBook:
        """Return the records of a stack; at first those of earlier work on its labels."""
        key = _book_key(spec)
        if key not in self._books:
            self._books[key] = RecordBook()
            self._books[key].put(spec.records)
        return self._books[key]

    def _continues(self, request: ReplayRequest) -> bool:
        """Return whether a replay has results on disk that the open session does not hold."""
        session = None if self._handler is None else self._handler.keeping
        folder = request.spec.results
        return session is not None and folder is not None and session.kept_in != folder

    def _opened(self, request: Request) -> tuple[Session, bool]:
        """Open the session of a request.

        A replay takes labels from the results on disk; any other request continues from them only
        if they have the labels of the window.

        Returns
        -------
        Session, bool
            Whether it continues from results of the same labels.
        """
        spec, resumes = request.spec, isinstance(request, ReplayRequest)
        open_session = self._open_session
        if open_session is None:
            raise SessionError("The panel is closed.")

        def tell(text: str) -> None:
            self._tell(Phase(request.generation, text))

        if not resumes or spec.results is None:
            session = open_session(replace(spec, results=None), tell)
            return session, self._keep_in(session, request, may_continue=True)
        try:
            session = open_session(spec, tell)
            self._refused = None
        except StoreError as error:
            # The prompts come back all the same; what is in the folder is another session's.
            self._refused = error
            session = open_session(replace(spec, results=None), tell)
        return session, False

    def _keep_results(self, request: KeepRequest) -> None:
        """Have the open session keep its results, if it is the one that is meant."""
        if self._handler is not None and self._key == request.spec.key:
            self._keep_in(self._handler.session, request)
            self._handler.keep_records()

    def _keep_in(self, session: Session, request: Request, *, may_continue: bool = False) -> bool:
        """Keep results where a request says; they stay in memory where that cannot be done.

        Returns
        -------
        bool
            Whether the session continues from what is there.
        """
        folder, continued = request.spec.results, False
        if not isinstance(session, Keeping) or session.kept_in == folder:
            return False
        try:
            if folder is None:
                session.close()
            else:
                continued = may_continue and session.continue_in(folder)
                if not continued:
                    session.keep_in(folder, list(self._book_of(request.spec)))
        except StoreError as error:
            self._refused = error
        else:
            self._refused = None
        self._tell_kept(request)
        return continued


def _joined(earlier: Request | None, request: Request) -> PromptRequest | None:
    """Merge two requests into one, if the second states all that the first one states."""
    if (
        isinstance(request, PromptRequest)
        and isinstance(earlier, PromptRequest)
        and request.spec.key == earlier.spec.key
    ):
        return replace(request, strokes=earlier.strokes + request.strokes)
    return None


def _book_key(spec: SessionSpec) -> Hashable:
    return spec.at, spec.source.region


def _pixels_of(spec: SessionSpec) -> Edit[None]:
    """Return the labels of a stack as an edit that has taken all of them away."""
    # Layers that are new hold nothing, and need not be read.
    planes = enumerate(spec.labels if spec.survey else ())
    changes = [PlaneChange.between(i, plane, np.zeros_like(plane)) for i, plane in planes]
    return Edit(0, changes=tuple([each for each in changes if each is not None]))


def _put_back(labels: NDArray[Any], pixels: Edit[None]) -> None:
    """Make labels what they were when these pixels were taken down."""
    for plane in labels:
        if plane.any():
            plane[...] = 0
    pixels.undo(labels)
