"""The search for frames of an object that a user should look at again, with reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.frame_records import FrameRecord


class Doubt(StrEnum):
    """A reason for looking at a frame; the value is the text that the user reads."""

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


_NEARBY = 2  # frames to each side, for the largest area nearby


def doubts(
    records: Iterable[FrameRecord], decided: Collection[int] = (), limits: Limits | None = None
) -> dict[int, tuple[Doubt, ...]]:
    """Find the doubtful frames of one object.

    Parameters
    ----------
    records : iterable of FrameRecord
        Records of one object, in any order, at most one per frame.
    decided : collection of int
        Frames that the user prompted or accepted: never doubtful, but others are compared with
        them.
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
    """Find masks that may not be there, and frames without one where there may be an object."""
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
    """Say which frame is to be looked at of each step, given at the later of its two frames.

    It is the later one, unless the user decided that one: then the step is the earlier one's.
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
