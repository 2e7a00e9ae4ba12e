"""Where the objects of one label plane are, and how large."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Plane = NDArray[np.integer[Any]]
Window = tuple[slice, slice]

_DENSE_IDS = 1 << 17
"""Ids up to here are counted in an array of that length; larger ones are numbered anew."""


def object_counts(plane: Plane) -> dict[int, int]:
    """Count the pixels of every object of a label plane (Y, X): id -> pixels, without 0."""
    ids, dense = _numbered(plane)
    counts = np.bincount(dense.ravel(), minlength=len(ids) + 1)[1:]
    found = np.flatnonzero(counts)
    return dict(zip(ids[found].tolist(), counts[found].tolist(), strict=True))


def object_windows(plane: Plane) -> dict[int, Window]:
    """Find the smallest window that holds each object of a label plane (Y, X), without 0."""
    ids, dense = _numbered(plane)
    windows = ndimage.find_objects(dense)
    return {
        object_id: window
        for object_id, window in zip(ids.tolist(), windows, strict=False)
        if window is not None
    }


def hull(one: Window, other: Window) -> Window:
    """Find the smallest window that holds two."""
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return rows, columns


def relative(window: Window, outer: Window) -> Window:
    """Give a window in the coordinates of one that holds it."""
    rows, columns = (
        slice(side.start - origin.start, side.stop - origin.start)
        for side, origin in zip(window, outer, strict=True)
    )
    return rows, columns


def window_shape(window: Window) -> tuple[int, int]:
    """Tell how many rows and columns a window has."""
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _numbered(plane: Plane) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give ids and a plane that holds 1 + the index of each pixel's id, or 0."""
    largest = int(plane.max(initial=0))
    if int(plane.min(initial=0)) >= 0 and largest < _DENSE_IDS:
        return np.arange(1, largest + 1), plane.astype(np.int64)
    ids, index = np.unique(plane, return_inverse=True)
    above = ids > 0
    places = np.where(above, np.cumsum(above), 0)
    return ids[above].astype(np.int64), places[index].reshape(plane.shape)
