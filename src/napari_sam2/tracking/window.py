"""Where in a frame the model looks, and where in it an object is; in pixels of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.boxes import box_of

_TAIL = 0.02  # share of a mask's pixels beyond its extent on each side: stray pixels do not count


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels that becomes the model's square input.

    It may reach beyond the frame: the frame's border pixels are repeated there.

    Attributes
    ----------
    top, left : int
        First row and column.
    height, width : int
        At least 1.
    mirrored : bool
        Seen in a mirror: left and right are swapped.
    """

    top: int
    left: int
    height: int
    width: int
    mirrored: bool = False

    @classmethod
    def whole(cls, frame_shape: tuple[int, int]) -> Window:
        """Return the window that is the frame."""
        return cls(0, 0, *frame_shape)

    @classmethod
    def square(cls, centre: tuple[float, float], side: int, frame_shape: tuple[int, int]) -> Window:
        """Return the square around a (y, x) that is moved into the frame as far as it fits."""
        top, left = (_first(c, side, n) for c, n in zip(centre, frame_shape, strict=True))
        return cls(top, left, side, side)

    def rows(self, frame_shape: tuple[int, int]) -> NDArray[np.intp]:
        """Return the frame's row under each row of the window."""
        return np.arange(self.top, self.top + self.height).clip(0, frame_shape[0] - 1)

    def columns(self, frame_shape: tuple[int, int]) -> NDArray[np.intp]:
        """Return the frame's column under each column of the window."""
        columns = np.arange(self.left, self.left + self.width).clip(0, frame_shape[1] - 1)
        return columns[::-1] if self.mirrored else columns

    def inside(self, frame_shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return rows and columns of the frame that the window covers, if any."""
        return (
            _covered(self.top, self.height, frame_shape[0]),
            _covered(self.left, self.width, frame_shape[1]),
        )

    def part(self, frame_shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return rows and columns of the window that lie in the frame."""
        rows, columns = self.inside(frame_shape)
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(columns.start - self.left, columns.stop - self.left),
        )

    def holds(self, points: Sequence[tuple[float, float]]) -> bool:
        """Tell whether points (y, x) lie inside."""
        return all(
            0 <= y + 0.5 - self.top <= self.height and 0 <= x + 0.5 - self.left <= self.width
            for y, x in points
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is.

    Attributes
    ----------
    centre : (float, float)
        (y, x) of the middle of its extent.
    extent : float
        Its longer side, in pixels.
    """

    centre: tuple[float, float]
    extent: float

    @classmethod
    def spanning(cls, points: Sequence[tuple[float, float]]) -> Place:
        """Return the place of a box around points (y, x)."""
        low, high = np.min(points, axis=0), np.max(points, axis=0)
        centre = (low + high) / 2
        return cls((float(centre[0]), float(centre[1])), float((high - low).max()) + 1.0)

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_], window: Window) -> Place | None:
        """Return the place of a mask (n, m) that covers a window; None for an empty mask."""
        box = box_of(mask)
        if box is None:
            return None
        # Only in its box is a mask counted: it is small against its frame.
        inside, sides = mask[box], []
        for axis, first, length in ((1, window.top, window.height), (0, window.left, window.width)):
            share = inside.sum(axis=axis, dtype=np.float64).cumsum()
            share /= share[-1]
            before = box[1 - axis].start
            low = before + int(np.searchsorted(share, _TAIL, side="right"))
            high = before + int(np.searchsorted(share, 1.0 - _TAIL, side="left"))
            scale = length / mask.shape[1 - axis]
            sides.append((first + low * scale - 0.5, first + (high + 1) * scale - 0.5))
        (y0, y1), (x0, x1) = sides
        return cls(((y0 + y1) / 2, (x0 + x1) / 2), max(y1 - y0, x1 - x0))


@dataclass(frozen=True, slots=True)
class Sighting:
    """An object seen at a place, in a window."""

    place: Place
    window: Window


def _covered(first: int, side: int, length: int) -> slice:
    start = min(max(first, 0), length)
    return slice(start, max(start, min(first + side, length)))


def _first(middle: float, side: int, length: int) -> int:
    """Return where a side around `middle` begins; one longer than the frame is centred on it."""
    if side > length:
        return -((side - length) // 2)
    return min(max(round(middle - (side - 1) / 2), 0), length - side)
