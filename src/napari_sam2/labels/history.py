"""Edits that can be undone: numbered groups of changes, within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from napari_sam2.labels.plane_change import PlaneChange

State = TypeVar("State")


@dataclass(frozen=True, slots=True, eq=False)
class Edit(Generic[State]):
    """One edit of the labels of a stack.

    Attributes
    ----------
    number : int
        Later edits have higher numbers.
    before, after : state or None
        What else was so before and after it; whatever the user of the history keeps there.
    changes : tuple of PlaneChange
        In the order in which they were made; several may concern one frame.
    """

    number: int
    before: State | None = None
    after: State | None = None
    changes: tuple[PlaneChange, ...] = field(default=())

    @property
    def nbytes(self) -> int:
        """Memory of the changed pixels."""
        return sum(change.nbytes for change in self.changes)

    def undo(self, labels: Any) -> None:
        """Take the changes back, the last one first; `labels` is (T, Y, X)."""
        for change in reversed(self.changes):
            _apply(labels, change, undo=True)

    def redo(self, labels: Any) -> None:
        """Make the changes again, in their order; `labels` is (T, Y, X)."""
        for change in self.changes:
            _apply(labels, change, undo=False)

    def frames(self) -> tuple[int, ...]:
        """Return the frames that it changed, ascending."""
        return tuple(sorted({change.frame for change in self.changes}))


class History(Generic[State]):
    """The last edits, as many as fit.

    Parameters
    ----------
    max_edits : int
        So many at most.
    max_bytes : int
        Their changed pixels take so much at most, but the last edit is always kept.
    """

    def __init__(self, max_edits: int, max_bytes: int) -> None:
        self._max_edits, self._max_bytes = max_edits, max_bytes
        self._edits: OrderedDict[int, Edit[State]] = OrderedDict()

    def add(self, edit: Edit[State]) -> tuple[int, ...]:
        """Keep an edit, in place of one of the same number.

        Returns
        -------
        tuple of int
            Numbers of the oldest edits, which had to go.
        """
        self._edits.pop(edit.number, None)
        self._edits[edit.number] = edit
        gone = []
        while len(self._edits) > self._max_edits or (
            len(self._edits) > 1 and self.nbytes > self._max_bytes
        ):
            gone.append(self._edits.popitem(last=False)[0])
        return tuple(gone)

    def get(self, number: int) -> Edit[State] | None:
        """Return an edit, or None if it is not kept."""
        return self._edits.get(number)

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget some edits."""
        for number in numbers:
            self._edits.pop(number, None)

    @property
    def nbytes(self) -> int:
        """Memory of all changed pixels."""
        return sum(edit.nbytes for edit in self._edits.values())

    def __len__(self) -> int:
        return len(self._edits)


def _apply(labels: Any, change: PlaneChange, *, undo: bool) -> None:
    plane = labels[change.frame]
    (change.undo if undo else change.redo)(plane)
    # Of a zarr array, a plane is a copy.
    labels[change.frame] = plane
