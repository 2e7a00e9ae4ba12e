"""`ObjectTrack`: conditioning frames, computed frames and memory bank of one object."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, MutableMapping, Sequence, ValuesView
from dataclasses import dataclass
from operator import is_

import numpy as np
from numpy.typing import NDArray

from napari_sam2.network import Sam2Config
from napari_sam2.tracking.decoding.prediction import Conditioning
from napari_sam2.tracking.images.object_window import WindowedObject
from napari_sam2.tracking.memory.memory_bank import FrameMemory, RecentMemory
from napari_sam2.types import Direction


class ConditioningFrames(MutableMapping[int, Conditioning]):
    """Conditioning frames of one object, by frame.

    Besides the mapping, which keeps the order in which frames were decided, it keeps them sorted:
    however many there are, the nearest ones are found at once.

    Parameters
    ----------
    decided : iterable of Conditioning
    """

    def __init__(self, decided: Iterable[Conditioning] = ()) -> None:
        self._decided: dict[int, Conditioning] = {}
        self._turns: dict[int, int] = {}  # when a frame was decided first, counted
        self._frames: list[int] = []
        self._showing: list[int] = []  # frames that were not dismissed
        self._sighted: list[int] = []  # frames that say where the object is
        self._turn = 0
        for each in decided:
            self[each.frame] = each

    def copy(self) -> ConditioningFrames:
        """Return a copy that keeps the order of the decisions."""
        return ConditioningFrames(self.values())

    @property
    def frames(self) -> Sequence[int]:
        """All frames, ascending; not to be changed."""
        return self._frames

    @property
    def sources(self) -> Sequence[int]:
        """Frames that show the object, ascending, or all if none does; not to be changed."""
        return self._showing or self._frames

    def between(self, start: int, stop: int) -> Sequence[int]:
        """Return the frames from start to stop - 1, ascending."""
        return part(self._frames, start, stop)

    def distance(self, frame: int) -> int | None:
        """Return the distance to the nearest of these frames; None if there is none."""
        return min((abs(frame - each) for each in around(self._frames, frame)), default=None)

    def nearest_sighted(self, frame: int, without: int | None = None) -> Conditioning | None:
        """Return the nearest frame that shows the object; of two, the one decided first."""
        found = list(around(self._sighted, frame, without))
        if not found:
            return None
        nearest = min(found, key=lambda each: (abs(each - frame), self._turns[each]))
        return self._decided[nearest]

    def __getitem__(self, frame: int) -> Conditioning:
        return self._decided[frame]

    def __setitem__(self, frame: int, decided: Conditioning) -> None:
        if frame in self._decided:
            self._unlist(frame)
        else:
            insort(self._frames, frame)
            self._turns[frame] = self._turn
            self._turn += 1
        self._decided[frame] = decided
        if not decided.dismissed:
            insort(self._showing, frame)
        if decided.sighting is not None:
            insort(self._sighted, frame)

    def __delitem__(self, frame: int) -> None:
        del self._decided[frame]
        del self._turns[frame]
        _take(self._frames, frame)
        self._unlist(frame)

    def __iter__(self) -> Iterator[int]:
        return iter(self._decided)

    def __len__(self) -> int:
        return len(self._decided)

    def values(self) -> ValuesView[Conditioning]:
        """Return the decisions, in the order in which they were made."""
        return self._decided.values()

    def items(self) -> ItemsView[int, Conditioning]:
        """Return frames and decisions, in the order in which they were made."""
        return self._decided.items()

    def __contains__(self, frame: object) -> bool:
        return frame in self._decided

    def _unlist(self, frame: int) -> None:
        _take(self._showing, frame)
        _take(self._sighted, frame)


def part(frames: Sequence[int], start: int, stop: int) -> Sequence[int]:
    """Return those of ascending frames that are in start to stop - 1."""
    return frames[bisect_left(frames, start) : bisect_left(frames, stop)]


def around(frames: Sequence[int], frame: int, without: int | None = None) -> Iterator[int]:
    """Yield the nearest frame below `frame` and the nearest from it on, of ascending frames."""
    at = bisect_left(frames, frame)
    below, above = at - 1, at
    below -= below >= 0 and frames[below] == without
    above += above < len(frames) and frames[above] == without
    if below >= 0:
        yield frames[below]
    if above < len(frames):
        yield frames[above]


def _take(frames: list[int], frame: int) -> None:
    at = bisect_left(frames, frame)
    if at < len(frames) and frames[at] == frame:
        del frames[at]


class ObjectTrack:
    """The state of one object through the stack.

    Per frame it keeps two flags, computed and written; masks of conditioning frames, packed; and
    memories of the conditioning frames last attended to and of the last few frames of a pass.

    Parameters
    ----------
    object_id : int
    n_frames : int
    config : Sam2Config
        Configuration of the network; it has the number of recent memories.

    Attributes
    ----------
    lifetime : (int, int)
        Frames in which the object is born and divides, after the divisions of the session.
    span : (int, int)
        First frame and end of this part of an object that was split.
    changed_decisions : set of int
        Frames whose decision was added or removed since a pass used them last.
    """

    def __init__(self, object_id: int, n_frames: int, config: Sam2Config) -> None:
        self.object_id = object_id
        self.conditioning = ConditioningFrames()
        self.done: NDArray[np.bool_] = np.zeros(n_frames, dtype=bool)
        self.written: NDArray[np.bool_] = np.zeros(n_frames, dtype=bool)
        self.lifetime = self.span = (0, n_frames)
        self.changed_decisions: set[int] = set()
        self.absent_run = 0
        self.conditioning_memory: OrderedDict[int, FrameMemory] = OrderedDict()
        self._config = config
        self._recent: dict[int, RecentMemory] = {}
        self._state: TrackState | None = None  # as returned last

    def copy(self) -> ObjectTrack:
        """Return the same object, to change it without changing this one."""
        other = self.another(self.object_id)
        other.conditioning = self.conditioning.copy()
        other.done, other.written = self.done.copy(), self.written.copy()
        other.lifetime, other.span = self.lifetime, self.span
        other.changed_decisions = self.changed_decisions.copy()
        other.absent_run = self.absent_run
        other.conditioning_memory = self.conditioning_memory.copy()
        other._recent = dict(self._recent)
        return other

    @property
    def begin(self) -> int:
        """The first frame in which the object can be."""
        return max(self.lifetime[0], self.span[0])

    @property
    def end(self) -> int:
        """The frame after the last one in which the object can be."""
        return min(self.lifetime[1], self.span[1])

    def state(self) -> TrackState:
        """Return what is known of the object now, as a value: the last one if that is still true.

        A history of many steps then holds what has changed.
        """
        decided, done = tuple(self.conditioning.values()), np.packbits(self.done)
        now = TrackState(self.object_id, decided, done, np.packbits(self.written), self.span)
        if self._state is None or not now.is_like(self._state):
            self._state = now
        return self._state

    def another(self, object_id: int) -> ObjectTrack:
        """Return an empty track of the same stack."""
        return ObjectTrack(object_id, len(self.done), self._config)

    def condition(self, conditioning: Conditioning) -> None:
        """Add a conditioning frame; the frames around it must be tracked again."""
        self.conditioning[conditioning.frame] = conditioning
        self.reach(conditioning.frame)
        self._invalidate(conditioning.frame)

    def accept(self, conditioning: Conditioning) -> None:
        """Add a frame as it was tracked: its neighbourhood stays unchanged."""
        self.conditioning[conditioning.frame] = conditioning
        self.reach(conditioning.frame)
        self.conditioning_memory.pop(conditioning.frame, None)
        self.written[conditioning.frame] = True
        if not self.done[conditioning.frame]:
            self.changed_decisions.add(conditioning.frame)

    def reach(self, frame: int) -> None:
        """Lift the limit that a split has set, if the user decides about a frame beyond it."""
        begin, end = self.span
        self.span = 0 if frame < begin else begin, len(self.done) if frame >= end else end

    def release(self, frame: int) -> None:
        """Remove a conditioning frame; the frames around it must be tracked again."""
        self.conditioning.pop(frame, None)
        self._invalidate(frame)

    def _invalidate(self, frame: int) -> None:
        first, last = self.neighbourhood(frame)
        self.changed_decisions.add(frame)
        self.done[first : last + 1] = False
        self.conditioning_memory.pop(frame, None)
        self._recent.clear()

    def neighbourhood(self, frame: int) -> tuple[int, int]:
        """Return the first and last frame between the neighbouring conditioning frames."""
        frames = self.conditioning.frames
        below, above = bisect_left(frames, frame), bisect_left(frames, frame + 1)
        before = frames[below - 1] if below else -1
        after = frames[above] if above < len(frames) else len(self.done)
        return before + 1, after - 1

    def outdated(self) -> tuple[int, ...]:
        """Return the frames that were tracked before a decision near them changed, ascending."""
        old = self.written & ~self.done
        old[list(self.conditioning.frames)] = False
        old[: self.begin] = False
        old[self.end :] = False
        return tuple(np.flatnonzero(old).tolist())

    def forget_tracking(self, direction: Direction, start: int, stop: int) -> None:
        """Mark the frames of start..stop - 1 as not tracked that this direction reaches.

        Conditioning frames stay.
        """
        former = self.done[start:stop].copy()
        self.done[start:stop] = False
        self.done[start:stop] = former & ~self.needed(direction, start, stop)
        self.forget_recent()

    def forget_recent(self) -> None:
        """Drop the memories of recent frames."""
        self._recent.clear()

    def recent(self, frame: int, step: int) -> RecentMemory:
        """Return the memory of the frames before `frame` in this direction; empty where none."""
        recent = self._recent.get(step)
        if recent is None or not recent.leads_to(frame):
            recent = self._no_memory(step)
            self.absent_run = 0
        return recent

    def remembered(self) -> dict[int, tuple[FrameMemory, ...]]:
        """Return the memories of recent frames by step: 1 forward, -1 backward."""
        return {step: tuple(recent) for step, recent in self._recent.items()}

    def remember(self, step: int, memories: Iterable[FrameMemory]) -> None:
        """Restore memories of recent frames, in the order in which they were passed."""
        recent = self._no_memory(step)
        for memory in memories:
            recent.append(memory)

    def _no_memory(self, step: int) -> RecentMemory:
        spatial, pointers = self._config.memory_frames - 1, self._config.max_pointers - 1
        self._recent[step] = RecentMemory(step, spatial=spatial, pointers=pointers)
        return self._recent[step]

    def distance_to_decision(self, frame: int) -> int:
        """Return how many frames away the nearest conditioning frame is."""
        distance = self.conditioning.distance(frame)
        return len(self.done) if distance is None else distance

    def expected(
        self, frame: int, recent: RecentMemory | None = None, without: int | None = None
    ) -> WindowedObject | None:
        """Return the place of the object in the nearest frame that shows it, or None.

        One conditioning frame may be left out; `recent` memories count too.
        """
        decided = self.conditioning.nearest_sighted(frame, without)
        latest = recent.latest if recent is not None else None
        if latest is None or latest.sighting is None:
            return None if decided is None else decided.sighting
        if decided is None or abs(latest.frame - frame) < abs(decided.frame - frame):
            return latest.sighting
        return decided.sighting

    def sources(self) -> Sequence[int]:
        """Return the conditioning frames that show the object, ascending; not to be changed.

        Frames where the user removed the object do not show its appearance; they count only if
        there are no others.
        """
        return self.conditioning.sources

    def dismissals(self, frame: int, step: int) -> list[int]:
        """Return where the user corrected the object away, of the frames that a pass leaves behind.

        Only frames after the last one that shows the object count. `step` is 1 forward, -1
        backward.
        """
        sources = self.sources()
        if step > 0:
            at = bisect_left(sources, frame)
            first = sources[at - 1] + 1 if at else 0
            return list(self.conditioning.between(first, frame))
        at = bisect_left(sources, frame + 1)
        last = sources[at] if at < len(sources) else len(self.done)
        return list(self.conditioning.between(frame + 1, last))

    def needed(
        self, direction: Direction, start: int, stop: int, nearest: bool = False
    ) -> NDArray[np.bool_]:
        """Return which frames of start..stop - 1 are still to be tracked, shape (stop - start,).

        Forward reaches from the first conditioning frame upwards, backward from the last one
        downwards. `nearest`: forward leaves out frames that are nearer to a source above. The time
        taken depends on these frames only.
        """
        needed = ~self.done[start:stop]
        decided = self.conditioning
        if not decided or not needed.any():
            needed[:] = False
            return needed
        needed[[frame - start for frame in decided.between(start, stop)]] = False
        needed[: max(0, self.begin - start)] = False
        needed[max(0, self.end - start) :] = False
        if direction is Direction.FORWARD:
            needed[: max(0, decided.frames[0] - start)] = False
            if nearest:
                self._leave_to_sources_above(needed, start)
        elif direction is Direction.BACKWARD:
            needed[max(0, decided.frames[-1] - start) :] = False
        return needed

    def _leave_to_sources_above(self, needed: NDArray[np.bool_], start: int) -> None:
        """Remove the frames from `start` on that are nearer to a conditioning frame above."""
        sources, stop = self.sources(), start + len(needed)
        needed[: max(0, sources[0] - start)] = False
        below, above = bisect_left(sources, start), bisect_left(sources, stop)
        known = np.array(sources[max(0, below - 1) : above + 1])
        frames = np.flatnonzero(needed) + start
        frames = frames[frames < known[-1]]
        upper = np.searchsorted(known, frames)
        middle = (known[upper - 1] + known[upper]) // 2
        needed[frames[frames > middle] - start] = False


@dataclass(frozen=True, slots=True, eq=False)
class TrackState:
    """Conditioning frames of one object, a bit per frame for computed and for written, its span."""

    object_id: int
    conditioning: tuple[Conditioning, ...]
    done: NDArray[np.uint8]
    written: NDArray[np.uint8]
    span: tuple[int, int]

    def is_like(self, other: TrackState) -> bool:
        """Return whether another state is of the same decisions, frames and span."""
        return (
            self.object_id == other.object_id
            and self.span == other.span
            and len(self.conditioning) == len(other.conditioning)
            and all(map(is_, self.conditioning, other.conditioning))
            and np.array_equal(self.done, other.done)
            and np.array_equal(self.written, other.written)
        )

    def track(self, n_frames: int, config: Sam2Config) -> ObjectTrack:
        """Return a track with this state; memories of frames are encoded again when needed."""
        track = ObjectTrack(self.object_id, n_frames, config)
        track.conditioning = ConditioningFrames(self.conditioning)
        track.done = np.unpackbits(self.done, count=n_frames).astype(bool)
        track.written = np.unpackbits(self.written, count=n_frames).astype(bool)
        track.span = self.span
        return track
