"""Changes to the objects of a session that are no prompts: the other half of `TrackingSession`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from napari_sam2.errors import FrameError, PromptError, SessionError
from napari_sam2.labels import PackedMask
from napari_sam2.labels.compose import Labels
from napari_sam2.prompts import FramePrompt, PromptBook, SessionFile
from napari_sam2.prompts.checks import as_whole_number, check_object_id
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.publishing import Publisher
from napari_sam2.tracking.regrouping import Known, divided, joined
from napari_sam2.tracking.session_file import corrected_masks
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.tracking.snapshot import SessionState, TrackState
from napari_sam2.tracking.tracker import Tracker
from napari_sam2.types import FrameMasks, Replayed, Unreadable


class SessionEditing:
    """What can be done to objects once they are there; `TrackingSession` is one.

    Attributes
    ----------
    handed_over : set of (int, int)
        Frames and object ids of mask prompts that nobody drew: what was found of the objects of
        the volume before. Whoever gives such a prompt says so here, and session files remember.
    """

    model: Model
    stack: FrameStack
    prompts: PromptBook
    settings: TrackingSettings
    _publisher: Publisher
    _tracker: Tracker
    _lock: threading.RLock
    _skipped: dict[int, FrameError]
    handed_over: set[tuple[int, int]]

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

    def accept(self, frame: int, object_id: int | None = None) -> None:
        """Fix an object (or all) in a frame as it is: never overwritten, and remembered.

        Raises
        ------
        SessionError
            There is no such object.
        """
        with self._lock:
            tracks = self._tracker.tracks
            ids = sorted(tracks) if object_id is None else [check_object_id(object_id)]
            frame = self._checked_frame(frame)
            for each in ids:
                self._tracker.accept(each, frame)

    def corrected_masks(self) -> dict[tuple[int, int], PackedMask]:
        """Return what came of prompts that correct tracked frames, by frame and object id.

        A session file holds them: these prompts alone would not give the same again.
        """
        with self._lock:
            return corrected_masks(self.prompts, self._tracker.tracks)

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
                self.prompts.put(object_id, frame, prompt)
                self.handed_over |= saved.handed_over & {(frame, object_id)}
            left -= 1
            yield Replayed(left, masks)
        for (frame, object_id), mask in saved.accepted_masks.items():
            with self._lock:
                if (frame, object_id) not in self._publisher.accepted:
                    self._tracker.restore(object_id, frame, mask)
            left -= 1
            yield Replayed(left)

    def _replay(
        self, object_id: int, frame: int, prompt: FramePrompt, saved: SessionFile
    ) -> FrameMasks | None:
        """Take a prompt in as it is, or what came of it; return what the network says of it."""
        pair = frame, object_id
        if pair in saved.accepted_masks:  # whatever the prompt would give
            self._tracker.restore(object_id, frame, saved.accepted_masks[pair])
        elif pair in saved.results:
            self._tracker.recorrect(object_id, frame, prompt, saved.results[pair])
        else:
            return self._tracker.decide(object_id, frame, prompt)
        return None

    def unaccept(self, frame: int, object_id: int) -> None:
        """Lift the acceptance of an object in a frame: its mask stays until it is tracked anew.

        Raises
        ------
        SessionError
            It is not accepted there.
        """
        with self._lock:
            if (frame, object_id) not in self._publisher.accepted:
                raise SessionError(f"Object {object_id} is not accepted in frame {frame}.")
            self._publisher.unaccept(frame, object_id)
            if self.prompts.get(object_id, frame) is None:
                self._tracker.reopen(object_id, frame)

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
            self._publisher.mask(frame, new_id)  # before anything changes: the labels hold this id
            written = np.flatnonzero(track.written[:frame]).tolist()
            earlier = [f for f in written if self._publisher.mask(f, object_id).any()]
            if not earlier or not self._publisher.mask(frame, object_id).any():
                raise SessionError(
                    f"Object {object_id} cannot be split at frame {frame}.",
                    remedy="Go to the frame where the new object begins, after the first one.",
                )
            known, last = self._known(), earlier[-1]
            self.prompts = self._tracker.regroup(lambda: divided(track, frame, new_id, last, known))

    def _drawn_now(self, *object_ids: int) -> None:
        """Take prompts of objects that were regrouped for the user's own."""
        self.handed_over = {pair for pair in self.handed_over if pair[1] not in object_ids}

    def _known(self) -> Known:
        publisher = self._publisher
        return Known(self.prompts, publisher.accepted, publisher.pixels, self._tracker.as_drawn)

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

    def _prompt_at(self, object_id: int, frame: int) -> FramePrompt:
        prompt = self.prompts.get(object_id, frame)
        if prompt is None:
            raise SessionError(f"Object {object_id} has no prompt in frame {frame}.")
        return prompt
