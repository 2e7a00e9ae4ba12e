"""`PackedMask`: a mask as packed bits of its bounding box, small enough to keep thousands."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.bounding_boxes import Box, box_of, placed

_FAST = 1  # level of compression: masks are flat, the higher ones gain little


@dataclass(frozen=True, slots=True, eq=False)
class PackedMask:
    """A mask (Y, X) within the box that holds it: one bit per pixel, compressed.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the whole mask.
    rows, columns : (int, int)
        The box: first and one past the last; empty where the mask is.
    bits : bytes
    """

    shape: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    bits: bytes

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> PackedMask:
        """Pack a mask, bool (Y, X)."""
        shape, held = (mask.shape[0], mask.shape[1]), box_of(mask)
        if held is None:
            return cls(shape, (0, 0), (0, 0), b"")
        y, x = held
        bits = zlib.compress(np.packbits(mask[held]).tobytes(), _FAST)
        return cls(shape, (y.start, y.stop), (x.start, x.stop), bits)

    @classmethod
    def within(cls, box: Box, part: NDArray[np.bool_], shape: tuple[int, int]) -> PackedMask:
        """Pack a mask of this shape that is empty outside a box; `part` is the mask in the box."""
        held = box_of(part)
        if held is None:
            return cls(shape, (0, 0), (0, 0), b"")
        y, x = placed(held, box)
        rows, columns = (y.start, y.stop), (x.start, x.stop)
        return cls(shape, rows, columns, zlib.compress(np.packbits(part[held]).tobytes(), _FAST))

    def unpack(self) -> NDArray[np.bool_]:
        """Return the mask, bool (Y, X)."""
        mask = np.zeros(self.shape, dtype=bool)
        if self.any():
            box, part = self.part()
            mask[box] = part
        return mask

    def part(self) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
        """Return the box that holds the mask, and the mask in it, bool (h, w)."""
        box = slice(*self.rows), slice(*self.columns)
        height, width = self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]
        packed = zlib.decompress(self.bits) if self.any() else b""
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=height * width)
        return box, bits.reshape(height, width).astype(bool)

    def any(self) -> bool:
        """Tell whether any pixel is in the mask."""
        return self.rows[0] < self.rows[1]
