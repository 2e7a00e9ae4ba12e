"""Measurements of each object in each frame, and the search for doubtful frames among them.

A frame is doubtful if its record suggests an error, so that a user should review it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.masks import box_of
from napari_sam2.types import FrameMasks, ObjectFrame

_SMALL = 2**16  # ids below are counted without being sorted


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """Measurements of one object in one frame.

    Attributes
    ----------
    object_id, frame : int
    area : int
        Pixels in the labels; 0 if the object is absent.
    centre : (float, float)
        Mean (y, x) of these pixels; (0, 0) where there are none.
    score : float or None
        Presence times predicted IoU, in 0..1; None without a prediction.
    presence : float or None
        Probability that the object is in the frame, in 0..1.
    agreement : float or None
        IoU of the masks of the forward and the backward pass; None unless both reached the frame.
    filling : bool
        The mask reaches all four sides of the part of the frame that the model saw.
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

    def changed_records(
        self, frame: int, labels: Labels, before: Labels | None = None
    ) -> list[FrameRecord]:
        """Return new records of the objects whose pixels in a frame have changed.

        The book is unchanged; `put` adds the records. An object without pixels loses its scores.

        Parameters
        ----------
        frame : int
        labels : ndarray of int, shape (Y, X)
            Present labels of the frame.
        before : ndarray of int, shape (Y, X), optional
            Earlier labels of the frame; background by default.
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

    def result_records(
        self, result: FrameMasks, labels: Labels, before: Labels
    ) -> list[FrameRecord]:
        """Return records of the objects of a result, with the scores of the result.

        Parameters
        ----------
        result : FrameMasks
        labels, before : ndarray of int, shape (Y, X)
            Labels of the frame after and before the result was written.
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


class Doubt(StrEnum):
    """A reason to review a frame; the value is the text that the user reads."""

    PRESENCE = "low object score"
    IOU = "low predicted IoU"
    MISSING = "missing between frames"
    AREA = "area jumps"
    POSITION = "position jumps"
    PASSES = "forward and backward disagree"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds beyond which a frame is doubtful.

    Attributes
    ----------
    presence, iou, agreement : float
        Doubtful below these, in 0..1.
    area_step : float
        Doubtful if the area changes by more than this part of the largest area nearby. A sphere
        cut into six slices or more loses less than 0.6 from one slice to the next.
    move : float
        Doubtful if the centre moves by more than this many radii of the object, and by more
        than `usual_moves` times its median step.
    usual_moves : float
    """

    presence: float = 0.7
    iou: float = 0.5
    agreement: float = 0.6
    area_step: float = 0.6
    move: float = 1.0
    usual_moves: float = 3.0


_NEARBY = 2  # frames on each side whose largest area a step is compared with


def doubts(
    records: Iterable[FrameRecord], decided: Collection[int] = (), limits: Limits | None = None
) -> dict[int, tuple[Doubt, ...]]:
    """Find the doubtful frames of one object.

    Parameters
    ----------
    records : iterable of FrameRecord
        Records of one object, in any order, at most one per frame.
    decided : collection of int
        Frames that the user prompted or accepted. They are never doubtful; other frames are
        compared with them.
    limits : Limits, optional

    Returns
    -------
    dict of int to tuple of Doubt
        Doubtful frames, ascending, with all their reasons.
    """
    limits = limits or Limits()
    series = sorted(records, key=attrgetter("frame"))
    if not series:
        return {}
    # Unknown values become NaN, which counts as neither low nor high.
    known = [(r.frame, r.area, r.presence, r.score, r.agreement, *r.centre) for r in series]
    values = np.array(known, dtype=float)
    areas, presence, scores, agreement = values.T[1:5]
    frames = values[:, 0].astype(int)
    ious = np.full(len(series), np.nan)
    with np.errstate(over="ignore"):  # by a presence of next to nothing: 1 and above is not low
        np.divide(scores, presence, out=ious, where=presence > 0)
    open_to_doubt = ~np.isin(frames, list(decided))
    found = {
        Doubt.PRESENCE: _unsure(presence, areas, limits),
        Doubt.IOU: (ious < limits.iou) & (areas > 0),
    }
    if len(series) > 1:  # else there is no step from frame to frame
        moves = _moves(values[:, 5:], frames, areas, limits)
        found[Doubt.MISSING] = _missing(areas)
        found[Doubt.AREA] = _doubted(_area_jumps(frames, areas, limits), open_to_doubt)
        found[Doubt.POSITION] = _doubted(moves, open_to_doubt)
    found[Doubt.PASSES] = agreement < limits.agreement
    doubtful = np.flatnonzero(np.any(list(found.values()), axis=0) & open_to_doubt)
    return {
        int(frames[index]): tuple(doubt for doubt, where in found.items() if where[index])
        for index in doubtful
    }


def _unsure(
    presence: NDArray[np.float64], areas: NDArray[np.float64], limits: Limits
) -> NDArray[np.bool_]:
    """Find masks of low presence, and frames without a mask of high presence."""
    unsure: NDArray[np.bool_] = np.where(
        areas > 0, presence < limits.presence, presence > 1 - limits.presence
    )
    return unsure


def _missing(areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    present = areas > 0
    before = np.logical_or.accumulate(present)
    after = np.logical_or.accumulate(present[::-1])[::-1]
    missing: NDArray[np.bool_] = ~present & before & after
    return missing


def _doubted(steps: NDArray[np.bool_], open_to_doubt: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the doubtful frame of each step between two frames.

    `steps` marks the later frame of each step. That frame is doubtful, or the earlier one if the
    user decided the later one.
    """
    earlier = np.append(steps[1:] & ~open_to_doubt[1:], False)
    doubted: NDArray[np.bool_] = steps | earlier
    return doubted


def _area_jumps(
    frames: NDArray[np.int_], areas: NDArray[np.float64], limits: Limits
) -> NDArray[np.bool_]:
    jumps = np.zeros(len(areas), dtype=bool)
    nearby = areas.copy()
    for shift in range(1, _NEARBY + 1):
        nearby[shift:] = np.maximum(nearby[shift:], areas[:-shift])
        nearby[:-shift] = np.maximum(nearby[:-shift], areas[shift:])
    steps = np.abs(np.diff(areas)) > limits.area_step * nearby[1:]
    steps &= (areas[1:] > 0) & (areas[:-1] > 0) & (np.diff(frames) == 1)
    jumps[1:] = steps
    return jumps


def _moves(
    centres: NDArray[np.float64],
    frames: NDArray[np.int_],
    areas: NDArray[np.float64],
    limits: Limits,
) -> NDArray[np.bool_]:
    moves = np.zeros(len(areas), dtype=bool)
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    both = (areas[1:] > 0) & (areas[:-1] > 0) & (np.diff(frames) == 1)
    if not both.any():
        return moves
    radius = np.sqrt(np.maximum(areas[1:], areas[:-1]) / np.pi)
    usual = float(np.median(steps[both]))
    moves[1:] = both & (steps > limits.move * radius) & (steps > limits.usual_moves * usual)
    return moves
