"""Measurements of each object in each frame, and the records that keep them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.bounding_boxes import box_of
from napari_sam2.labels.compose import Labels
from napari_sam2.types import FrameMasks, ObjectFrame

_SMALL = 2**16  # ids below are counted without being sorted


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """Measurements of one object in one frame.

    Attributes
    ----------
    object_id, frame : int
    area : int
        Pixels in the labels; 0 where the object is not.
    centre : (float, float)
        Mean (y, x) of these pixels; (0, 0) where there are none.
    score : float or None
        Presence times predicted IoU, in 0..1; None without a prediction.
    presence : float or None
        Probability that the object is in the frame, in 0..1.
    agreement : float or None
        IoU of the masks of the forward and the backward pass, where both came through.
    filling : bool
        The mask reaches all four sides of what the model saw of the frame.
    """

    object_id: int
    frame: int
    area: int = 0
    centre: tuple[float, float] = (0.0, 0.0)
    score: float | None = None
    presence: float | None = None
    agreement: float | None = None
    filling: bool = False

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
    """Extent of an object in a frame: number of pixels and their mean (y, x)."""

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


def extent_of(mask: NDArray[np.bool_]) -> Extent | None:
    """Return the extent of a mask, bool (Y, X); None if it is empty."""
    box = box_of(mask)
    if box is None:
        return None
    rows, columns = np.nonzero(mask[box])
    centre = float(rows.mean()) + box[0].start, float(columns.mean()) + box[1].start
    return Extent(rows.size, centre)


def _numbered(values: Labels) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]:
    """Return ids, ascending, and the index of each value in them; ids may lack a value.

    Small ids number themselves: sorting all pixels would take most of the time.
    """
    if values.min() >= 0 and values.max() < _SMALL:
        return np.arange(int(values.max()) + 1), values.astype(np.intp)
    ids, which = np.unique(values, return_inverse=True)
    return ids, which


class RecordBook:
    """The records of all objects in all frames: `ObjectFrame` to `FrameRecord`."""

    def __init__(self) -> None:
        self._records: dict[ObjectFrame, FrameRecord] = {}
        self._forward: dict[ObjectFrame, bool] = {}  # direction of the pass that came last

    def __iter__(self) -> Iterator[FrameRecord]:
        return iter(self._records.values())

    def get(self, object_id: int, frame: int) -> FrameRecord:
        """Return the record of an object in a frame; an empty record if there is none."""
        return self._records.get(ObjectFrame(object_id, frame), FrameRecord(object_id, frame))

    def put(self, records: Iterable[FrameRecord]) -> None:
        """Replace the records of the given objects and frames."""
        for record in records:
            if is_known(record):
                self._records[record.key] = record
            else:
                self._records.pop(record.key, None)

    def look(self, frame: int, labels: Labels, before: Labels | None = None) -> list[FrameRecord]:
        """Return records of the objects of a frame whose place in its labels is another now.

        Nothing is kept: see `put`. An object that has lost all pixels has lost its scores too.

        Parameters
        ----------
        frame : int
        labels : ndarray of int, shape (Y, X)
            The frame now.
        before : ndarray of int, shape (Y, X), optional
            The frame as it was; background by default.
        """
        found = measure(labels)
        ids = found.keys() | (set() if before is None else measure(before).keys())
        changed = []
        for number in sorted(ids):
            old, extent = self.get(number, frame), found.get(number)
            if extent is None:
                # Scores that say that it is not there are still true.
                new = FrameRecord(number, frame) if old.area else old
            else:
                new = replace(old, area=extent.area, centre=extent.centre)
                if new.area != old.area:
                    new = replace(new, filling=False)
            if new != old:
                changed.append(new)
        return changed

    def judge(self, result: FrameMasks, labels: Labels, before: Labels) -> list[FrameRecord]:
        """Return records of the objects of a result, with its scores.

        Parameters
        ----------
        result : FrameMasks
        labels, before : ndarray of int, shape (Y, X)
            The frame with the result in it, and before that.
        """
        forward = result.forward
        found = measure(labels, result.object_ids)
        records = []
        for number, score, presence in zip(
            result.object_ids, result.scores, result.presence, strict=True
        ):
            key = ObjectFrame(number, result.frame)
            agreement = None
            if forward is not None and self._forward.get(key, forward) != forward:
                agreement = _iou(labels == number, before == number)
            if forward is not None:
                self._forward[key] = forward
            extent = found.get(number)
            records.append(
                FrameRecord(
                    number,
                    result.frame,
                    0 if extent is None else extent.area,
                    (0.0, 0.0) if extent is None else extent.centre,
                    float(score),
                    float(presence),
                    agreement,
                    number in result.filling,
                )
            )
        return records


def is_known(record: FrameRecord) -> bool:
    """Return whether a record holds any value."""
    return record.area > 0 or record.score is not None


def _iou(one: Labels, other: Labels) -> float:
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0
