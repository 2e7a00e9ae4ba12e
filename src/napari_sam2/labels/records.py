"""What is known of one object in one frame, for review."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from napari_sam2.labels.compose import Labels


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
    places = np.flatnonzero(flat if object_ids is None else np.isin(flat, list(object_ids)))
    ids, which = np.unique(flat[places], return_inverse=True)
    rows, columns = np.divmod(places, labels.shape[1])
    areas = np.bincount(which, minlength=len(ids))
    y = np.bincount(which, rows, len(ids)) / areas
    x = np.bincount(which, columns, len(ids)) / areas
    return {
        int(number): Extent(int(area), (float(cy), float(cx)))
        for number, area, cy, cx in zip(ids, areas, y, x, strict=True)
    }
