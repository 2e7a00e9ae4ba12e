"""What one edit did to the labels of one frame, small enough to keep many of them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.boxes import box_of
from napari_sam2.labels.compose import Labels

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
        Of the labels.
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
        """Compare the labels of a frame, (Y, X), before and after; None if nothing changed."""
        box = box_of(old != new)
        if box is None:
            return None
        rows, columns = ((side.start, side.stop) for side in box)
        return cls(frame, rows, columns, old.dtype.str, _packed(old[box]), _packed(new[box]))

    @property
    def nbytes(self) -> int:
        """Memory that the compressed pixels take."""
        return len(self.before) + len(self.after)

    def undo(self, plane: NDArray[Any]) -> None:
        """Put back what was before, in a plane (Y, X), in place; other pixels stay."""
        self._put(plane, self.before)

    def redo(self, plane: NDArray[Any]) -> None:
        """Do the change again, in a plane (Y, X), in place; other pixels stay."""
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
