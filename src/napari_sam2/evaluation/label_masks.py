"""Masks of objects, read from label planes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.evaluation.metrics import Mask
from napari_sam2.labels.masks import DENSE_IDS, box_of

Plane = NDArray[np.integer[Any]]
Window = tuple[slice, slice]


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
    """Return a window in the coordinates of a larger one."""
    rows, columns = (
        slice(side.start - origin.start, side.stop - origin.start)
        for side, origin in zip(window, outer, strict=True)
    )
    return rows, columns


def window_shape(window: Window) -> tuple[int, int]:
    """Return the number of rows and columns of a window."""
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _numbered(plane: Plane) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ids, and a plane with 1 + the index of each pixel's id, or 0."""
    largest = int(plane.max(initial=0))
    if int(plane.min(initial=0)) >= 0 and largest < DENSE_IDS:
        return np.arange(1, largest + 1), plane.astype(np.int64)
    ids, index = np.unique(plane, return_inverse=True)
    above = ids > 0
    places = np.where(above, np.cumsum(above), 0)
    return ids[above].astype(np.int64), places[index].reshape(plane.shape)


@dataclass(frozen=True, slots=True, eq=False)
class MaskPatch:
    """The mask of one object in one frame, without the empty rest of the frame.

    Attributes
    ----------
    object_id : int
    window : (slice, slice)
        Rows and columns of the frame.
    mask : ndarray of bool
        Mask in the window.
    """

    object_id: int
    window: Window
    mask: Mask

    @property
    def radius(self) -> float:
        """Radius of the disc with the mask's area, in pixels."""
        return math.sqrt(int(np.count_nonzero(self.mask)) / math.pi)

    def within(self, window: Window) -> Mask:
        """Return the mask in a larger window."""
        mask = np.zeros(window_shape(window), dtype=bool)
        mask[relative(self.window, window)] = self.mask
        return mask

    def shared(self, other: MaskPatch) -> Mask:
        """Return the intersection with another mask, in this window."""
        whole = hull(self.window, other.window)
        return self.mask & other.within(whole)[relative(self.window, whole)]


class MaskSource(Protocol):
    """Masks of objects in frames."""

    def patches(self, frame: int) -> Iterator[MaskPatch]:
        """Return the masks in a frame that are not empty."""

    def mask(self, object_id: int, frame: int) -> Mask:
        """Return one mask, shape (Y, X)."""


class LabelMasks:
    """The masks that a label stack holds.

    Parameters
    ----------
    labels : array of int, shape (T, Y, X)
        Read frame by frame.
    object_ids : collection of int
        The objects that count.
    """

    def __init__(self, labels: Any, object_ids: Collection[int]) -> None:
        self._labels = labels
        self._ids = frozenset(object_ids)

    def patches(self, frame: int) -> Iterator[MaskPatch]:
        """Return the masks in a frame that are not empty."""
        plane = np.asarray(self._labels[frame])
        for object_id, window in object_windows(plane).items():
            if object_id in self._ids:
                yield MaskPatch(object_id, window, plane[window] == object_id)

    def mask(self, object_id: int, frame: int) -> Mask:
        """Return one mask, shape (Y, X)."""
        mask: Mask = np.asarray(self._labels[frame]) == object_id
        return mask


class StoredMasks:
    """Masks that may overlap, kept without the empty rest of their frames.

    Parameters
    ----------
    frame_shape : (int, int)
        (Y, X).
    """

    def __init__(self, frame_shape: tuple[int, int]) -> None:
        self._frame_shape = frame_shape
        self._frames: dict[int, dict[int, MaskPatch]] = {}

    def record(self, object_id: int, frame: int, mask: NDArray[np.bool_]) -> None:
        """Store a mask of shape (Y, X); it replaces an earlier one."""
        patches = self._frames.setdefault(frame, {})
        window = box_of(mask)
        if window is None:
            patches.pop(object_id, None)
        else:
            patches[object_id] = MaskPatch(object_id, window, mask[window].copy())

    def patches(self, frame: int) -> Iterator[MaskPatch]:
        """Return the masks in a frame that are not empty."""
        yield from self._frames.get(frame, {}).values()

    def mask(self, object_id: int, frame: int) -> Mask:
        """Return one mask, shape (Y, X)."""
        mask = np.zeros(self._frame_shape, dtype=bool)
        patch = self._frames.get(frame, {}).get(object_id)
        if patch is not None:
            mask[patch.window] = patch.mask
        return mask
