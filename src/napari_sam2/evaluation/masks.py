"""The masks of a method as the evaluation reads them: from labels, or kept one by one."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.metrics import Mask, bounding_window
from napari_sam2.evaluation.planes import Window, hull, object_windows, relative, window_shape


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The mask of one object in one frame, without the empty rest of the frame.

    Attributes
    ----------
    object_id : int
    window : (slice, slice)
        Where it lies in the frame.
    mask : ndarray of bool
        Of the window's shape.
    """

    object_id: int
    window: Window
    mask: Mask

    @property
    def radius(self) -> float:
        """Radius of the disc with the mask's area, in pixels."""
        return math.sqrt(int(np.count_nonzero(self.mask)) / math.pi)

    def within(self, window: Window) -> Mask:
        """Give the mask in a window that holds its own."""
        mask = np.zeros(window_shape(window), dtype=bool)
        mask[relative(self.window, window)] = self.mask
        return mask

    def shared(self, other: Patch) -> Mask:
        """Give the part of the mask that another holds too, in this one's window."""
        whole = hull(self.window, other.window)
        return self.mask & other.within(whole)[relative(self.window, whole)]


class MaskSource(Protocol):
    """Masks of objects in frames."""

    def patches(self, frame: int) -> Iterator[Patch]:
        """Give the masks in a frame that are not empty."""

    def mask(self, object_id: int, frame: int) -> Mask:
        """Give one mask, shape (Y, X)."""


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

    def patches(self, frame: int) -> Iterator[Patch]:
        """Give the masks in a frame that are not empty."""
        plane = np.asarray(self._labels[frame])
        for object_id, window in object_windows(plane).items():
            if object_id in self._ids:
                yield Patch(object_id, window, plane[window] == object_id)

    def mask(self, object_id: int, frame: int) -> Mask:
        """Give one mask, shape (Y, X)."""
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
        self._frames: dict[int, dict[int, Patch]] = {}

    def record(self, object_id: int, frame: int, mask: NDArray[np.bool_]) -> None:
        """Keep a mask of shape (Y, X); one recorded before is replaced."""
        patches = self._frames.setdefault(frame, {})
        window = bounding_window(mask)
        if window is None:
            patches.pop(object_id, None)
        else:
            patches[object_id] = Patch(object_id, window, mask[window].copy())

    def patches(self, frame: int) -> Iterator[Patch]:
        """Give the masks in a frame that are not empty."""
        yield from self._frames.get(frame, {}).values()

    def mask(self, object_id: int, frame: int) -> Mask:
        """Give one mask, shape (Y, X)."""
        mask = np.zeros(self._frame_shape, dtype=bool)
        patch = self._frames.get(frame, {}).get(object_id)
        if patch is not None:
            mask[patch.window] = patch.mask
        return mask
