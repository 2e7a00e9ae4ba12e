"""Counts the frames that a propagation has finished, whatever the number of its passes."""

from __future__ import annotations

from collections.abc import Sequence


class FrameCounter:
    """Counts finished frames of a propagation.

    A frame between the prompts of two objects is visited in both directions. It is finished, and
    counts once, when no pass visits it any more.

    Parameters
    ----------
    visits : sequence of int
        How often each frame of the stack is going to be visited.

    Attributes
    ----------
    visited, planned : int
        Visits so far, and all of them: the share of the work that is done.
    """

    def __init__(self, visits: Sequence[int]) -> None:
        self._left = dict(enumerate(visits))
        self._frames = {frame for frame, count in self._left.items() if count}
        self._finished: set[int] = set()
        self.visited, self.planned = 0, sum(visits)

    def visit(self, frame: int) -> None:
        """Count one visit, also an unplanned one: prompts can be added meanwhile."""
        left = max(0, self._left.get(frame, 0) - 1)
        self._left[frame] = left
        self._frames.add(frame)
        if not left:
            self._finished.add(frame)
        self.visited += 1
        self.planned = max(self.planned, self.visited)

    @property
    def done(self) -> int:
        """Frames that are finished."""
        return len(self._finished)

    @property
    def total(self) -> int:
        """All frames that the propagation visits."""
        return len(self._frames)
