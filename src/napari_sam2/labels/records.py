"""What is known of one object in one frame, for review."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.compose import Labels
from napari_sam2.types import ObjectFrame

_SMALL = 2**16  # ids below are counted without being sorted


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One object in one frame.

    Attributes
    ----------
    object_id, frame : int
    area : int
        Pixels in the labels; 0 where the object is not.
    centre : (float, float)
        Mean (y, x) of these pixels; (0, 0) where there are none.
    score : float or None
        Presence times predicted IoU, in 0..1; None where no network said anything.
    presence : float or None
        Probability that the object is in the frame, in 0..1.
    agreement : float or None
        IoU of the masks of the forward and the backward pass, where both came through.
    """

    object_id: int
    frame: int
    area: int = 0
    centre: tuple[float, float] = (0.0, 0.0)
    score: float | None = None
    presence: float | None = None
    agreement: float | None = None

    @property
    def key(self) -> ObjectFrame:
        """Object and frame."""
        return ObjectFrame(self.object_id, self.frame)

    @property
    def iou(self) -> float | None:
        """Predicted IoU, in 0..1."""
        if self.score is None or not self.presence:
            return None
        return min(1.0, self.score / self.presence)


@dataclass(frozen=True, slots=True)
class Extent:
    """Where an object is in a frame: pixels and their mean (y, x)."""

    area: int
    centre: tuple[float, float]


def measure(labels: Labels, object_ids: Collection[int] | None = None) -> dict[int, Extent]:
    """Measure the objects in the labels (Y, X) of a frame.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
    object_ids : collection of int, optional
        Only these; all by default.

    Returns
    -------
    dict of int to Extent
        By object id, ascending; objects without a pixel are left out.
    """
    flat = labels.reshape(-1)
    places = np.flatnonzero(flat != 0)
    if not places.size:
        return {}
    ids, which = _numbered(flat[places])
    rows, columns = np.divmod(places, labels.shape[1])
    areas = np.bincount(which, minlength=len(ids))
    y = np.bincount(which, rows, len(ids))
    x = np.bincount(which, columns, len(ids))
    wanted = None if object_ids is None else frozenset(object_ids)
    return {
        number: Extent(area, (sum_y / area, sum_x / area))
        for number, area, sum_y, sum_x in zip(
            ids.tolist(), areas.tolist(), y.tolist(), x.tolist(), strict=True
        )
        if area and (wanted is None or number in wanted)
    }


def _numbered(values: Labels) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]:
    """Return ids, ascending, and the index of each value in them; ids may lack a value.

    Small ids number themselves: sorting all pixels would take most of the time.
    """
    if values.min() >= 0 and values.max() < _SMALL:
        return np.arange(int(values.max()) + 1), values.astype(np.intp)
    ids, which = np.unique(values, return_inverse=True)
    return ids, which
