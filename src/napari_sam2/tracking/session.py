"""`TrackingSession`: the prompts, objects and labels of one stack, and all edits of them.

The session owns the prompts, the tracker and the lock that makes its methods safe to call from any
thread.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sam2.detection import DetectionSettings
from napari_sam2.errors import (
    DetectionError,
    FrameError,
    LineageError,
    PromptError,
    SessionError,
    StoreError,
)
from napari_sam2.labels import FrameRecord, PackedMask
from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.divisions import checked_divisions
from napari_sam2.labels.store.result_store import ResultStore, read_about
from napari_sam2.prompts import (
    FramePrompt,
    PromptBook,
    SessionFile,
    read_session,
    write_session,
)
from napari_sam2.prompts.checks import as_whole_number, check_frame, check_object_id
from napari_sam2.stack import FrameStack, StackKind
from napari_sam2.tracking.division_proposals import ProposedDivision, propose_divisions
from napari_sam2.tracking.engine import (
    StepInterruptedError,
    approximations,
    follows_objects,
)
from napari_sam2.tracking.frame_search import FrameSearch, SearchTarget
from napari_sam2.tracking.label_writer import LabelWriter, undecided
from napari_sam2.tracking.lifetimes import (
    after_merge,
    after_split,
    apply_lifetimes,
    check_alive,
    check_decided,
    without_object,
)
from napari_sam2.tracking.merge_split import SessionObjects, plan_merge, plan_split
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.object_finder import Origin, Proposal
from napari_sam2.tracking.schedule import Schedule, Scope, as_direction, passes, plan_visits
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.tracking.state.kept_results import (
    about_session,
    check_same_image,
    continues,
    kept_contrast,
    kept_kind,
    kept_settings,
    restore_results,
    store_beside,
)
from napari_sam2.tracking.state.result_keeper import ResultKeeper, SessionParts
from napari_sam2.tracking.state.session_io import (
    restored_stack,
    saved_settings,
    settings_to_save,
)
from napari_sam2.tracking.state.session_state import SessionState, SessionTemplate
from napari_sam2.tracking.tracker import Tracker
from napari_sam2.types import (
    Direction,
    Division,
    FrameMasks,
    ObjectFrame,
    Region,
    Replayed,
    Unreadable,
)


class _SearchCancelledError(Exception):
    """A search for objects was cancelled; it never leaves this module."""


class TrackingSession:
    """Objects of one stack, prompted in some frames and tracked through the others.

    Features, memories and predictions are kept for a bounded number of frames, however long the
    stack; only the labels grow with it. Methods may be called from several threads; a prompt
    during a propagation waits until the current frame is finished.

    Parameters
    ----------
    model : Model
        From `load_model`.
    stack : array-like or FrameStack
        YX, TYX, ZYX, TYXC and so on; see `FrameStack`.
    axis : int
        The video axis of an array-like `stack`.
    keep_logits : bool
        Whether results include mask logits at full resolution.
    labels : array-like, optional
        An integer array (T, Y, X), numpy or zarr, to write to; a new one by default. Objects that
        are tracked or found leave the labels that it already holds alone; a prompt takes the
        pixels of its mask, in its frame.
    settings : TrackingSettings
    contrast : (low, high), optional
        Intensities shown as black and white; robust percentiles of the stack by default.
    at : mapping of int to int, optional
        Position at which each further axis of an array-like `stack` is held, such as ``{0: 3}``
        for the fourth time point of (T, Z, Y, X) with ``axis=1``.
    kind : StackKind or str
        What the frames of an array-like `stack` are: "z-stack", "time-lapse" or "unknown".
    store : path, optional
        A folder, by custom ``NAME.sam2.zarr``, to which labels, scores and state are written about
        once per second while they are computed. Where it holds results for this image already, the
        session continues from them, with their settings and contrast unless others are given.

    Attributes
    ----------
    model : Model
    stack : FrameStack
    settings : TrackingSettings
    prompts : PromptBook
        All prompts; change them with the methods of the session only.
    handed_over : set of ObjectFrame
        Mask prompts that come from the former volume of a series instead of the user. The code
        that sets such a prompt adds it here; session files store it.

    Raises
    ------
    StackError
        The stack has no readable frames, or a further axis whose position `at` does not give.
    LabelsError
        The labels do not fit the stack, or cannot be written.
    SessionError
        The model or the settings have the wrong type.
    StoreError
        The store cannot be written to, was made for another image, or is in use.
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
        at: Mapping[int, int] | None = None,
        kind: StackKind | str = StackKind.UNKNOWN,
        store: str | PathLike[str] | None = None,
    ) -> None:
        _check_given(model, settings)
        self.model = model
        kept = None if store is None else read_about(Path(store))
        if not isinstance(stack, FrameStack):
            contrast = contrast or kept_contrast(kept)
            kind = kept_kind(kept) if kind == StackKind.UNKNOWN else kind
            stack = FrameStack(stack, axis=axis, contrast=contrast, at=at, kind=kind)
        self.stack: FrameStack = stack
        self.settings = settings or kept_settings(kept)
        self._n_frames: int = self.stack.n_frames
        self.prompts = PromptBook(self.stack.shape)
        self._label_writer = LabelWriter(self.stack.shape, labels, self.settings)
        self._tracker = Tracker(model, self.stack, self.settings, self._label_writer, keep_logits)
        self._search = FrameSearch(
            model,
            self.stack,
            self._tracker,
            self._label_writer.volume,
            lambda: self._divisions,
        )
        self._lock = threading.RLock()
        self._cancelled = threading.Event()
        self._skipped: dict[int, FrameError] = {}
        self.handed_over: set[ObjectFrame] = set()
        self._divisions: tuple[Division, ...] = ()
        self._refused: frozenset[tuple[int, frozenset[int]]] = frozenset()
        self._accepted_then: frozenset[ObjectFrame] = frozenset()  # as of the last snapshot
        self._running = self._propagated = False
        self._interrupted: dict[int, FrameError] | None = None  # of a propagation in the store
        self._keeper: ResultKeeper | None = None
        if store is not None:
            self._open_store(Path(store), anew=False, scan=labels is not None)

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: a copy would share memories, labels and the lock."""
        raise SessionError(
            "A session cannot be copied or sent to another process.",
            safe="It is unchanged.",
            remedy="Save it, and load the file there: session.save(path), TrackingSession.load.",
        )

    @property
    def template(self) -> SessionTemplate:
        """A template that opens sessions with the same model and settings on other stacks."""
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
        return self._n_frames

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.stack.frame_shape

    @property
    def approximations(self) -> tuple[str, ...]:
        """The approximations of the chosen speed with this model; empty if it is exact."""
        return approximations(self.model, self.settings)

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects with prompts, ascending."""
        return tuple(sorted(self._tracker.tracks))

    @property
    def accepted(self) -> tuple[ObjectFrame, ...]:
        """Accepted objects and frames, ascending by object, then by frame."""
        return tuple(sorted(self._label_writer.accepted))

    @property
    def divisions(self) -> tuple[Division, ...]:
        """Divisions of objects, ascending by frame."""
        return self._divisions

    @property
    def skipped(self) -> tuple[FrameError, ...]:
        """Errors of the frames that were skipped since loading or since the last `propagate`.

        They include conditioning frames that could not be read and are not attended to.
        """
        found = self._tracker.unread | self._skipped
        return tuple(found[frame] for frame in sorted(found))

    @property
    def labels(self) -> Any:
        """The labels (T, Y, X), filled as frames arrive; 0 is background."""
        return self._label_writer.volume.array

    @property
    def kept_in(self) -> Path | None:
        """The folder that results are written to; None: none."""
        return None if self._keeper is None else self._keeper.store.path

    @property
    def propagated(self) -> bool:
        """Whether `propagate` was ever called, here or in the session of the store before."""
        return self._propagated

    @property
    def store_trouble(self) -> StoreError | None:
        """Why the last results could not be written to the store; None if they were."""
        return None if self._keeper is None else self._keeper.trouble

    def kept_records(self) -> Iterator[FrameRecord]:
        """Yield scores and extents of objects by frame as they are in the store."""
        if self._keeper is not None:
            with self._lock:
                self._keeper.commit()
                yield from list(self._keeper.store.records())

    def record(self, records: Iterable[FrameRecord]) -> None:
        """Write these records to the store from now on, instead of measured masks."""
        if self._keeper is not None:
            with self._lock:
                self._keeper.measures = False
                self._keeper.record(records)
                self._keep_soon()

    def labels_changed(self, frame: int) -> None:
        """Record, for the store, that other code changed the labels of a frame."""
        if self._keeper is not None:
            with self._lock:
                self._keeper.changed(self._checked_frame(frame))
                self._keep_soon()

    def keep_in(self, store: str | PathLike[str], records: Iterable[FrameRecord] = ()) -> None:
        """Write labels, scores and state to a folder from now on; they replace what it holds.

        Parameters
        ----------
        store : path
        records : iterable of FrameRecord
            Scores and extents that are known already.

        Raises
        ------
        StoreError
            The folder cannot be written to, is no store, or is in use.
        """
        with self._lock:
            self.close()
            self._open_store(Path(store), anew=True, scan=True, records=records)

    def continue_in(self, store: str | PathLike[str]) -> bool:
        """Continue from a folder and write to it from now on, if it holds the same labels.

        For a session without objects on labels that an earlier one has filled. Image, model,
        settings and labels must be those of the folder; otherwise nothing changes.

        Returns
        -------
        bool
            Whether the session continues from there.

        Raises
        ------
        StoreError
            The folder cannot be written to, is no store, or is in use.
        """
        with self._lock:
            path = Path(store)
            about = read_about(path)
            if about is None or about["shape"] != list(self.stack.shape) or self.object_ids:
                return False
            now = about_session(self.model, self.stack, self.settings)
            kept = ResultStore(path, self.stack.shape, self._label_writer.volume.dtype, now)
            try:
                if not continues(kept, now, self.labels):
                    kept.close()
                    return False
                self._take_results(kept, now)
            except BaseException:
                kept.close()
                raise
            self.close()
            self._keeper = ResultKeeper(kept, self._label_writer.volume, self._parts)
            return True

    def keep(self) -> None:
        """Write everything to the store now; see `store_trouble`."""
        with self._lock:
            if self._keeper is not None:
                self._keeper.commit()

    def close(self) -> None:
        """Write everything to the store and unlock it; do nothing without a store.

        The session stays usable and keeps later results in memory only.
        """
        with self._lock:
            if self._keeper is not None:
                self._keeper.close()
                self._keeper = None

    def add_points(
        self,
        object_id: int,
        frame: int,
        points: Sequence[Sequence[float]] | NDArray[Any],
        positive: Sequence[bool] | None = None,
    ) -> FrameMasks:
        """Add clicks of an object in a frame, and return its mask there.

        A further click refines the mask of the earlier ones in that frame. A click in a tracked
        frame corrects it: `propagate` then recomputes the frames up to the neighbouring prompted
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
            A point is outside the stack, or there is no point.
        """
        return self._prompt(
            object_id, frame, lambda: self.prompts.add_points(object_id, frame, points, positive)
        )

    def add_box(self, object_id: int, frame: int, box: Sequence[float]) -> FrameMasks:
        """Add a box (y0, x0, y1, x1) around an object, and return its mask there."""
        return self._prompt(object_id, frame, lambda: self.prompts.add_box(object_id, frame, box))

    def add_mask(self, object_id: int, frame: int, mask: ArrayLike) -> FrameMasks:
        """Set an object's mask in a frame, shape (Y, X); it is kept exactly as drawn."""
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
        """Set the whole prompt of an object in a frame, and return its mask there.

        The network predicts one mask of points, box and mask together. A prompt that adds a round
        of clicks to the former one refines the former mask, as `add_points` does.

        Parameters
        ----------
        object_id : int
            Label id, from 1.
        frame : int
        prompt : FramePrompt or None
            None removes the former prompt, as `remove_prompts` does.

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
                object_id, frame, partial(self.prompts.put, object_id, frame, prompt)
            )
        object_id, frame = check_object_id(object_id), check_frame(frame, self.n_frames)
        with self._lock:
            if self.prompts.get(object_id, frame) is not None:
                self.remove_prompts(object_id, frame)
            return undecided(object_id, frame, self._label_writer.mask(object_id, frame))

    def remove_prompts(self, object_id: int, frame: int | None = None) -> None:
        """Remove the prompts of one frame, or an object with all its prompts and labels.

        Labels around the frame stay until `propagate` computes them again. An object without
        prompted and accepted frames is removed from the labels too.

        Raises
        ------
        SessionError, PromptError
            There is no such object, or no prompt of it in that frame.
        LabelsError
            The labels cannot be written; the session is unchanged.
        """
        if frame is None:
            self.remove_objects((object_id,))
            return
        with self._lock:
            self._tracker.track(object_id)
            rest = self.prompts.copy()
            rest.remove(object_id, frame)
            # The labels come first: what fails there leaves the prompts as they are.
            self._tracker.release(object_id, frame)
            self.prompts = rest
            if object_id not in self._tracker.tracks:
                self._set_divisions(without_object(self._divisions, object_id))
            self._keep_soon()

    def remove_objects(self, object_ids: Iterable[int]) -> None:
        """Remove objects with all their prompts and labels: all of them or, on failure, none.

        However many they are, each frame of the labels is written once.

        Raises
        ------
        SessionError
            There is no such object.
        LabelsError
            The labels cannot be written; the session is unchanged.
        """
        with self._lock:
            gone = frozenset(object_ids)
            for object_id in sorted(gone):
                self._tracker.track(object_id)
            # The labels come first: what fails there leaves the prompts as they are.
            self._tracker.forget(gone)
            self.prompts = self.prompts.without(gone)
            divisions = self._divisions
            for object_id in sorted(gone):
                divisions = without_object(divisions, object_id)
            self._set_divisions(divisions)
            self._keep_soon()

    def candidates(self, object_id: int, frame: int) -> int:
        """Return how many masks the prompts of a frame could mean: 3 for one click, else 1."""
        with self._lock:
            return self._tracker.candidates(self._prompt_at(object_id, frame))

    def choose(self, object_id: int, frame: int, rank: int) -> FrameMasks:
        """Choose one of the masks that a click can mean; 0 has the highest predicted IoU.

        Session files hold the chosen mask.

        Raises
        ------
        SessionError
            The frame has no prompt of the object, or the prompt has fewer masks.
        """
        with self._lock:
            prompt = self._prompt_at(object_id, frame)
            candidates = self._tracker.candidates(prompt)
            if rank not in range(candidates):
                raise SessionError(
                    f"The prompt of object {object_id} in frame {frame} could mean no mask {rank}.",
                    remedy=f"Choose one from 0 to {candidates - 1}; see `candidates`.",
                )
            return self._prompt(object_id, frame, lambda: prompt, int(rank))

    def propagate(
        self,
        direction: str | Direction = Direction.BOTH,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
        recompute: bool = False,
    ) -> Iterator[FrameMasks]:
        """Track objects through the stack, frame by frame.

        "forward" tracks upwards from the first prompted frame of an object, "backward" downwards
        from its last one. "both" goes forward, then backward, and reaches every frame from the
        nearest prompted or accepted one. Frames that are up to date are not computed again:
        after a correction only the frames around it are.

        Parameters
        ----------
        direction : {"both", "forward", "backward"}
        start, stop : int, optional
            Only frames start to stop - 1; the whole stack by default.
        object_ids : iterable of int, optional
            Only these objects; by default all, including those prompted meanwhile.
        recompute : bool
            Also compute frames again that are up to date, of those asked for.

        Yields
        ------
        FrameMasks
            One per frame and pass, already written to `labels`; prompted and accepted frames on
            the way are included. A frame that cannot be read has the reason in `skipped`; its
            labels stay, and the next call of `propagate` tries it again.

        Raises
        ------
        SessionError
            There is no prompt, or the range is impossible.
        FrameError
            A frame cannot be read and `settings.unreadable` is STOP; or no conditioning frame of
            an object can be read, which is raised after all other objects have been tracked.
            The labels so far are kept.
        DeviceError
            The device fails or has too little memory; the labels so far are kept.
        """
        direction = as_direction(direction)
        scope = Scope.of(self._tracker.tracks, self.n_frames, start, stop, object_ids)
        self._cancelled.clear()
        # The frames that an interrupted propagation could not read are not tried before its end.
        self._skipped, self._interrupted = dict(self._interrupted or {}), None
        self._running = self._propagated = True
        self._tracker.engine.retry_unreadable()
        self._tracker.unread.clear()
        for track in self._tracker.tracks.values():
            track.changed_decisions.clear()
        if recompute:
            for track in scope.tracks(self._tracker.tracks):
                track.forget_tracking(direction, scope.start, scope.stop)
        return self._walk(direction, scope, self._skipped)

    def planned_frames(
        self,
        direction: str | Direction = Direction.BOTH,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
    ) -> int:
        """Return the number of results that `propagate` would yield now."""
        return sum(self.planned_visits(direction, start, stop, object_ids))

    def planned_visits(
        self,
        direction: str | Direction = Direction.BOTH,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
    ) -> tuple[int, ...]:
        """Return the number of results that `propagate` would yield now for each frame.

        A frame between the prompts of two objects is visited in both directions.
        """
        tracks = self._tracker.tracks
        scope = Scope.of(tracks, self.n_frames, start, stop, object_ids)
        chosen = scope.tracks(tracks)
        visits = plan_visits(chosen, as_direction(direction), scope, self.n_frames)
        return tuple(visits.tolist())

    def outdated_frames(self) -> dict[int, tuple[int, ...]]:
        """Return the frames whose masks were tracked before a prompt near them changed.

        Their masks stay until `propagate` computes them again.

        Returns
        -------
        dict of int to tuple of int
            Frames, ascending, by object id; objects without such frames are left out.
        """
        with self._lock:
            found = {i: track.outdated() for i, track in self._tracker.tracks.items()}
        return {object_id: frames for object_id, frames in found.items() if frames}

    def cancel(self) -> None:
        """Stop the running propagation before its next result; may come from any thread."""
        self._cancelled.set()
        self._tracker.engine.interrupt()

    def accept(self, object_id: int, frame: int) -> None:
        """Accept the mask of an object in a frame: it is kept, and other frames attend to it.

        Parameters
        ----------
        object_id, frame : int

        Raises
        ------
        SessionError
            There is no such object, or no such frame.
        """
        with self._lock:
            object_id, frame = check_object_id(object_id), self._checked_frame(frame)
            check_alive(self._divisions, object_id, frame)
            self._tracker.accept(object_id, frame)
            self._tracker.found.discard(object_id)
            self._keep_soon()

    def accept_all(self, frame: int) -> None:
        """Accept all objects of the session in a frame; see `accept`."""
        with self._lock:
            frame = self._checked_frame(frame)
            for object_id, track in sorted(self._tracker.tracks.items()):
                if track.begin <= frame < track.end:
                    self._tracker.accept(object_id, frame)
                    self._tracker.found.discard(object_id)
            self._keep_soon()

    def unaccept(self, object_id: int, frame: int) -> None:
        """Withdraw the acceptance of an object in a frame; its mask stays until tracked again.

        An object without any other prompted or accepted frame is no longer one of the session:
        what was tracked from this frame is erased, and its mask here stays in the labels.

        Raises
        ------
        SessionError
            It is not accepted there.
        LabelsError
            The labels cannot be written; the session is unchanged.
        """
        with self._lock:
            if ObjectFrame(object_id, frame) not in self._label_writer.accepted:
                raise SessionError(f"Object {object_id} is not accepted in frame {frame}.")
            if self.prompts.get(object_id, frame) is None:
                self._tracker.reopen(object_id, frame)
            self._label_writer.unaccept(object_id, frame)
            if object_id not in self._tracker.tracks:
                self._set_divisions(without_object(self._divisions, object_id))
            self._keep_soon()

    def merge(self, object_id: int, other: int) -> None:
        """Merge two objects into one, which keeps the masks of their conditioning frames.

        If it fails, the objects are unchanged.

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
            objects = self._session_objects()
            self.prompts = self._tracker.regroup(lambda: plan_merge(into, gone, objects))
            self._drawn_now(object_id, other)
            merged = self._tracker.track(object_id)
            self._set_divisions(after_merge(self._divisions, object_id, other, merged))
            self._keep_soon()

    def split(self, object_id: int, frame: int, new_id: int) -> None:
        """Split an object: from `frame` on it becomes another object.

        The mask in the first frame of the new object becomes a mask prompt. So does the mask in
        the last frame of the old object, if that has no prompted or accepted frame left. Neither
        is tracked beyond `frame` again, unless it is prompted or accepted there. If it fails, the
        object is unchanged.

        Raises
        ------
        SessionError
            There is no such object, the new id is taken, or no frame would be left.
        LabelsError
            The labels cannot be written.
        """
        with self._lock:
            track = self._tracker.track(object_id)
            frame, new_id = self._checked_frame(frame), check_object_id(new_id)
            if new_id in self._tracker.tracks:
                raise SessionError(f"There is an object {new_id} already.")
            self._label_writer.volume.checked_id(new_id)  # before anything changes
            held = self._first_from(new_id, 0)
            if held is not None:
                raise SessionError(
                    f"The labels have an object {new_id} already, in frame {held}.",
                    remedy="Give an id that the labels do not hold.",
                )
            written = np.flatnonzero(track.written[:frame]).tolist()
            earlier = [f for f in written if self._label_writer.mask(object_id, f).any()]
            if not earlier or not self._label_writer.mask(object_id, frame).any():
                raise SessionError(
                    f"Object {object_id} cannot be split at frame {frame}.",
                    remedy="Go to the frame where the new object begins, after the first one.",
                )
            objects, last = self._session_objects(), earlier[-1]
            self.prompts = self._tracker.regroup(
                lambda: plan_split(track, frame, new_id, last, objects)
            )
            self._set_divisions(after_split(self._divisions, object_id, new_id))
            self._keep_soon()

    def add_division(self, parent: int, children: Sequence[int], frame: int) -> Division:
        """Add the division of an object into others, which exist from `frame` on.

        The parent ends before `frame`, and the children begin there. Tracked masks outside these
        ranges are erased and not tracked again. The first frames of the children, where the parent
        had their pixels, are computed again.

        Parameters
        ----------
        parent : int
        children : sequence of int
            Usually two; one where the other is not in the image.
        frame : int
            The first frame of the children.

        Returns
        -------
        Division

        Raises
        ------
        SessionError
            There is no such object or frame, or one of them is prompted or accepted where it
            would not exist.
        LineageError
            The division contradicts another one, or the parent does not begin before `frame`.
        LabelsError
            The labels cannot be written; the session is unchanged.
        """
        with self._lock:
            given = Division(parent, tuple(children), self._checked_frame(frame))
            divisions = checked_divisions((*self._divisions, given), self.n_frames)
            ends = self._tracker.track(parent)
            begins = [self._tracker.track(child) for child in given.children]
            if not self._is_before(ends.object_id, given.frame):
                raise LineageError(
                    f"Object {parent} is in no frame before {given.frame}, where it divides.",
                    remedy="Propagate it first, or give a later frame.",
                )
            check_decided(ends, 0, given.frame)
            for track in begins:
                check_decided(track, given.frame, self.n_frames)
            with self._all_or_nothing((parent, *given.children)):
                self._tracker.erase(ends, range(given.frame, self.n_frames))
                for track in begins:
                    self._tracker.erase(track, range(given.frame))
                    # There the parent held the pixels.
                    track.done[given.frame : track.neighbourhood(given.frame)[1] + 1] = False
                self._set_divisions(divisions)
            self._keep_soon()
            return given

    def remove_division(self, parent: int) -> None:
        """Remove the division of an object; `propagate` then tracks it and its children again.

        Raises
        ------
        SessionError
            The object does not divide.
        """
        with self._lock:
            kept = tuple(each for each in self._divisions if each.parent != parent)
            if len(kept) == len(self._divisions):
                raise SessionError(
                    f"Object {parent} does not divide.",
                    remedy=f"Objects that do: {[each.parent for each in kept] or 'none'}.",
                )
            self._set_divisions(kept)
            self._keep_soon()

    def set_divisions(self, divisions: Iterable[Division]) -> None:
        """Replace all divisions without any change of the labels.

        Raises
        ------
        LineageError
            They cannot all be true; the session is unchanged.
        """
        with self._lock:
            self._set_divisions(checked_divisions(divisions, self.n_frames))
            self._keep_soon()

    def propose_divisions(
        self,
        frames_back: int = 3,
        *,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[ProposedDivision, ...]:
        """Find probable divisions; the session is unchanged.

        Each object that begins after the first frame and has no parent is followed backward in a
        separate session, where other objects do not limit its masks. If it leads into an earlier
        object, and the areas are plausible, a division is proposed. `accept_division` applies it;
        `refuse_division` excludes it from later proposals.

        Parameters
        ----------
        frames_back : int
            Number of frames over which each object is followed.
        progress : callable, optional
            Called with the share that is done, in 0..1.
        cancelled : callable
            Called after every frame; True ends the search, and nothing is proposed.

        Returns
        -------
        tuple of ProposedDivision
            By frame, at most one for each parent: after it is accepted, its children may divide.

        Raises
        ------
        SessionError
            `frames_back` is below 1.
        FrameError, DeviceError
            As in `propagate`.
        """
        if as_whole_number(frames_back, "frames_back") < 1:
            raise SessionError(
                f"Objects cannot be followed {frames_back} frames backward.",
                remedy="Give a number of 1 or more.",
            )
        label_writer = self._label_writer
        spans: dict[int, list[int]] = {number: [] for number in self.object_ids}
        for frame in range(self.n_frames):
            for number in label_writer.volume.object_ids(frame):
                if number in spans:
                    spans[number].append(frame)
        scratch = self._scratch_session()

        def follow(child: int, first: int, count: int) -> Iterator[tuple[int, NDArray[np.bool_]]]:
            scratch.add_mask(child, first, label_writer.mask(child, first))
            start = max(0, first - count)
            try:
                for result in scratch.propagate("backward", start, first + 1):
                    if cancelled():
                        return
                    if result.frame < first and child in result.object_ids:
                        yield result.frame, result.masks[result.object_ids.index(child)]
            finally:
                scratch.remove_prompts(child)

        found = propose_divisions(
            spans,
            label_writer.mask,
            follow,
            self._divisions,
            frames_back,
            progress=progress,
            cancelled=cancelled,
        )
        return tuple(each for each in found if each.key not in self._refused)

    def _scratch_session(self) -> TrackingSession:
        """Return an empty session on this stack whose masks may overlap."""
        settings = replace(self.settings, exclusive=False, overlap=True, absent_limit=None)
        return TrackingSession(self.model, self.stack, settings=settings)

    def accept_division(self, proposed: ProposedDivision) -> Division:
        """Apply a proposed division.

        If the parent continues as one of the children, it is split first, so that both children
        have their own ids.

        Raises
        ------
        SessionError, LineageError, LabelsError
            As in `split` and `add_division`; the session is unchanged.
        """
        division, new_id = proposed.division, proposed.new_id
        with self._lock, self._all_or_nothing((division.parent, *division.children)):
            for child in division.children:
                if child != new_id:
                    check_decided(self._tracker.track(child), division.frame, self.n_frames)
            children = division.children
            if new_id is not None:
                named = {n for each in self._divisions for n in (each.parent, *each.children)}
                largest = self._label_writer.volume.largest_id()
                free = max(largest, *named, *self._tracker.tracks) + 1
                at = self._first_from(division.parent, division.frame)
                if at is None:
                    children = tuple(each for each in children if each != new_id)
                else:
                    self.split(division.parent, at, free)
                    children = tuple(free if each == new_id else each for each in children)
            return self.add_division(division.parent, children, division.frame)

    def refuse_division(self, proposed: ProposedDivision) -> None:
        """Do not propose a division again in this session."""
        with self._lock:
            self._refused |= {proposed.key}

    def find_objects(
        self,
        frame: int,
        *,
        settings: DetectionSettings | None = None,
        like: Iterable[int] = (),
        min_similarity: float = 0.8,
        region: Region | None = None,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        **options: Any,
    ) -> tuple[int, ...]:
        """Find objects in a frame, and add each as an object with one point prompt.

        Pixels of existing objects stay theirs, except those of tentative objects that were followed
        into a frame of a time-lapse (see `propose_objects`). The new objects are tentative until
        they are reviewed; see `found_objects`.

        Parameters
        ----------
        frame : int
        settings : DetectionSettings, optional
        like : iterable of int
            Only objects whose size and appearance are like those of these objects.
        min_similarity : float
            Least cosine with one of them, in -1..1.
        region : Region, optional
            The part of the frame that is searched; objects whose point is outside are left out.
        progress : callable, optional
            Called with the share that is done, in 0..1.
        cancelled : callable
            Called often; True ends the search, and nothing is added.
        **options
            Fields of `DetectionSettings`, such as `min_size` and `max_size` in pixels.

        Returns
        -------
        tuple of int
            Ids of the objects; empty where nothing was found. One that was found before has its
            former id.

        Raises
        ------
        DetectionError
            More were found than the settings allow, or an example is in no frame.
        FrameError
            The frame cannot be read.
        DeviceError
            The device fails or has too little memory.
        """
        found = self.propose_objects(
            frame,
            settings=settings,
            like=like,
            region=region,
            progress=progress,
            cancelled=cancelled,
            **options,
        )
        alike = [p for p in found if p.similarity is None or p.similarity >= min_similarity]
        return self.add_proposals([p for p in alike if not p.unlikely])

    def propose_objects(
        self,
        frame: int,
        *,
        settings: DetectionSettings | None = None,
        like: Iterable[int] = (),
        region: Region | None = None,
        also_searched: Iterable[int] = (),
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        **options: Any,
    ) -> tuple[Proposal, ...]:
        """Find objects in a frame as `find_objects` does, and add none; see `add_proposals`.

        Objects that `find_objects` leaves out as unlikely come last and are marked so. Objects that
        stand out far more in a frame of `also_searched` are left to the search of that frame.

        In a time-lapse, the search compares its masks with tentative objects that were followed
        into the frame. Proposals for these come first: a better mask of such an object
        (`continues`), its two children (`origin`), or the parent of two of them (`fate`).
        """
        settings = replace(settings or DetectionSettings(), **options)
        with self._lock:
            frame = self._checked_frame(frame)
            examples = tuple(self._example_of(object_id, frame) for object_id in like)

            def advance(done: float) -> None:
                if cancelled():
                    raise _SearchCancelledError
                if progress is not None:
                    progress(done)

            self._tracker.engine.retry_unreadable()
            target = SearchTarget(frame, settings, examples, region, tuple(also_searched))
            try:
                return self._search.propose(target, advance)
            except _SearchCancelledError:
                return ()

    def add_proposals(
        self, proposals: Iterable[Proposal], object_ids: Iterable[int] | None = None
    ) -> tuple[int, ...]:
        """Add proposed objects; return their ids. All are added or, on failure, none.

        A proposal that continues an object becomes a further prompt of that object. Two proposals
        with an `origin` are the children of that object, which ends where they begin. A proposal
        with a `fate` is the parent of two objects and ends where these begin.

        Parameters
        ----------
        proposals : iterable of Proposal
        object_ids : iterable of int, optional
            One for each: the object that it continues, or a new id, above all ids of the session
            and its labels. By default what the proposals say, and the next new ids.

        Raises
        ------
        LabelsError
            The labels cannot be written, or cannot hold so many ids.
        SessionError
            An id is taken or given twice, one of two daughters is given without the other, or an
            object has been prompted or accepted since where the proposals say something else.
        LineageError
            A division contradicts another one.
        """
        with self._lock:
            given = tuple(proposals)
            ids = self._ids_for(given, object_ids)
            for object_id in ids:  # before anything changes: the labels hold these ids
                self._label_writer.volume.checked_id(object_id)
            added = dict(zip(ids, given, strict=True))
            divisions = _divisions_of(added)
            for object_id, proposal in added.items():
                self._check_undecided(object_id, proposal.decided.frame)
            touched = {n for each in divisions for n in (each.parent, *each.children)}
            with self._all_or_nothing(touched | added.keys()):
                self._make_room(added, divisions)
                self._tracker.add(added)
                for object_id, proposal in added.items():
                    self.prompts.put(object_id, proposal.decided.frame, proposal.prompt)
                self._tracker.found |= added.keys()
                for each in divisions:
                    self.add_division(each.parent, each.children, each.frame)
            self._keep_soon()
            return tuple(added)

    def _check_undecided(self, object_id: int, frame: int) -> None:
        """Raise a `SessionError` if a continued object has been decided in the frame meanwhile."""
        track = self._tracker.tracks.get(object_id)
        if track is not None and frame in track.conditioning:
            raise SessionError(
                f"Object {object_id} has been prompted or accepted in frame {frame} since it was "
                "found there.",
                safe="Nothing was added.",
                remedy="Search once more, or leave that proposal out.",
            )

    def _make_room(self, added: Mapping[int, Proposal], divisions: Sequence[Division]) -> None:
        """Erase tracked masks that proposals replace."""
        gone: dict[int, range] = {
            object_id: range(proposal.decided.frame, proposal.decided.frame + 1)
            for object_id, proposal in added.items()
        }
        for each in divisions:
            gone.setdefault(each.parent, range(each.frame, self.n_frames))
            for child in each.children:
                gone.setdefault(child, range(each.frame))
        for object_id, frames in gone.items():
            if object_id in self._tracker.tracks:
                self._tracker.erase(self._tracker.tracks[object_id], frames)

    def _ids_for(
        self, proposals: Sequence[Proposal], object_ids: Iterable[int] | None
    ) -> tuple[int, ...]:
        """Return an id for each proposal; see `add_proposals`."""
        taken = max((self._label_writer.volume.largest_id(), *self._tracker.tracks))
        going_on = [
            each.continues if each.continues in self._tracker.tracks else None for each in proposals
        ]
        if object_ids is None:
            new = count(taken + 1)
            return tuple(next(new) if each is None else each for each in going_on)
        ids = tuple(check_object_id(number) for number in object_ids)
        for number, known in zip(ids, going_on, strict=True):
            if (number <= taken and number != known) or ids.count(number) > 1:
                raise SessionError(
                    f"A found object cannot have the id {number}: it is taken.",
                    safe="Nothing was added.",
                    remedy=f"Give ids from {taken + 1} on, each one once.",
                )
        return ids

    @property
    def found_objects(self) -> tuple[int, ...]:
        """Ids of tentative objects, ascending: `find_objects` added them, and no one reviewed them.

        A prompt, an acceptance or `review` makes an object an ordinary one.
        """
        return tuple(sorted(self._tracker.found & self._tracker.tracks.keys()))

    def review(self, object_ids: Iterable[int] | None = None) -> None:
        """Make found objects, by default all, ordinary ones; their masks do not change."""
        with self._lock:
            seen = self._tracker.found if object_ids is None else set(object_ids)
            self._tracker.found = self._tracker.found - seen
            self._keep_soon()

    def accept_found(self) -> None:
        """Accept all found objects in the frames of their points."""
        with self._lock:
            for object_id in self.found_objects:
                for frame in self.prompts.frames(object_id):
                    self._tracker.accept(object_id, frame)
            self._tracker.found.clear()
            self._keep_soon()

    def discard_found(self) -> None:
        """Remove all tentative found objects."""
        with self._lock:
            self.remove_objects(self.found_objects)
            self._tracker.found.clear()
            self._keep_soon()

    def _example_of(self, object_id: int, frame: int) -> ObjectFrame:
        """Return the nearest decided frame of an object that shows it."""
        track = self._tracker.track(object_id)
        shown = [f for f, each in track.conditioning.items() if each.pixels.any()]
        if not shown:
            raise DetectionError(
                f"Object {object_id} has no mask that others could be like.",
                remedy="Choose an object with a prompted or accepted mask.",
            )
        return ObjectFrame(object_id, min(shown, key=lambda f: abs(f - frame)))

    def watch_labels(self, seen: Callable[[int, Labels, Labels], None] | None) -> None:
        """Call `seen` after every write with frame, former and new labels, (Y, X); None ends this.

        The call runs on the thread that writes.
        """
        with self._lock:
            self._label_writer.volume.on_write = seen

    def snapshot(self) -> SessionState:
        """Return the state of the session without the labels; for `restore`."""
        with self._lock:
            tracks = self._tracker.tracks
            # Snapshots share what has not changed: of many objects accepted in all frames, each
            # step of a history would have a copy of its own.
            if self._accepted_then != self._label_writer.accepted:
                self._accepted_then = frozenset(self._label_writer.accepted)
            return SessionState(
                self.prompts.copy(),
                self._accepted_then,
                frozenset(self.handed_over),
                frozenset(self._tracker.found),
                tuple([tracks[object_id].state() for object_id in sorted(tracks)]),
                self._divisions,
                self._refused,
            )

    def restore(self, state: SessionState) -> None:
        """Restore a snapshot of this session; the caller restores the labels."""
        with self._lock:
            self.prompts = state.prompts.copy()
            self.handed_over = set(state.handed_over)
            self._tracker.found = set(state.found)
            tracks = [t.track(self.stack.n_frames, self.model.config) for t in state.tracks]
            self._tracker.tracks = {track.object_id: track for track in tracks}
            self._set_divisions(state.divisions)
            self._refused = state.refused
            for pair in self._label_writer.accepted - state.accepted:
                self._label_writer.unaccept(*pair)
            for pair in state.accepted - self._label_writer.accepted:
                self._label_writer.accept(*pair)
            self._keep_soon()

    def save(self, path: str | PathLike[str]) -> None:
        """Write prompts, accepted frames and settings to a session file, atomically."""
        write_session(self.to_file(), path)

    def to_file(self) -> SessionFile:
        """Return the content that `save` writes."""
        with self._lock:
            return SessionFile.of_masks(
                self.prompts.copy(),
                self.accepted,
                self._label_writer.volume.view,
                ((pair, mask.corner_and_part()) for pair, mask in self.corrected_masks().items()),
                handed_over=frozenset(self.handed_over),
                found=self.found_objects,
                settings={
                    **settings_to_save(self.model.name, self.stack, self.settings),
                    "image_size": self.model.image_size,
                },
                contrast=tuple((each.low, each.high) for each in self.stack.contrast),
                axis=self.stack.axis,
                at=self.stack.at,
                region=self.stack.region,
                divisions=self._divisions,
                spans=self.spans(),
            )

    @classmethod
    def load(
        cls, path: str | PathLike[str], model: Model, stack: Any, axis: int = 0, **options: Any
    ) -> TrackingSession:
        """Replay a session file on a stack; `options` are those of the constructor.

        A file may hold sessions of several stacks of an image: the one at the positions ``at``, or
        at those of a `FrameStack`, is replayed. Results that were kept beside the
        file, in the folder ``NAME.sam2.zarr`` of ``NAME.sam2.json``, come back with it, and the
        session writes to that folder again; ``store=None`` leaves them alone.

        Where the settings skip frames that cannot be read, clicks and boxes in such frames are
        left out, see `skipped`; masks drawn, corrected or accepted there are in the labels.

        Raises
        ------
        PromptError
            The file is damaged, or made for a stack of another size, or holds the sessions of
            several stacks and none of this one.
        """
        at = stack.at if isinstance(stack, FrameStack) else options.pop("at", None)
        saved = read_session(path, at=at)
        if not isinstance(stack, FrameStack):
            contrast, kind = options.pop("contrast", None), options.pop("kind", None)
            stack = restored_stack(saved, stack, axis, contrast, at, kind)
        options.setdefault("settings", saved_settings(saved))
        beside = store_beside(Path(path), stack.at)
        if "store" not in options and read_about(beside) is not None:
            try:
                session = cls(model, stack, store=beside, **options)
            except StoreError as error:
                warnings.warn(f"{error} The session file alone is replayed.", stacklevel=2)
                session = cls(model, stack, **options)
        else:
            session = cls(model, stack, **options)
        for _ in session.replay(saved):
            pass
        session.keep()
        return session

    def replay(self, saved: SessionFile) -> Iterator[Replayed]:
        """Replay the prompts and accepted masks of a session file, one after the other.

        Those that the session holds already stay as they are, with what was tracked from them;
        those that the file does not hold are removed.

        Parameters
        ----------
        saved : SessionFile
            Made for a stack of this shape.

        Yields
        ------
        Replayed
            One per prompt and accepted mask, with the number of those left.

        Raises
        ------
        PromptError
            It was made for a stack of another shape; the session is unchanged.
        LineageError
            Its divisions cannot all be true; the session is unchanged.
        """
        if saved.book.shape != self.stack.shape:
            raise PromptError(
                f"The session belongs to a stack of shape {saved.book.shape}, "
                f"and this one is {self.stack.shape}.",
                remedy="Open the stack that the session was made for.",
            )
        divisions = checked_divisions(saved.divisions, self.n_frames)
        left = len(saved.book) + len(saved.accepted_masks)
        self._drop_others(saved)
        for object_id, frame, prompt in saved.book:
            masks = None
            with self._lock, self._skipping():
                if self.prompts.get(object_id, frame) != prompt:
                    masks = self._replay(object_id, frame, prompt, saved)
                self.handed_over |= saved.handed_over & {ObjectFrame(object_id, frame)}
                self._keep_soon()
            left -= 1
            yield Replayed(left, masks)
        for pair, mask in saved.accepted_masks.items():
            with self._lock:
                if pair not in self._label_writer.accepted:
                    self._tracker.restore(*pair, mask)
            left -= 1
            yield Replayed(left)
        with self._lock:
            for object_id, track in self._tracker.tracks.items():
                track.span = saved.spans.get(object_id, (0, self.n_frames))
                for frame in track.conditioning:
                    track.reach(frame)
            self._tracker.found |= saved.found & self._tracker.tracks.keys()
            self._set_divisions(divisions)

    def spans(self) -> dict[int, tuple[int, int]]:
        """Return the frames, begin to end - 1, to which splits limit objects, by object id.

        Objects that are not part of a split one are left out.
        """
        with self._lock:
            tracks, whole = self._tracker.tracks.items(), (0, self.n_frames)
            return {number: track.span for number, track in tracks if track.span != whole}

    def corrected_masks(self) -> dict[ObjectFrame, PackedMask]:
        """Return the masks that their prompts alone do not reproduce; session files store them.

        These are corrections of tracked frames, found objects, masks that were chosen among
        several, and masks that were drawn over others.
        """
        with self._lock:
            return self._tracker.corrected_masks(self.prompts)

    def _prompt(
        self,
        object_id: int,
        frame: int,
        change: Callable[[], FramePrompt],
        rank: int | None = None,
    ) -> FrameMasks:
        """Change the prompts and decide the frame; frames that could not be read are tried."""
        object_id, frame = check_object_id(object_id), check_frame(frame, self._n_frames)
        with self._lock:
            if self._divisions:
                check_alive(self._divisions, object_id, frame)
            self._tracker.engine.retry_unreadable()
            result = self._decide(object_id, frame, change, rank)
            self._noted(result)
            return result

    def _decide(
        self,
        object_id: int,
        frame: int,
        change: Callable[[], FramePrompt],
        rank: int | None = None,
    ) -> FrameMasks:
        """Change the prompts and decide the frame; if that fails, no prompt has changed.

        `rank`: which of the masks that the prompt could mean was chosen; None: not chosen.
        """
        before = self.prompts.get(object_id, frame)
        prompt = change()
        try:
            refines = rank is None and before is not None and prompt.refines(before)
            result = self._tracker.decide(object_id, frame, prompt, refines, rank or 0)
        except BaseException:  # an interruption too
            if before is None:
                self.prompts.remove(object_id, frame)
            else:
                self.prompts.put(object_id, frame, before)
            raise
        self.handed_over.discard(ObjectFrame(object_id, frame))
        self._tracker.found.discard(object_id)
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
        """Record a frame that cannot be read, unless the settings stop there."""
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
        try:
            late = True
            while late and not self._cancelled.is_set():
                late = False
                for each in passes(direction):
                    nearest = direction is Direction.BOTH
                    schedule = Schedule(each, scope, shown, skipped, stranded, nearest)
                    yield from self._pass(schedule)
                    # What was prompted in the second pass is due in the first one too.
                    late = schedule.late and direction is Direction.BOTH
            self._running = self._cancelled.is_set()
        finally:
            self.keep()
        if stranded and not self._cancelled.is_set():
            raise stranded[min(stranded)]

    def _pass(self, schedule: Schedule) -> Iterator[FrameMasks]:
        try:
            while (result := self._visit_next(schedule)) is not None:
                yield result
        finally:
            with self._lock:
                self._tracker.stop_background_work()

    def _visit_next(self, schedule: Schedule) -> FrameMasks | None:
        # The lock is not held between two frames: other threads may prompt meanwhile.
        with self._lock:
            frame = None if self._cancelled.is_set() else schedule.next_frame(self._tracker.tracks)
            if frame is None:
                return None
            try:
                visited = self._tracker.visit(frame, schedule)
                result = replace(visited, forward=schedule.step > 0)
            except StepInterruptedError:
                return None
            self._noted(result)
            return result

    def _open_store(
        self, path: Path, *, anew: bool, scan: bool, records: Iterable[FrameRecord] = ()
    ) -> None:
        """Continue from a store, or create one; `scan` stores labels that exist already."""
        volume = self._label_writer.volume
        about = about_session(self.model, self.stack, self.settings)
        store = ResultStore(path, volume.shape, volume.dtype, about, anew=anew)
        damaged: Sequence[int] = ()
        try:
            if store.state is not None:
                check_same_image(store.about, about, path)
                damaged = self._take_results(store, about)
            store.about = about
            self._keeper = ResultKeeper(store, volume, self._parts)
            self._keeper.record(records)
            for frame in damaged:
                self._keeper.changed(frame)
            if scan and store.state is None:
                for frame in range(self.n_frames):
                    if volume.any(frame):
                        self._keeper.changed(frame)
            self.keep()
        except BaseException:
            self._keeper, volume.on_patch = None, None
            store.close()
            raise

    def _take_results(self, store: ResultStore, about: Mapping[str, Any]) -> Sequence[int]:
        """Load the results of a store; return the frames whose labels are damaged."""
        restored = restore_results(store, self.model, self._tracker, self._label_writer, about)
        for pair, prompt in restored.prompts.items():
            self.prompts.put(*pair, prompt)
        for pair in restored.undecided:
            with self._skipping():
                self._decide(*pair, partial(self.prompts.put, *pair, restored.prompts[pair]))
        self.handed_over = set(restored.handed_over)
        self._tracker.found = set(restored.found & self._tracker.tracks.keys())
        self._set_divisions(restored.divisions)
        self._interrupted = restored.skipped
        self._running, self._propagated = restored.skipped is not None, restored.propagated
        self._skipped = dict(restored.skipped or {})
        return restored.damaged

    def _parts(self) -> SessionParts:
        return SessionParts(
            self.prompts,
            self._tracker.tracks,
            self._label_writer.accepted,
            self.handed_over,
            frozenset(self._tracker.found),
            self._divisions,
            self._skipped,
            self._running,
            self._propagated,
        )

    def _noted(self, result: FrameMasks) -> None:
        """Record a result for the store."""
        if self._keeper is None:
            return
        if self._keeper.measures:
            self._keeper.note(result)
            self._keep_soon()
        else:  # labels and records are written together: the caller's records come next
            self._keeper.schedule(self.keep)

    def _keep_soon(self) -> None:
        if self._keeper is not None:
            if self._keeper.due:
                self._keeper.commit()
            else:
                self._keeper.schedule(self.keep)

    def _session_objects(self) -> SessionObjects:
        label_writer = self._label_writer
        return SessionObjects(
            self.prompts, label_writer.accepted, label_writer.pixels, self._tracker.as_drawn
        )

    @contextmanager
    def _all_or_nothing(self, object_ids: Iterable[int]) -> Iterator[None]:
        """Restore labels, prompts and objects if an exception leaves this context.

        Code inside may change no objects of the session but those in `object_ids`.
        """
        before, tracks = self.snapshot(), self._tracker.tracks.copy()
        tracks |= {number: tracks[number].copy() for number in tracks.keys() & set(object_ids)}
        try:
            with self._label_writer.volume.all_or_nothing():
                yield
        except BaseException:
            self.restore(before)
            self._tracker.tracks = tracks  # a snapshot has no memory of recent frames
            raise

    def _set_divisions(self, divisions: tuple[Division, ...]) -> None:
        self._divisions = divisions
        apply_lifetimes(self._tracker.tracks, divisions)

    def _is_before(self, object_id: int, frame: int) -> bool:
        """Return whether an object has a pixel before a frame."""
        return any(
            self._label_writer.mask(object_id, each).any() for each in reversed(range(frame))
        )

    def _first_from(self, object_id: int, frame: int) -> int | None:
        """Return the first frame from `frame` on in which an object has a pixel."""
        frames = range(frame, self.n_frames)
        return next(
            (each for each in frames if self._label_writer.mask(object_id, each).any()), None
        )

    def _drawn_now(self, *object_ids: int) -> None:
        """Treat prompts of regrouped objects as the user's own."""
        self.handed_over = {each for each in self.handed_over if each.object_id not in object_ids}
        self._tracker.found -= set(object_ids)

    def _drop_others(self, saved: SessionFile) -> None:
        """Remove prompts and acceptance that a session file does not hold."""
        with self._lock:
            for pair in self._label_writer.accepted - set(saved.accepted):
                others = self._tracker.track(pair.object_id).conditioning.keys() - {pair.frame}
                if others or self.prompts.get(*pair) is not None:
                    self.unaccept(*pair)
                else:
                    self.remove_prompts(pair.object_id)
            for object_id, frame, _ in self.prompts:
                if saved.book.get(object_id, frame) is None:
                    if ObjectFrame(object_id, frame) in self._label_writer.accepted:
                        self.prompts.remove(object_id, frame)
                    else:
                        self.remove_prompts(object_id, frame)

    def _replay(
        self, object_id: int, frame: int, prompt: FramePrompt, saved: SessionFile
    ) -> FrameMasks | None:
        """Set a prompt, or the mask that it gave in a former session; return the prediction."""
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
    """Raise an error for arguments that are easily confused: model names, settings dictionaries."""
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


def _divisions_of(added: Mapping[int, Proposal]) -> tuple[Division, ...]:
    """Return the divisions of objects that have become two of those that were added, or will.

    Raises
    ------
    SessionError
        Only one of the two is there.
    """
    born: dict[Origin, list[int]] = {}
    divisions = []
    for object_id, proposal in added.items():
        if proposal.origin is not None:
            born.setdefault(proposal.origin, []).append(object_id)
        if proposal.fate is not None:
            divisions.append(Division(object_id, *proposal.fate))
    for origin, children in born.items():
        if len(children) != 2:
            raise SessionError(
                f"Object {origin.parent} has become two objects, and {len(children)} of them is to "
                "be added.",
                safe="Nothing was added.",
                remedy="Add both or none of them.",
            )
        divisions.append(Division(origin.parent, (children[0], children[1]), origin.frame))
    return tuple(divisions)


def _short(value: object) -> str:
    return repr(value) if isinstance(value, str | None) else f"a {type(value).__name__}"
