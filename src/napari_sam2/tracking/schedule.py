"""The order in which a propagation visits frames, and the number of its visits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import FrameError, PromptError, SessionError
from napari_sam2.prompts.checks import as_whole_number
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.types import Direction, ObjectFrame

_FIRST_STRETCH = 32  # frames of the first, shortest search for the next frame to do


def frame_range(start: int | None, stop: int | None, n_frames: int) -> tuple[int, int]:
    """Return the frames start to stop - 1; None is the first frame or the end.

    Raises
    ------
    SessionError
        There is no such range.
    """
    first = 0 if start is None else _whole(start, "start")
    last = n_frames if stop is None else _whole(stop, "stop")
    if not 0 <= first < last <= n_frames:
        raise SessionError(
            f"Frames {first} to {last} (end excluded) are no range of this stack.",
            remedy=f"Choose 0 <= start < stop <= {n_frames}.",
        )
    return first, last


def _whole(value: object, name: str) -> int:
    try:
        return as_whole_number(value, name)
    except PromptError as error:
        raise SessionError(error.happened, remedy=error.remedy) from None


@dataclass(frozen=True, slots=True)
class Scope:
    """The frames, direction and objects of a propagation.

    Attributes
    ----------
    start, stop : int
        Frames start to stop - 1.
    object_ids : frozenset of int, or None
        Only these objects; None: all, those added meanwhile too.
    """

    start: int
    stop: int
    object_ids: frozenset[int] | None

    @classmethod
    def of(
        cls,
        tracks: Mapping[int, ObjectTrack],
        n_frames: int,
        start: int | None,
        stop: int | None,
        object_ids: Iterable[int] | None,
    ) -> Scope:
        """Check what a user asks for; what is left out means everything.

        Raises
        ------
        SessionError
            There is nothing to follow, no such object, or no such range.
        """
        first, last = frame_range(start, stop, n_frames)
        if not tracks:
            raise SessionError(
                "There is no object to follow yet.",
                remedy="Click an object, or give a box or a mask, in any frame first.",
            )
        if object_ids is None:
            return cls(first, last, None)
        if not isinstance(object_ids, Iterable):
            raise SessionError(
                f"object_ids is {object_ids!r}.",
                remedy="Give several ids, or one as [id]; None means all objects.",
            )
        chosen = frozenset(object_ids)
        unknown = sorted(chosen - tracks.keys())
        if unknown:
            raise SessionError(
                f"There is no object {unknown[0]} in this session.",
                remedy=f"Objects with prompts: {tuple(sorted(tracks))}.",
            )
        return cls(first, last, chosen)

    def tracks(self, tracks: Mapping[int, ObjectTrack]) -> list[ObjectTrack]:
        """Return the objects in scope, in the order of their ids."""
        return [
            tracks[object_id]
            for object_id in sorted(tracks)
            if self.object_ids is None or object_id in self.object_ids
        ]


class Schedule:
    """Chooses the next frame in one direction of a propagation, from the tracks as they are then.

    Where a prompt arrives behind the pass, it turns back, and the object catches up with the
    others: it must not be followed from where the pass is, over frames that it was not seen in.

    Parameters
    ----------
    direction : Direction
        FORWARD or BACKWARD.
    scope : Scope
    shown : set of ObjectFrame
        Conditioning frames that were handed out already; filled as they are.
    skipped : mapping of int to FrameError
        Frames that cannot be read; filled as they are met, and not visited again.
    stranded : mapping of int to FrameError
        Objects that cannot be followed, since no frame that they begin from can be read; filled
        as they are met, and left alone from then on.
    nearest : bool
        A backward pass follows: forward leaves to it what is nearer to a decided frame ahead.

    Attributes
    ----------
    late : bool
        Prompts have arrived during the pass.
    """

    def __init__(
        self,
        direction: Direction,
        scope: Scope,
        shown: set[ObjectFrame],
        skipped: dict[int, FrameError],
        stranded: dict[int, FrameError],
        nearest: bool = False,
    ) -> None:
        self.direction = direction
        self.nearest = nearest
        self.step = 1 if direction is Direction.FORWARD else -1
        self.scope = scope
        self.shown = shown
        self.skipped = skipped
        self.stranded = stranded
        self.late = False
        self._position: int | None = None

    def next_frame(self, tracks: Mapping[int, ObjectTrack]) -> int | None:
        """Return the nearest frame ahead with anything to do, or None at the end of the pass."""
        self._turn_back(tracks)
        for frame in self.ahead(tracks, 1):
            self._position = frame
            return frame
        return None

    def ahead(self, tracks: Mapping[int, ObjectTrack], count: int) -> list[int]:
        """Return the nearest frames ahead with anything to do, so many at most, in their order."""
        found: list[int] = []
        for start, stop in self._stretches():
            if len(found) >= count:
                break
            frames = np.flatnonzero(self._wanted(tracks, start, stop)) + start
            found += frames[:: self.step].tolist()
        return found[:count]

    def _turn_back(self, tracks: Mapping[int, ObjectTrack]) -> None:
        """Return to the frames before those that a new decision affects."""
        for track in self.scope.tracks(tracks):
            for frame in track.changed_decisions:
                self.late = True
                first, last = track.neighbourhood(frame)
                if self._position is not None:
                    self._position = (
                        min(self._position, first - 1)
                        if self.step > 0
                        else max(self._position, last + 1)
                    )
            track.changed_decisions.clear()

    def _stretches(self) -> Iterator[tuple[int, int]]:
        """Divide the frames ahead into stretches: mostly only the next frame is needed."""
        start, stop, length = self.scope.start, self.scope.stop, _FIRST_STRETCH
        if self.step > 0:
            start = start if self._position is None else max(start, self._position + 1)
        else:
            stop = stop if self._position is None else min(stop, self._position)
        while start < stop:
            if self.step > 0:
                yield start, min(start + length, stop)
                start += length
            else:
                yield max(stop - length, start), stop
                stop -= length
            length *= 2

    def split(
        self, frame: int, tracks: Mapping[int, ObjectTrack]
    ) -> tuple[list[ObjectTrack], list[ObjectTrack]]:
        """Return the objects conditioned at `frame` and not yet reported, and those to track."""
        given, tracked = [], []
        for track in self.scope.tracks(tracks):
            if frame in track.conditioning:
                if ObjectFrame(track.object_id, frame) not in self.shown:
                    given.append(track)
            elif self._needed(track, frame, frame + 1)[0]:
                tracked.append(track)
        return given, tracked

    def rest_of_run(self, track: ObjectTrack, frame: int) -> list[int]:
        """Return the frames still to be tracked from `frame` to the next conditioning frame.

        Of those outside of the scope, only the ones that were never written: the others keep
        their labels.
        """
        first, last = track.neighbourhood(frame)
        start, stop = (frame + 1, last + 1) if self.step > 0 else (first, frame)
        if start >= stop:
            return []
        kept = track.written[start:stop].copy()
        kept[max(0, self.scope.start - start) : max(0, self.scope.stop - start)] = False
        ahead: list[int] = np.flatnonzero(self._needed(track, start, stop) & ~kept).tolist()
        return [start + each for each in ahead]

    def _wanted(
        self, tracks: Mapping[int, ObjectTrack], start: int, stop: int
    ) -> NDArray[np.bool_]:
        """Return in which frames of start..stop - 1 there is anything to do."""
        wanted = np.zeros(stop - start, dtype=bool)
        for track in self.scope.tracks(tracks):
            wanted |= self._needed(track, start, stop)
            for frame in track.conditioning.between(start, stop):
                if ObjectFrame(track.object_id, frame) not in self.shown:
                    wanted[frame - start] = True
        return wanted

    def _needed(self, track: ObjectTrack, start: int, stop: int) -> NDArray[np.bool_]:
        """Return in which frames of start..stop - 1 an object is to be tracked."""
        needed = track.needed(self.direction, start, stop, self.nearest)
        if track.object_id in self.stranded:
            needed[:] = False
        needed[[frame - start for frame in self._skipped_in(start, stop)]] = False
        return needed

    def _skipped_in(self, start: int, stop: int) -> list[int]:
        if stop - start < len(self.skipped):
            return [frame for frame in range(start, stop) if frame in self.skipped]
        return [frame for frame in self.skipped if start <= frame < stop]


def as_direction(direction: str | Direction) -> Direction:
    """Return the direction of a name; raise `SessionError` for an unknown one."""
    try:
        return Direction(direction)
    except ValueError:
        raise SessionError(
            f"The direction {direction!r} is unknown.",
            remedy="Choose forward, backward or both.",
        ) from None


def passes(direction: Direction) -> tuple[Direction, ...]:
    """Return the passes of a direction: both is forward first, then backward."""
    if direction is Direction.BOTH:
        return (Direction.FORWARD, Direction.BACKWARD)
    return (direction,)


def plan_visits(
    tracks: Iterable[ObjectTrack], direction: Direction, scope: Scope, n_frames: int
) -> NDArray[np.int_]:
    """Return how often a propagation will hand out each frame, as things stand, shape (T,)."""
    tracks = list(tracks)
    start, stop = scope.start, scope.stop
    given = np.zeros(stop - start, dtype=bool)
    planned = {each: np.zeros_like(given) for each in passes(direction)}
    for track in tracks:
        given[[frame - start for frame in track.conditioning.between(start, stop)]] = True
        left = np.ones_like(given)
        for each, frames in planned.items():
            nearest = direction is Direction.BOTH
            needed = track.needed(each, start, stop, nearest) & left
            np.logical_or(frames, needed, out=frames)
            left &= ~needed
    planned[passes(direction)[0]] |= given
    visits = np.zeros(n_frames, dtype=int)
    visits[start:stop] = sum(frames.astype(int) for frames in planned.values())
    return visits
