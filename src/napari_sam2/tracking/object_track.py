"""The state of one object: its conditioning frames, what is computed, what it remembers."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from napari_sam2.network import Sam2Config
from napari_sam2.tracking.memory import FrameMemory, RecentMemory
from napari_sam2.tracking.prediction import Conditioning
from napari_sam2.tracking.window import Sighting
from napari_sam2.types import Direction


class ObjectTrack:
    """One object through the stack.

    Per frame it keeps two flags, computed and written; masks of conditioning frames, packed; and
    memories of the conditioning frames last attended to and of the last few frames of a pass.

    Parameters
    ----------
    object_id : int
    n_frames : int
    config : Sam2Config
        Tells how many recent frames are remembered.
    """

    def __init__(self, object_id: int, n_frames: int, config: Sam2Config) -> None:
        self.object_id = object_id
        self.conditioning: dict[int, Conditioning] = {}
        self.done: NDArray[np.bool_] = np.zeros(n_frames, dtype=bool)
        self.written: NDArray[np.bool_] = np.zeros(n_frames, dtype=bool)
        self.absent_run = 0
        self.conditioning_memory: OrderedDict[int, FrameMemory] = OrderedDict()
        self._config = config
        self._recent: dict[int, RecentMemory] = {}

    def copy(self) -> ObjectTrack:
        """Return the same object, to change it without changing this one."""
        other = self.another(self.object_id)
        other.conditioning = dict(self.conditioning)
        other.done, other.written = self.done.copy(), self.written.copy()
        other.absent_run = self.absent_run
        other.conditioning_memory = self.conditioning_memory.copy()
        other._recent = dict(self._recent)
        return other

    def another(self, object_id: int) -> ObjectTrack:
        """Return an object of the same stack of which nothing is known."""
        return ObjectTrack(object_id, len(self.done), self._config)

    def condition(self, conditioning: Conditioning) -> None:
        """Take a conditioning frame in; its neighbourhood must be tracked anew."""
        self.conditioning[conditioning.frame] = conditioning
        self._invalidate(conditioning.frame)

    def accept(self, conditioning: Conditioning) -> None:
        """Take a frame in as it was tracked: its neighbourhood stays as it is."""
        self.conditioning[conditioning.frame] = conditioning
        self.conditioning_memory.pop(conditioning.frame, None)
        self.written[conditioning.frame] = True

    def release(self, frame: int) -> None:
        """Drop a conditioning frame; its neighbourhood must be tracked anew."""
        self.conditioning.pop(frame, None)
        self._invalidate(frame)

    def _invalidate(self, frame: int) -> None:
        first, last = self.neighbourhood(frame)
        self.done[first : last + 1] = False
        self.conditioning_memory.pop(frame, None)
        self._recent.clear()

    def neighbourhood(self, frame: int) -> tuple[int, int]:
        """Return the first and last frame between the neighbouring conditioning frames."""
        before = max((f for f in self.conditioning if f < frame), default=-1)
        after = min((f for f in self.conditioning if f > frame), default=len(self.done))
        return before + 1, after - 1

    def forget_tracking(self) -> None:
        """Mark every frame as not tracked; conditioning frames stay."""
        self.done[:] = False
        self.forget_recent()

    def forget_recent(self) -> None:
        """Drop what is remembered of the last few frames."""
        self._recent.clear()

    def recent(self, frame: int, step: int) -> RecentMemory:
        """Return the memory of the frames before `frame` in this direction; empty where none."""
        recent = self._recent.get(step)
        if recent is None or not recent.leads_to(frame):
            recent = RecentMemory(
                step, spatial=self._config.memory_frames - 1, pointers=self._config.max_pointers - 1
            )
            self._recent[step] = recent
            self.absent_run = 0
        return recent

    def distance_to_decision(self, frame: int) -> int:
        """Return how many frames away the nearest conditioning frame is."""
        return min((abs(frame - decided) for decided in self.conditioning), default=len(self.done))

    def expected(
        self, frame: int, recent: RecentMemory | None = None, without: int | None = None
    ) -> Sighting | None:
        """Return where the object was seen in the nearest frame that says so, if any does.

        Of decided frames, one may be left out; `recent` is asked too.
        """
        seen = [
            (abs(decided - frame), each.sighting)
            for decided, each in self.conditioning.items()
            if each.sighting is not None and decided != without
        ]
        latest = recent.latest if recent is not None else None
        if latest is not None and latest.sighting is not None:
            seen.append((abs(latest.frame - frame), latest.sighting))
        return min(seen, key=lambda each: each[0])[1] if seen else None

    def sources(self) -> list[int]:
        """Return the conditioning frames that show the object, sorted.

        Where the user corrected it away says nothing of what it looks like; if that is all that
        is known, all conditioning frames count.
        """
        showing = [frame for frame, each in self.conditioning.items() if not each.dismissed]
        return sorted(showing or self.conditioning)

    def dismissals(self, frame: int, step: int) -> list[int]:
        """Return where the user corrected the object away, of the frames that a pass leaves behind.

        Only those after the last one that shows it: beyond that they say nothing of what comes.
        `step`: 1 forward, -1 backward.
        """
        sources = self.sources()
        passed = [(frame - source) * step for source in sources]
        since = min((age for age in passed if age > 0), default=len(self.done))
        gone = self.conditioning.keys() - set(sources)
        return sorted(each for each in gone if 0 < (frame - each) * step < since)

    def needed(
        self, direction: Direction, start: int, stop: int, nearest: bool = False
    ) -> NDArray[np.bool_]:
        """Return which frames of start..stop - 1 are still to be tracked, shape (T,).

        Forward reaches from the first conditioning frame upwards, backward from the last one
        downwards. `nearest`: forward leaves out what is nearer to a source above.
        """
        needed = ~self.done
        needed[:start] = False
        needed[stop:] = False
        if not self.conditioning:
            needed[:] = False
            return needed
        needed[list(self.conditioning)] = False
        if direction is Direction.FORWARD:
            needed[: min(self.conditioning)] = False
            if nearest and needed.any():
                sources = np.array(self.sources())
                needed[: sources[0]] = False
                frames = np.flatnonzero(needed[: sources[-1]])
                above = np.searchsorted(sources, frames)
                middle = (sources[above - 1] + sources[above]) // 2
                needed[frames[frames > middle]] = False
        elif direction is Direction.BACKWARD:
            needed[max(self.conditioning) :] = False
        return needed
