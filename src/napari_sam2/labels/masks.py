"""One mask of one frame: its bounding box, its packed form, and its small holes and islands.

`PackedMask` is a mask as packed bits of its bounding box, small enough to keep thousands. All are
pure functions and values.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import LabelsError

Box = tuple[slice, slice]
"""Rows and columns, both with their ends."""

DENSE_IDS = 1 << 17
"""Ids below this index an array of that length; a plane with larger ones is numbered anew first."""


def box_of(plane: NDArray[Any]) -> Box | None:
    """Return the smallest box with all pixels of a plane (Y, X) that are not 0, if any is."""
    rows = np.flatnonzero(plane.any(axis=1))
    if not rows.size:
        return None
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(plane[band].any(axis=0))
    return band, slice(int(columns[0]), int(columns[-1]) + 1)


def spanning(boxes: Iterable[Box | None]) -> Box | None:
    """Return the smallest box that contains all given boxes; None if there are none."""
    found = [box for box in boxes if box is not None]
    if len(found) < 2:
        return found[0] if found else None
    rows, columns = found[0]
    top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
    for rows, columns in found[1:]:
        top, bottom = min(top, rows.start), max(bottom, rows.stop)
        left, right = min(left, columns.start), max(right, columns.stop)
    return slice(top, bottom), slice(left, right)


def size_of(box: Box) -> tuple[int, int]:
    """Return rows and columns of a box."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start


def within(box: Box, outer: Box) -> Box:
    """Return a box of the plane as counted from the first row and column of another one."""
    (rows, columns), down, right = box, outer[0].start, outer[1].start
    return (
        slice(rows.start - down, rows.stop - down),
        slice(columns.start - right, columns.stop - right),
    )


def placed(box: Box, outer: Box) -> Box:
    """Return a box relative to another one as a box of the whole plane."""
    (rows, columns), down, right = box, outer[0].start, outer[1].start
    return (
        slice(rows.start + down, rows.stop + down),
        slice(columns.start + right, columns.stop + right),
    )


def apart(boxes: Sequence[Box | None]) -> list[tuple[Box, list[int]]]:
    """Group boxes so that the boxes around two groups share no pixel.

    Returns
    -------
    list of (Box, list of int)
        The box around each group, and the indices of its members in `boxes`, ascending.
    """
    spans = np.empty((0, 4), dtype=int)
    groups: list[list[int]] = []
    for index, box in enumerate(boxes):
        if box is None:
            continue
        edges, members = np.array(_edges(box)), [index]
        while (met := _meets(spans, edges)).any():
            edges = _edges_around(np.vstack([spans[met], edges]))
            for place in np.flatnonzero(met)[::-1]:
                members += groups.pop(int(place))
            spans = spans[~met]
        spans = np.vstack([spans, edges])
        groups.append(members)
    found = []
    for (y0, y1, x0, x1), members in zip(spans.tolist(), groups, strict=True):
        found.append(((slice(y0, y1), slice(x0, x1)), sorted(members)))
    return found


def _meets(spans: NDArray[Any], edges: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which spans (G, 4) have a pixel in common with another one (4,)."""
    y0, y1, x0, x1 = spans.T
    met: NDArray[np.bool_] = (y0 < edges[1]) & (edges[0] < y1) & (x0 < edges[3]) & (edges[2] < x1)
    return met


def _edges_around(spans: NDArray[Any]) -> NDArray[Any]:
    low, high = spans.min(axis=0), spans.max(axis=0)
    return np.array([low[0], high[1], low[2], high[3]])


def _edges(box: Box) -> tuple[int, int, int, int]:
    rows, columns = box
    return rows.start, rows.stop, columns.start, columns.stop


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

    def corner_and_part(self) -> tuple[tuple[int, int], NDArray[np.bool_]]:
        """Return row and column of the first pixel of the box, and the mask in it, bool (h, w)."""
        return (self.rows[0], self.columns[0]), self.part()[1]

    def any(self) -> bool:
        """Return whether the mask has any pixel."""
        return self.rows[0] < self.rows[1]

    def equals(self, mask: NDArray[np.bool_]) -> bool:
        """Return whether it is just this mask, bool (Y, X); it is not unpacked in whole."""
        if mask.shape != self.shape:
            return False
        box, part = self.part()
        return np.count_nonzero(mask) == np.count_nonzero(part) and np.array_equal(mask[box], part)

    def shared_with(self, other: PackedMask) -> tuple[float, float]:
        """Return how much of the smaller mask is in the other one, and their IoU, in 0..1."""
        rows = max(self.rows[0], other.rows[0]), min(self.rows[1], other.rows[1])
        columns = max(self.columns[0], other.columns[0]), min(self.columns[1], other.columns[1])
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return 0.0, 0.0
        parts, areas = [], []
        for mask in (self, other):
            (y, x), pixels = mask.part()
            inside = slice(rows[0] - y.start, rows[1] - y.start)
            parts.append(pixels[inside, columns[0] - x.start : columns[1] - x.start])
            areas.append(int(pixels.sum()))
        common = int((parts[0] & parts[1]).sum())
        return common / min(areas), common / (sum(areas) - common)


_EIGHT_CONNECTED = np.ones((3, 3), dtype=np.bool_)
_FOUR_CONNECTED = ndimage.generate_binary_structure(2, 1)


def clean_mask(mask: NDArray[np.bool_], max_hole: int, min_island: int) -> NDArray[np.bool_]:
    """Fill the small holes of a mask, then drop its small islands.

    A hole is a patch of background that does not reach the edge of the frame. Pixels of the
    object that touch at a corner belong together (8-connected), so those of a hole must share
    an edge (4-connected): a closed diagonal line does enclose what is inside it. The largest
    component is never dropped. Cleaning a clean mask changes nothing.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)
    max_hole : int
        Holes of up to this many pixels are filled; 0 fills none.
    min_island : int
        Components of up to this many pixels are dropped; 0 drops none.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        A new array.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise LabelsError(
            f"A mask is a 2D array of bool, not {mask.ndim}D of {mask.dtype}.",
            remedy="Clean one frame of one object at a time.",
        )
    if max_hole < 0 or min_island < 0:
        raise LabelsError(
            f"Hole and island sizes cannot be negative (max_hole={max_hole}, "
            f"min_island={min_island}).",
            remedy="Use 0 to leave holes or islands as they are.",
        )
    cleaned = mask.copy()
    window = box_of(mask)
    if window is not None:
        # Both steps stay inside the bounding box: an object is small against its frame.
        inside = cleaned[window]
        if max_hole:
            _fill_holes(inside, max_hole)
        if min_island:
            _drop_islands(inside, min_island)
    return cleaned


def _fill_holes(inside: NDArray[np.bool_], max_hole: int) -> None:
    patches, _ = ndimage.label(~inside, structure=_FOUR_CONNECTED)
    small = np.bincount(patches.ravel()) <= max_hole
    # Patches at the rim of the bounding box are open to the background or to the frame's edge.
    for rim in (patches[0], patches[-1], patches[:, 0], patches[:, -1]):
        small[rim] = False
    small[0] = False
    if small.any():
        np.logical_or(inside, small[patches], out=inside)


def _drop_islands(inside: NDArray[np.bool_], min_island: int) -> None:
    components, n_components = ndimage.label(inside, structure=_EIGHT_CONNECTED)
    if n_components < 2:
        return
    sizes = np.bincount(components.ravel())
    small = sizes <= min_island
    small[0] = False
    small[1 + np.argmax(sizes[1:])] = False
    if small.any():
        inside[small[components]] = False
