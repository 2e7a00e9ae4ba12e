"""Which window of a frame the model sees of an object: the whole frame, or one that follows it.

Small objects that are seen at their own scale are segmented more exactly, and a small input is
quick: moving windows are the largest lever for microscopy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.tracking.window import Place, Sighting, Window

_RATIO = 3.0  # side of a window over the extent of its object: room to move, and surroundings
_LEAST, _MOST = 2.2, 4.5  # a window is kept while the ratio stays between these
_GROWTH = 1.3  # of a window's side from frame to frame, at most
_CLOSEST = 40.0  # pixels: the closest of several looks at a click
_SMALLEST = 24  # pixels: enlarging fewer shows nothing more
_MARGIN = 0.05


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
        self._cells = cells

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
        place, side, windows = Place.spanning(points), _CLOSEST, []
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
        return self._square(place.centre, _RATIO * place.extent)

    def following(self, seen: Sighting | None, decided: Sighting | None = None) -> Window:
        """Return the window for an object that was seen so in the frame before.

        It comes no closer than where the user decided about the object: a mask that shrinks by
        mistake would otherwise draw the window after it. It grows a little at a time.
        """
        if not self.follows or seen is None:
            return self.whole
        if self.fits(seen.place, seen.window):
            return self._on_grid(seen.place.centre, seen.window.height)
        side = min(_RATIO * seen.place.extent, _GROWTH * seen.window.height)
        if decided is not None:
            side = max(side, decided.window.height)
        return self._on_grid(seen.place.centre, side)

    def of_mask(self, mask: NDArray[np.bool_], known: Sighting | None = None) -> Window:
        """Return the window for an object whose mask (Y, X) is known.

        `known`: how it was seen in the nearest decided frame; its scale is kept while it fits.
        """
        place = Place.of_mask(mask, self.whole) if self.follows else None
        return self.whole if place is None else self.of_place(place, known)

    def of_place(self, place: Place, known: Sighting | None = None) -> Window:
        """Return the window for an object that is known to be at a place; see `of_mask`."""
        if known is None:
            return self.around(place)
        return self.following(Sighting(place, known.window), known)

    def fits(self, place: Place, window: Window) -> bool:
        """Tell whether an object is neither too small nor too large in a window."""
        if not self.follows:
            return True
        side = self._limited(_RATIO * place.extent)
        return _LEAST / _RATIO <= window.height / side <= _MOST / _RATIO

    def holding(self, window: Window, points: Sequence[tuple[float, float]]) -> Window:
        """Return the window, enlarged and moved as far as needed to hold points (y, x)."""
        if not self.follows or window.holds(points):
            return window
        inner = [
            (window.top, window.left),
            (window.top + window.height - 1, window.left + window.width - 1),
        ]
        place = Place.spanning([*inner, *points])
        return self._square(place.centre, (1 + 2 * _MARGIN) * place.extent)

    def closer(self, window: Window, towards: tuple[float, float]) -> Window:
        """Return a window half as wide around a (y, x); the same where there is no smaller one."""
        return self._square(towards, window.height / 2) if self.follows else window

    def _square(self, centre: tuple[float, float], side: float) -> Window:
        return Window.square(centre, self._limited(side), self.frame_shape)

    def _limited(self, side: float) -> int:
        return min(max(math.ceil(side), _SMALLEST), max(self.frame_shape))

    def _on_grid(self, centre: tuple[float, float], side: float) -> Window:
        if self._cells is None:
            return self._square(centre, side)
        # Whole pixels per cell, and four sides to the octave.
        limited = self._limited(side)
        octave = 1 << int(math.log2(limited))
        step = max(self._cells, octave // 4 // self._cells * self._cells)
        window = Window.square(centre, math.ceil(limited / step) * step, self.frame_shape)
        cell = window.height // self._cells
        top, left = (round(first / cell) * cell for first in (window.top, window.left))
        return replace(window, top=top, left=left)
