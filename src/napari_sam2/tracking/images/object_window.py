"""Square windows around objects, the rules that choose them, and what the network sees in them.

Frames, points and masks are converted from pixels of the frame to the square input of the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.labels.masks import box_of
from napari_sam2.network.image_encoder import normalise

_TAIL = 0.02  # fraction of a mask's pixels that its extent leaves out on each side, as stray pixels


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
        """Return the window that is the whole frame."""
        return cls(0, 0, *frame_shape)

    @classmethod
    def square(cls, centre: tuple[float, float], side: int, frame_shape: tuple[int, int]) -> Window:
        """Return the square around (y, x), moved into the frame as far as it fits."""
        (y, x), (height, width) = centre, frame_shape
        return cls(_first(y, side, height), _first(x, side, width), side, side)

    def rows(self, frame_shape: tuple[int, int]) -> NDArray[np.intp]:
        """Return the frame's row under each row of the window."""
        return np.arange(self.top, self.top + self.height).clip(0, frame_shape[0] - 1)

    def columns(self, frame_shape: tuple[int, int]) -> NDArray[np.intp]:
        """Return the frame's column under each column of the window."""
        columns = np.arange(self.left, self.left + self.width).clip(0, frame_shape[1] - 1)
        return columns[::-1] if self.mirrored else columns

    def inside(self, frame_shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return rows and columns of the frame that the window covers, if any."""
        height, width = frame_shape
        top, left = min(max(self.top, 0), height), min(max(self.left, 0), width)
        bottom, right = min(self.top + self.height, height), min(self.left + self.width, width)
        return slice(top, max(top, bottom)), slice(left, max(left, right))

    def part(self, frame_shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return rows and columns of the window that lie in the frame."""
        rows, columns = self.inside(frame_shape)
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(columns.start - self.left, columns.stop - self.left),
        )

    def is_filled(self, box: tuple[slice, slice], frame_shape: tuple[int, ...]) -> bool:
        """Return whether a box of frame pixels reaches all four sides of the window."""
        (rows, columns), (y, x) = self.inside((frame_shape[0], frame_shape[1])), box
        upright = y.start <= rows.start and y.stop >= rows.stop
        return bool(upright and x.start <= columns.start and x.stop >= columns.stop)

    def holds(self, points: Sequence[tuple[float, float]]) -> bool:
        """Return whether points (y, x) lie inside."""
        for y, x in points:
            down, right = y + 0.5 - self.top, x + 0.5 - self.left
            if not (0 <= down <= self.height and 0 <= right <= self.width):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Place:
    """Centre and extent of an object.

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
class WindowedObject:
    """The place of an object and the window in which it was found."""

    place: Place
    window: Window


def _first(middle: float, side: int, length: int) -> int:
    """Return where a side around `middle` begins; one longer than the frame is centred on it."""
    if side > length:
        return -((side - length) // 2)
    return min(max(round(middle - (side - 1) / 2), 0), length - side)


# Side of a new window divided by the longer side of its object: room for motion, and surroundings.
# The bundled model is trained with objects of such sizes in its input.
_WINDOW_RATIO = 3.0
# A window keeps its side while that ratio is between these: the object may change, and the scale
# does not follow every change of its mask. Set by hand.
_MIN_RATIO, _MAX_RATIO = 2.2, 4.5
_MAX_GROWTH = 1.3  # of a window's side from one frame to the next
_MIN_CLICK_SIDE = 40.0  # pixels: side of the smallest of several windows around a click
_MIN_SIDE = 24  # pixels: enlarging a smaller window shows no more detail
_POINT_MARGIN = 0.05  # of a window's side, around points that it is enlarged to hold


class Framing:
    """Chooses windows for one stack.

    Parameters
    ----------
    frame_shape : tuple of int
        (Y, X) of the frames.
    image_size : int
        Side of the model input.
    follows : bool
        Windows follow objects; otherwise every window is the whole frame.
    cells : int, optional
        Windows that follow objects lie on a grid of so many cells per side, and have one of few
        sides, so that objects of like scale near one another can share what is encoded.

    Attributes
    ----------
    frame_shape, follows, cells
        As given.
    whole : Window
        The whole frame.
    """

    def __init__(
        self,
        frame_shape: tuple[int, int],
        image_size: int,
        follows: bool,
        cells: int | None = None,
    ) -> None:
        self.frame_shape = frame_shape
        self.follows = follows
        self.whole = Window.whole(frame_shape)
        self._image_size = image_size
        self.cells = cells

    def first_look(self, points: Sequence[tuple[float, float]]) -> Window:
        """Return where to look first for an object clicked at (y, x): at the frame's own scale."""
        if not self.follows:
            return self.whole
        place = Place.spanning(points)
        return self._square(place.centre, max(float(self._image_size), 2.0 * place.extent))

    def scales(self, points: Sequence[tuple[float, float]]) -> list[Window]:
        """Return windows around points (y, x), from the smallest to the whole frame's side.

        Each is twice as wide as the one before, so that an object of any size fits one of them.
        """
        if not self.follows:
            return [self.whole]
        place, side, windows = Place.spanning(points), _MIN_CLICK_SIDE, []
        largest = float(max(self.frame_shape))
        while True:
            window = self._square(place.centre, min(side, largest))
            if window.holds(points):
                windows.append(window)
            if side >= largest:
                return windows or [self.holding(window, points)]
            side *= 2.0

    def around(self, place: Place, before: Window | None = None) -> Window:
        """Return the window for an object at `place`; of the side that it had, while that fits."""
        if not self.follows:
            return self.whole
        if before is not None and self.fits(place, before):
            return self._square(place.centre, before.height)
        return self._square(place.centre, _WINDOW_RATIO * place.extent)

    def shared(self, place: Place) -> Window:
        """Return the window for an object at `place`, so that its neighbours can share tiles."""
        if not self.follows:
            return self.whole
        return self._on_grid(place.centre, _WINDOW_RATIO * place.extent)

    def following(
        self, seen: WindowedObject | None, decided: WindowedObject | None = None
    ) -> Window:
        """Return the window for an object that was seen so in the frame before.

        It comes no closer than where the user decided about the object: a mask that shrinks by
        mistake would otherwise draw the window after it. It grows a little at a time.
        """
        if not self.follows or seen is None:
            return self.whole
        if self.fits(seen.place, seen.window):
            return self._on_grid(seen.place.centre, seen.window.height)
        side = min(_WINDOW_RATIO * seen.place.extent, _MAX_GROWTH * seen.window.height)
        if decided is not None:
            side = max(side, decided.window.height)
        return self._on_grid(seen.place.centre, side)

    def of_mask(self, mask: NDArray[np.bool_], known: WindowedObject | None = None) -> Window:
        """Return the window for an object whose mask (Y, X) is known.

        `known`: how it was seen in the nearest decided frame; its scale is kept while it fits.
        """
        place = Place.of_mask(mask, self.whole) if self.follows else None
        return self.whole if place is None else self.of_place(place, known)

    def of_place(self, place: Place, known: WindowedObject | None = None) -> Window:
        """Return the window for an object at a known place; see `of_mask`."""
        if known is None:
            return self.around(place)
        return self.following(WindowedObject(place, known.window), known)

    def fits(self, place: Place, window: Window) -> bool:
        """Return whether an object is neither too small nor too large in a window."""
        if not self.follows:
            return True
        side = self._limited(_WINDOW_RATIO * place.extent)
        return _MIN_RATIO / _WINDOW_RATIO <= window.height / side <= _MAX_RATIO / _WINDOW_RATIO

    def holding(self, window: Window, points: Sequence[tuple[float, float]]) -> Window:
        """Return the window, enlarged and moved as far as needed to hold points (y, x)."""
        if not self.follows or window.holds(points):
            return window
        inner = [
            (window.top, window.left),
            (window.top + window.height - 1, window.left + window.width - 1),
        ]
        place = Place.spanning([*inner, *points])
        return self._square(place.centre, (1 + 2 * _POINT_MARGIN) * place.extent)

    def closer(self, window: Window, towards: tuple[float, float]) -> Window:
        """Return a window half as wide around a (y, x); the same where there is no smaller one."""
        return self._square(towards, window.height / 2) if self.follows else window

    def _square(self, centre: tuple[float, float], side: float) -> Window:
        return Window.square(centre, self._limited(side), self.frame_shape)

    def _limited(self, side: float) -> int:
        return min(max(math.ceil(side), _MIN_SIDE), max(self.frame_shape))

    def _on_grid(self, centre: tuple[float, float], side: float) -> Window:
        if self.cells is None:
            return self._square(centre, side)
        # Whole pixels per cell, and four sides to the octave.
        limited = self._limited(side)
        octave = 1 << int(math.log2(limited))
        step = max(self.cells, octave // 4 // self.cells * self.cells)
        window = Window.square(centre, math.ceil(limited / step) * step, self.frame_shape)
        cell = window.height // self.cells
        corner = []
        for first, length in zip((window.top, window.left), self.frame_shape, strict=True):
            start = round(first / cell) * cell
            # At the end of a frame rounding down would leave its last pixels out.
            cut = start + window.height < length <= first + window.height
            corner.append(start + cell if cut else start)
        return replace(window, top=corner[0], left=corner[1])


def frame_to_input(
    frame: NDArray[np.float32], window: Window, size: int, device: torch.device
) -> Tensor:
    """Resize a window of a frame to the model's square and normalise it as ImageNet was.

    Parameters
    ----------
    frame : ndarray of float32, shape (Y, X, C)
        Values in 0..1; C is 1 (grey, repeated) or 3.
    window : Window
    size : int
        Side of the model input.
    device : torch.device
        Device of the result.

    Returns
    -------
    Tensor of float32, shape (1, 3, size, size)
        The aspect ratio is not kept, as in the reference; windows of that size stay untouched.
    """
    shape = frame.shape[:2]
    if window != Window.whole(shape):
        frame = _seen(frame, window)
    image = torch.from_numpy(np.ascontiguousarray(frame)).to(device).permute(2, 0, 1).unsqueeze(0)
    if image.shape[2:] != (size, size):
        image = F.interpolate(image, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
    return normalise(image)


def _seen(frame: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Return the pixels (Y, X, C) of a window; beyond the frame, those of its border."""
    shape = (frame.shape[0], frame.shape[1])
    rows, columns = window.inside(shape)
    if (rows.stop - rows.start, columns.stop - columns.start) == (window.height, window.width):
        part = frame[rows, columns]  # a view: in a large frame an index of each pixel takes seconds
        return part[:, ::-1] if window.mirrored else part
    return frame[np.ix_(window.rows(shape), window.columns(shape))]


def points_to_input(
    points: NDArray[np.float32], window: Window, size: int, device: torch.device
) -> Tensor:
    """Map (P, 2) points (y, x) in frame pixels to (1, P, 2) points (x, y) in input pixels.

    Pixel centres are integers on both sides: borders, not centres, of the two grids coincide.
    """
    scale = size / np.array([window.height, window.width], dtype=np.float64)
    corner = np.array([window.top, window.left])
    mapped = (np.asarray(points, dtype=np.float64) - corner + 0.5) * scale - 0.5
    if window.mirrored:
        mapped[:, 1] = size - 1 - mapped[:, 1]
    return torch.from_numpy(mapped[:, ::-1].astype(np.float32)).to(device).unsqueeze(0)


def mask_to_input(
    mask: NDArray[np.bool_], window: Window, size: int, device: torch.device
) -> Tensor:
    """Resize a window of a mask (Y, X) to (1, 1, size, size) of 0 and 1, cut at a half.

    Beyond the frame there is no object.
    """
    if window != Window.whole((mask.shape[0], mask.shape[1])):
        mask = _cut(mask, window)
    # A copy: torch warns of arrays that it could write to but must not.
    tensor = torch.from_numpy(mask.astype(np.float32)).to(device)[None, None]
    if tensor.shape[2:] == (size, size):
        return tensor
    resized = F.interpolate(tensor, size=(size, size), mode="bilinear", antialias=True)
    cut = (resized >= 0.5).float()
    # An object thinner than an input pixel would vanish: keep where it is densest.
    return cut if cut.any() or not mask.any() else (resized >= resized.amax()).float()


def _cut(mask: NDArray[np.bool_], window: Window) -> NDArray[np.bool_]:
    shape = (mask.shape[0], mask.shape[1])
    cut = np.zeros((window.height, window.width), dtype=bool)
    cut[window.part(shape)] = mask[window.inside(shape)]
    return cut[:, ::-1] if window.mirrored else cut
