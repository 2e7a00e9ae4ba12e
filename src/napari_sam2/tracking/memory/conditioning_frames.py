"""The conditioning frames of one object, by frame."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import ItemsView, Iterable, Iterator, MutableMapping, Sequence, ValuesView

from napari_sam2.tracking.decoding.prediction import Conditioning


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
        """Return the same frames, in the same order, that change on their own."""
        return ConditioningFrames(self.values())

    @property
    def frames(self) -> Sequence[int]:
        """All of them, ascending; not to be changed."""
        return self._frames

    @property
    def sources(self) -> Sequence[int]:
        """Those that show the object, ascending, or all if none does; not to be changed."""
        return self._showing or self._frames

    def between(self, start: int, stop: int) -> Sequence[int]:
        """Return the frames from start to stop - 1, ascending."""
        return part(self._frames, start, stop)

    def distance(self, frame: int) -> int | None:
        """Return how far away the nearest of them is; None if there is none."""
        return min((abs(frame - each) for each in around(self._frames, frame)), default=None)

    def sighted(self, frame: int, without: int | None = None) -> Conditioning | None:
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
    """Give of ascending frames the nearest below `frame` and the nearest from it on, if any."""
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
