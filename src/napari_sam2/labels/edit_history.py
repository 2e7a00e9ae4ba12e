"""Changes of label planes, and the history for undoing and redoing them."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.masks import box_of

_FAST = 1  # level of compression: labels are flat, the higher ones gain little


@dataclass(frozen=True, slots=True, eq=False)
class PlaneChange:
    """The labels of a frame before and after an edit, within the box that changed, compressed.

    Attributes
    ----------
    frame : int
    rows, columns : (int, int)
        The box: first and one past the last.
    dtype : str
        Dtype of the labels.
    before, after : bytes
        The box, compressed.
    """

    frame: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    dtype: str
    before: bytes
    after: bytes

    @classmethod
    def between(cls, frame: int, old: Labels, new: Labels) -> PlaneChange | None:
        """Return the difference of two label planes (Y, X), before and after; None if equal."""
        box = box_of(old != new)
        if box is None:
            return None
        y, x = box
        rows, columns = (y.start, y.stop), (x.start, x.stop)
        return cls(frame, rows, columns, old.dtype.str, _packed(old[box]), _packed(new[box]))

    @property
    def nbytes(self) -> int:
        """Memory that the compressed pixels take."""
        return len(self.before) + len(self.after)

    def undo(self, plane: NDArray[Any]) -> None:
        """Restore the former labels of the changed pixels in a plane (Y, X), in place."""
        self._put(plane, self.before)

    def redo(self, plane: NDArray[Any]) -> None:
        """Redo the change in a plane (Y, X), in place; other pixels stay."""
        self._put(plane, self.after)

    def _put(self, plane: NDArray[Any], values: bytes) -> None:
        changed = self._unpacked(self.before) != self._unpacked(self.after)
        part = plane[slice(*self.rows), slice(*self.columns)]
        part[changed] = self._unpacked(values)[changed]

    def _unpacked(self, pixels: bytes) -> NDArray[Any]:
        shape = self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]
        return np.frombuffer(zlib.decompress(pixels), self.dtype).reshape(shape)


def _packed(part: NDArray[Any]) -> bytes:
    return zlib.compress(np.ascontiguousarray(part).tobytes(), _FAST)


State = TypeVar("State")


@dataclass(frozen=True, slots=True, eq=False)
class Edit(Generic[State]):
    """A group of changes of labels that is undone as a whole.

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
        return sum([len(change.before) + len(change.after) for change in self.changes])

    def undo(self, labels: Any) -> None:
        """Undo the changes of `labels`, (T, Y, X), the last one first."""
        for change in reversed(self.changes):
            _apply(labels, change, undo=True)

    def redo(self, labels: Any) -> None:
        """Redo the changes in their order; `labels` is (T, Y, X)."""
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
        self._nbytes = 0

    def add(self, edit: Edit[State]) -> tuple[int, ...]:
        """Store an edit; it replaces one of the same number.

        Returns
        -------
        tuple of int
            Numbers of the oldest edits, which had to go.
        """
        if edit.number in self._edits:
            self.drop([edit.number])
        self._edits[edit.number] = edit
        self._nbytes += edit.nbytes
        gone = []
        while len(self._edits) > self._max_edits or (
            len(self._edits) > 1 and self._nbytes > self._max_bytes
        ):
            gone.append(next(iter(self._edits)))
            self.drop(gone[-1:])
        return tuple(gone)

    def get(self, number: int) -> Edit[State] | None:
        """Return an edit, or None if it is not kept."""
        return self._edits.get(number)

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget some edits."""
        for number in numbers:
            edit = self._edits.pop(number, None)
            self._nbytes -= 0 if edit is None else edit.nbytes

    @property
    def nbytes(self) -> int:
        """Memory of all changed pixels."""
        return self._nbytes

    def __len__(self) -> int:
        return len(self._edits)


def _apply(labels: Any, change: PlaneChange, *, undo: bool) -> None:
    plane = labels[change.frame]
    (change.undo if undo else change.redo)(plane)
    # Of a zarr array, a plane is a copy.
    labels[change.frame] = plane
