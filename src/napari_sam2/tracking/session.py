"""`TrackingSession`: the prompts, objects and labels of one stack, and all that users do with them.

Owns the prompts, the tracker and the lock that makes its methods safe to call from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sam2.errors import FrameError, PromptError, Sam2Error, SessionError
from napari_sam2.labels import PackedMask
from napari_sam2.labels.compose import Labels
from napari_sam2.prompts import (
    FramePrompt,
    PromptBook,
    SessionFile,
    read_session,
    write_session,
)
from napari_sam2.prompts.checks import as_whole_number, check_frame, check_object_id
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.images.appearance_template import SessionTemplate
from napari_sam2.tracking.label_writer import LabelWriter, undecided
from napari_sam2.tracking.merge_split import Known, divided, joined
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.schedule import Schedule, Scope, as_direction, count_visits, passes
from napari_sam2.tracking.session_io import (
    corrected_masks,
    restored_stack,
    saved_settings,
    settings_to_save,
)
from napari_sam2.tracking.session_state import SessionState, TrackState
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.tracking.tracker import Tracker, approximations, follows_objects
from napari_sam2.types import Direction, FrameMasks, ObjectFrame, Replayed, Unreadable


class TrackingSession:
    """Objects of one stack, prompted on some frames and followed through the others.

    Features, memories and predictions are kept for a bounded number of frames, however long the
    stack; only the labels grow with it. Methods may be called from several threads; a prompt that
    comes during a propagation waits for the current frame and is then taken in.

    Parameters
    ----------
    model : Model
        From `load_model`.
    stack : array-like or FrameStack
        YX, TYX, ZYX, TYXC and so on; see `FrameStack` for what else.
    axis : int
        The video axis of an array-like `stack`.
    keep_logits : bool
        Also hand out mask logits at full resolution.
    labels : array-like, optional
        An integer array (T, Y, X), numpy or zarr, to fill; a new one by default. What it holds
        already is not overwritten by other objects.
    settings : TrackingSettings
    contrast : (low, high), optional
        Intensities shown as black and white; robust percentiles of the stack by default.

    Attributes
    ----------
    model : Model
    stack : FrameStack
    settings : TrackingSettings
    prompts : PromptBook
        All prompts; change them with the methods of the session only.
    handed_over : set of ObjectFrame
        Mask prompts that nobody drew: what was found of the objects of the volume before.
        Whoever gives such a prompt adds it here; session files keep it.

    Raises
    ------
    StackError
        The stack has no frames that can be read as pixels.
    LabelsError
        The labels do not fit the stack, or cannot be written.
    SessionError
        The model or the settings are something else.
    """

    def __init__(
        self,
        model: Model,
        stack: Any,
        axis: int = 0,
        *,
        keep_logits: bool = False,
        labels: Any = None,
        settings: TrackingSettings | None = None,
        contrast: tuple[float, float] | None = None,
    ) -> None:
        _check_given(model, settings)
        self.model = model
        self.stack = (
            stack
            if isinstance(stack, FrameStack)
            else FrameStack(stack, axis=axis, contrast=contrast)
        )
        self.settings = settings or TrackingSettings()
        self.prompts = PromptBook(self.stack.shape)
        self._publisher = LabelWriter(self.stack.shape, labels, self.settings, keep_logits)
        self._tracker = Tracker(model, self.stack, self.settings, self._publisher)
        self._lock = threading.RLock()
        self._cancelled = threading.Event()
        self._skipped: dict[int, FrameError] = {}
        self.handed_over: set[ObjectFrame] = set()

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: a copy would share memories, labels and the lock."""
        raise SessionError(
            "A session cannot be copied or sent to another process.",
            safe="It is unchanged.",
            remedy="Save it, and load the file there: session.save(path), TrackingSession.load.",
        )

    @property
    def template(self) -> SessionTemplate:
        """How it computes: opens sessions on other stacks that compute alike."""
        return SessionTemplate(
            type(self),
            self.model.name,
            str(self.model.device),
            self.model.image_size,
            self.model.half,
            follows_objects(self.model, self.settings),
            self.settings,
        )

    @property
    def n_frames(self) -> int:
        """Frames of the stack."""
        return self.stack.n_frames

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.stack.frame_shape

    @property
    def approximations(self) -> tuple[str, ...]:
        """What the speed that was chosen leaves out with this model; nothing if it is exact."""
        return approximations(self.model, self.settings)

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects with prompts, ascending."""
        return tuple(sorted(self._tracker.tracks))

    @property
    def accepted(self) -> tuple[ObjectFrame, ...]:
        """Accepted objects and frames, ascending by object, then by frame."""
        return tuple(sorted(self._publisher.accepted))

    @property
    def skipped(self) -> tuple[FrameError, ...]:
        """Why which frames were skipped since the session was loaded or `propagate` called.

        Decided frames that could not be attended to, since they cannot be read, are among them.
        """
        found = self._tracker.unread | self._skipped
        return tuple(found[frame] for frame in sorted(found))

    @property
    def labels(self) -> Any:
        """The labels (T, Y, X), filled as frames arrive; 0 is background."""
        return self._publisher.volume.array

    def add_points(
        self,
        object_id: int,
        frame: int,
        points: Sequence[Sequence[float]] | NDArray[Any],
        positive: Sequence[bool] | None = None,
    ) -> FrameMasks:
        """Click an object in a frame; its mask there comes back at once.

        A further click refines what the earlier ones in that frame gave, and a click in a frame
        that was tracked corrects it: `propagate` then recomputes up to the neighbouring prompted
        or accepted frames.

        Parameters
        ----------
        object_id : int
            Label id, from 1.
        frame : int
        points : sequence of (y, x)
            In pixels of the frame, pixel centres at integers.
        positive : sequence of bool, optional
            True on the object (default), False on the background.

        Returns
        -------
        FrameMasks
            This object in this frame.

        Raises
        ------
        PromptError
            The prompt is outside the stack, or no prompt at all.
        """
        return self._prompt(
            object_id, frame, lambda: self.prompts.add_points(object_id, frame, points, positive)
        )

    def add_box(self, object_id: int, frame: int, box: Sequence[float]) -> FrameMasks:
        """Draw a box (y0, x0, y1, x1) around an object; its mask comes back at once."""
        return self._prompt(object_id, frame, lambda: self.prompts.add_box(object_id, frame, box))

    def add_mask(self, object_id: int, frame: int, mask: ArrayLike) -> FrameMasks:
        """Give an object's mask in a frame, shape (Y, X); it is kept exactly as drawn."""
        return self._prompt(object_id, frame, lambda: self.prompts.add_mask(object_id, frame, mask))

    def set_points(
        self,
        object_id: int,
        frame: int,
        points: Sequence[Sequence[float]] | NDArray[Any],
        positive: Sequence[bool] | None = None,
    ) -> FrameMasks:
        """Replace the points of an object in a frame, as after moving or deleting one."""
        return self._prompt(
            object_id,
            frame,
            lambda: self.prompts.add_points(object_id, frame, points, positive, replace=True),
        )

    def set_prompt(self, object_id: int, frame: int, prompt: FramePrompt | None) -> FrameMasks:
        """Make a prompt all that an object holds in a frame; its mask comes back at once.

        Points, box and mask are decided together, once. A prompt that is the former one with
        another round of clicks refines what that gave, as `add_points` does.

        Parameters
        ----------
        object_id : int
            Label id, from 1.
        frame : int
        prompt : FramePrompt or None
            None takes the former prompt away, as `remove_prompts` does.

        Returns
        -------
        FrameMasks
            This object in this frame.

        Raises
        ------
        PromptError
            The prompt is outside the stack.
        """
        if prompt is not None:
            return self._prompt(
                object_id, frame, lambda: self.prompts.put(object_id, frame, prompt)
            )
        object_id, frame = check_object_id(object_id), check_frame(frame, self.n_frames)
        with self._lock:
            if self.prompts.get(object_id, frame) is not None:
                self.remove_prompts(object_id, frame)
            return undecided(object_id, frame, self._publisher.mask(object_id, frame))

    def remove_prompts(self, object_id: int, frame: int | None = None) -> None:
        """Take prompts back: those of one frame, or the whole object with its labels.

        Labels around the frame stay until `propagate` computes them anew. An object without any
        prompted or accepted frame left is gone from the labels too.

        Raises
        ------
        SessionError, PromptError
            There is no such object, or no prompt of it in that frame.
        """
        with self._lock:
            self._tracker.track(object_id)
            if frame is not None:
                self.prompts.remove(object_id, frame)
                self._tracker.release(object_id, frame)
                return
            if self.prompts.frames(object_id):
                self.prompts.remove(object_id)
            self._tracker.forget(object_id)

    def candidates(self, object_id: int, frame: int) -> int:
        """Return how many masks the prompts of a frame could mean: 3 for one click, else 1."""
        with self._lock:
            return self._tracker.candidates(self._prompt_at(object_id, frame))

    def choose(self, object_id: int, frame: int, rank: int) -> FrameMasks:
        """Take another mask that a click could mean; 0 is the one with the best predicted IoU.

        Raises
        ------
        SessionError
            Nothing is prompted there, or it could not mean so many.
        """
        with self._lock:
            prompt = self._prompt_at(object_id, frame)
            candidates = self._tracker.candidates(prompt)
            if rank not in range(candidates):
                raise SessionError(
                    f"The prompt of object {object_id} in frame {frame} could mean no mask {rank}.",
                    remedy=f"Choose one from 0 to {candidates - 1}; see `candidates`.",
                )
            return self._tracker.decide(int(object_id), int(frame), prompt, rank=int(rank))

    def propagate(
        self,
        direction: str | Direction = Direction.BOTH,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
        recompute: bool = False,
    ) -> Iterator[FrameMasks]:
        """Follow objects through the stack, frame by frame.

        Forward reaches from an object's first prompted frame upwards, backward from its last one
        downwards. Both goes forward, then backward: every frame is reached from the nearest one
        that the user decided. Frames that are up to date are not computed again, so that after a
        correction only its surroundings are.

        Parameters
        ----------
        direction : {"both", "forward", "backward"}
        start, stop : int, optional
            Only frames start to stop - 1; the whole stack by default.
        object_ids : iterable of int, optional
            Only these objects; all by default, those prompted meanwhile too.
        recompute : bool
            Also compute frames anew that are up to date.

        Yields
        ------
        FrameMasks
            One per frame and pass, already written to `labels`: what was computed there, and
            the prompted or accepted frames on the way. A frame that cannot be read is handed
            out with the reason in `skipped`; its labels stay as they are, and it is tried
            again when `propagate` is next called.

        Raises
        ------
        SessionError
            Nothing is prompted, or the range is impossible.
        FrameError
            A frame cannot be read and `settings.unreadable` says to stop there. Or none can that
            an object begins from: this is raised once all others have been followed. The labels
            so far are kept.
        DeviceError
            The device fails or has too little memory; the labels so far are kept.
        """
        direction = as_direction(direction)
        scope = Scope.of(self._tracker.tracks, self.n_frames, start, stop, object_ids)
        self._cancelled.clear()
        self._skipped = {}
        self._tracker.forgive()
        self._tracker.unread.clear()
        if recompute:
            for track in scope.tracks(self._tracker.tracks):
                track.forget_tracking()
        return self._walk(direction, scope, self._skipped)

    def planned_frames(
        self,
        direction: str | Direction = Direction.BOTH,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
    ) -> int:
        """Return how many results `propagate` would hand out now."""
        tracks = self._tracker.tracks
        scope = Scope.of(tracks, self.n_frames, start, stop, object_ids)
        return count_visits(scope.tracks(tracks), as_direction(direction), scope)

    def cancel(self) -> None:
        """Stop the running propagation before its next result; may come from any thread."""
        self._cancelled.set()

    def accept(self, object_id: int, frame: int) -> None:
        """Fix an object in a frame as it is: never overwritten, and remembered.

        Parameters
        ----------
        object_id, frame : int

        Raises
        ------
        SessionError
            There is no such object, or no such frame.
        """
        with self._lock:
            object_id = check_object_id(object_id)
            self._tracker.accept(object_id, self._checked_frame(frame))

    def accept_all(self, frame: int) -> None:
        """Fix all objects with prompts in a frame as they are; see `accept`."""
        with self._lock:
            frame = self._checked_frame(frame)
            for object_id in self.object_ids:
                self._tracker.accept(object_id, frame)

    def unaccept(self, object_id: int, frame: int) -> None:
        """Lift the acceptance of an object in a frame: its mask stays until it is tracked anew.

        Raises
        ------
        SessionError
            It is not accepted there.
        """
        with self._lock:
            if ObjectFrame(object_id, frame) not in self._publisher.accepted:
                raise SessionError(f"Object {object_id} is not accepted in frame {frame}.")
            self._publisher.unaccept(object_id, frame)
            if self.prompts.get(object_id, frame) is None:
                self._tracker.reopen(object_id, frame)

    def merge(self, object_id: int, other: int) -> None:
        """Make one object of two; the frames decided for either are kept as they are drawn now.

        Whatever fails on the way, the objects are as they were then.

        Raises
        ------
        SessionError
            There is no such object, or both are the same.
        LabelsError
            The labels cannot be written.
        """
        with self._lock:
            if object_id == other:
                raise SessionError("An object cannot be merged with itself.")
            into, gone = self._tracker.track(object_id), self._tracker.track(other)
            known = self._known()
            self.prompts = self._tracker.regroup(lambda: joined(into, gone, known))
            self._drawn_now(object_id, other)

    def split(self, object_id: int, frame: int, new_id: int) -> None:
        """Make an object of its own of what an object is from `frame` on.

        The first frame of the new object is kept as it is drawn. So is the last frame of the
        old one, if no other frame says where that is. Whatever fails on the way, the object is
        as it was then.

        Raises
        ------
        SessionError
            There is no such object, the new id is taken, or nothing would be left of it.
        LabelsError
            The labels cannot be written.
        """
        with self._lock:
            track = self._tracker.track(object_id)
            frame, new_id = self._checked_frame(frame), check_object_id(new_id)
            if new_id in self._tracker.tracks:
                raise SessionError(f"There is an object {new_id} already.")
            self._publisher.mask(new_id, frame)  # before anything changes: the labels hold this id
            written = np.flatnonzero(track.written[:frame]).tolist()
            earlier = [f for f in written if self._publisher.mask(object_id, f).any()]
            if not earlier or not self._publisher.mask(object_id, frame).any():
                raise SessionError(
                    f"Object {object_id} cannot be split at frame {frame}.",
                    remedy="Go to the frame where the new object begins, after the first one.",
                )
            known, last = self._known(), earlier[-1]
            self.prompts = self._tracker.regroup(lambda: divided(track, frame, new_id, last, known))

    def watch_labels(self, seen: Callable[[int, Labels, Labels], None] | None) -> None:
        """Have every write told: frame, labels before and after, (Y, X) each; None: no more.

        The call comes in the thread that writes, when the labels have changed.
        """
        with self._lock:
            self._publisher.volume.on_write = seen

    def snapshot(self) -> SessionState:
        """Return what the session knows now, without the labels; for `restore`."""
        with self._lock:
            tracks = self._tracker.tracks
            return SessionState(
                self.prompts.copy(),
                frozenset(self._publisher.accepted),
                frozenset(self.handed_over),
                tuple(TrackState.of(tracks[object_id]) for object_id in sorted(tracks)),
            )

    def restore(self, state: SessionState) -> None:
        """Come back to a snapshot of this session. The labels are the caller's to put back."""
        with self._lock:
            self.prompts = state.prompts.copy()
            self.handed_over = set(state.handed_over)
            tracks = [t.track(self.stack.n_frames, self.model.config) for t in state.tracks]
            self._tracker.tracks = {track.object_id: track for track in tracks}
            for pair in self._publisher.accepted - state.accepted:
                self._publisher.unaccept(*pair)
            for pair in state.accepted - self._publisher.accepted:
                self._publisher.accept(*pair)

    def save(self, path: str | PathLike[str]) -> None:
        """Write prompts, accepted frames and settings to a session file, atomically."""
        write_session(self.to_file(), path)

    def to_file(self) -> SessionFile:
        """Return what `save` writes."""
        with self._lock:
            return SessionFile.of_masks(
                self.prompts,
                self.accepted,
                self._publisher.mask,
                ((pair, mask.unpack()) for pair, mask in self.corrected_masks().items()),
                handed_over=frozenset(self.handed_over),
                settings=settings_to_save(self.model.name, self.stack, self.settings),
                contrast=tuple((each.low, each.high) for each in self.stack.contrast),
                axis=self.stack.axis,
                at=self.stack.at,
                region=self.stack.region,
            )

    @classmethod
    def load(
        cls, path: str | PathLike[str], model: Model, stack: Any, axis: int = 0, **options: Any
    ) -> TrackingSession:
        """Replay a session file on a stack; `options` are those of the constructor.

        Where the settings skip frames that cannot be read, clicks and boxes in such frames are
        left out, see `skipped`; what was drawn, corrected or accepted there is in the labels.

        Raises
        ------
        PromptError
            The file is damaged, or made for a stack of another size.
        """
        saved = read_session(path)
        if not isinstance(stack, FrameStack):
            stack = restored_stack(saved, stack, axis, options.pop("contrast", None))
        options.setdefault("settings", saved_settings(saved))
        session = cls(model, stack, **options)
        for _ in session.replay(saved):
            pass
        return session

    def replay(self, saved: SessionFile) -> Iterator[Replayed]:
        """Take the prompts and accepted masks of a session file in, one after the other.

        Parameters
        ----------
        saved : SessionFile
            Made for a stack of this shape.

        Yields
        ------
        Replayed
            What came of each, and how many are still to come.

        Raises
        ------
        PromptError
            It was made for a stack of another shape; nothing is taken in.
        """
        if saved.book.shape != self.stack.shape:
            raise PromptError(
                f"The session belongs to a stack of shape {saved.book.shape}, "
                f"and this one is {self.stack.shape}.",
                remedy="Open the stack that the session was made for.",
            )
        left = len(saved.book) + len(saved.accepted_masks)
        for object_id, frame, prompt in saved.book:
            masks = None
            with self._lock, self._skipping():
                masks = self._replay(object_id, frame, prompt, saved)
                self.handed_over |= saved.handed_over & {ObjectFrame(object_id, frame)}
            left -= 1
            yield Replayed(left, masks)
        for pair, mask in saved.accepted_masks.items():
            with self._lock:
                if pair not in self._publisher.accepted:
                    self._tracker.restore(*pair, mask)
            left -= 1
            yield Replayed(left)

    def corrected_masks(self) -> dict[ObjectFrame, PackedMask]:
        """Return what came of prompts that correct tracked frames, by object and frame.

        A session file holds them: these prompts alone would not give the same again.
        """
        with self._lock:
            return corrected_masks(self.prompts, self._tracker.tracks)

    def _prompt(self, object_id: int, frame: int, change: Callable[[], FramePrompt]) -> FrameMasks:
        """Change the prompts and decide the frame; frames that could not be read are tried."""
        object_id, frame = check_object_id(object_id), check_frame(frame, self.n_frames)
        with self._lock:
            self._tracker.forgive()
            return self._decide(object_id, frame, change)

    def _decide(self, object_id: int, frame: int, change: Callable[[], FramePrompt]) -> FrameMasks:
        """Change the prompts and decide the frame; if that fails, no prompt has changed."""
        before = self.prompts.get(object_id, frame)
        prompt = change()
        try:
            refines = before is not None and prompt.refines(before)
            result = self._tracker.decide(object_id, frame, prompt, refines=refines)
        except Sam2Error:
            if before is None:
                self.prompts.remove(object_id, frame)
            else:
                self.prompts.put(object_id, frame, before)
            raise
        self.handed_over.discard(ObjectFrame(object_id, frame))
        return result

    def _prompt_at(self, object_id: int, frame: int) -> FramePrompt:
        prompt = self.prompts.get(object_id, frame)
        if prompt is None:
            raise SessionError(f"Object {object_id} has no prompt in frame {frame}.")
        return prompt

    def _checked_frame(self, frame: int) -> int:
        frame = as_whole_number(frame, "frame")
        if not 0 <= frame < self.stack.n_frames:
            raise SessionError(
                f"There is no frame {frame}.",
                remedy=f"Frames go from 0 to {self.stack.n_frames - 1}.",
            )
        return frame

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """Note a frame that cannot be read, unless the settings say to stop."""
        try:
            yield
        except FrameError as error:
            if self.settings.unreadable is Unreadable.STOP:
                raise
            self._skipped[error.frame] = error

    def _walk(
        self, direction: Direction, scope: Scope, skipped: dict[int, FrameError]
    ) -> Iterator[FrameMasks]:
        shown: set[ObjectFrame] = set()
        stranded: dict[int, FrameError] = {}
        for each in passes(direction):
            nearest = direction is Direction.BOTH
            yield from self._pass(Schedule(each, scope, shown, skipped, stranded, nearest))
        if stranded and not self._cancelled.is_set():
            raise stranded[min(stranded)]

    def _pass(self, schedule: Schedule) -> Iterator[FrameMasks]:
        try:
            while (result := self._visit_next(schedule)) is not None:
                yield result
        finally:
            with self._lock:
                self._tracker.rest()

    def _visit_next(self, schedule: Schedule) -> FrameMasks | None:
        # The lock is not held between two frames: other threads may prompt meanwhile.
        with self._lock:
            frame = None if self._cancelled.is_set() else schedule.next_frame(self._tracker.tracks)
            return None if frame is None else self._tracker.visit(frame, schedule)

    def _known(self) -> Known:
        publisher = self._publisher
        return Known(self.prompts, publisher.accepted, publisher.pixels, self._tracker.as_drawn)

    def _drawn_now(self, *object_ids: int) -> None:
        """Take prompts of objects that were regrouped for the user's own."""
        self.handed_over = {each for each in self.handed_over if each.object_id not in object_ids}

    def _replay(
        self, object_id: int, frame: int, prompt: FramePrompt, saved: SessionFile
    ) -> FrameMasks | None:
        """Take a prompt in as it is, or what came of it; return what the network says of it."""
        pair = ObjectFrame(object_id, frame)
        if pair in saved.accepted_masks:  # whatever the prompt would give
            self._tracker.restore(object_id, frame, saved.accepted_masks[pair])
        elif pair in saved.results:
            self._tracker.recorrect(object_id, frame, prompt, saved.results[pair])
        else:
            return self._decide(
                object_id, frame, lambda: self.prompts.put(object_id, frame, prompt)
            )
        self.prompts.put(object_id, frame, prompt)
        return None


def _check_given(model: object, settings: object) -> None:
    """Tell what is mixed up easily: a model and its name, settings and a dictionary of them."""
    if not isinstance(model, Model):
        raise SessionError(
            f"The model of a session is what load_model returns, not {_short(model)}.",
            remedy="Pass load_model(name).",
        )
    if not isinstance(settings, TrackingSettings | None):
        raise SessionError(
            f"The settings of a session are TrackingSettings, not {_short(settings)}.",
            remedy="Pass TrackingSettings(...).",
        )


def _short(value: object) -> str:
    return repr(value) if isinstance(value, str | None) else f"a {type(value).__name__}"
