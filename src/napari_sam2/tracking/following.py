"""How the objects of a session are followed: the part of `TrackingSession` that propagates."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from napari_sam2.errors import FrameError
from napari_sam2.tracking.editing import SessionEditing
from napari_sam2.tracking.schedule import Schedule, Scope, as_direction, count_visits, passes
from napari_sam2.types import Direction, FrameMasks


class SessionFollowing(SessionEditing):
    """What carries objects through the stack; `TrackingSession` is one."""

    _cancelled: threading.Event

    @property
    def n_frames(self) -> int:
        """Frames of the stack."""
        return self.stack.n_frames

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

    def _walk(
        self, direction: Direction, scope: Scope, skipped: dict[int, FrameError]
    ) -> Iterator[FrameMasks]:
        shown: set[tuple[int, int]] = set()
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
