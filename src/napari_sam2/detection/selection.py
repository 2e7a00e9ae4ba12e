"""The choice among masks of candidates: the best first, each on free pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2.detection.candidate import DetectionSettings
from napari_sam2.labels import PackedMask

_MIN_AGREEMENT_IOU = 0.7  # IoU of the masks of two candidates for the same object
_AGREEMENT_BONUS = 0.1  # added to the score if another candidate agrees


class ScoredMask(NamedTuple):
    """The mask of a candidate.

    Attributes
    ----------
    number : int
        Number of the candidate.
    mask : PackedMask
    score : float
        Predicted IoU times object score, in 0..1.
    agreed : bool
        Another candidate has nearly the same mask; see `with_agreement`.
    """

    number: int
    mask: PackedMask
    score: float
    agreed: bool = False

    @property
    def rank(self) -> float:
        """The score, plus a bonus if another candidate agrees.

        The bonus does not grow with the number of candidates: many clicks in a group of objects
        agree on the group.
        """
        return self.score + (_AGREEMENT_BONUS if self.agreed else 0.0)


def with_agreement(masks: Sequence[ScoredMask]) -> list[ScoredMask]:
    """Set `agreed` of every mask: another mask has an IoU above 0.7 with it.

    A mask that several clicks in different places give is an object more probably.
    """
    areas = np.array([int(each.mask.part()[1].sum()) for each in masks])
    boxes = np.array([(*each.mask.rows, *each.mask.columns) for each in masks]).reshape(-1, 4)
    agreed = np.zeros(len(masks), dtype=bool)
    for number, each in enumerate(masks):
        later = slice(number + 1, None)
        height = np.minimum(boxes[later, 1], boxes[number, 1])
        height = height - np.maximum(boxes[later, 0], boxes[number, 0])
        width = np.minimum(boxes[later, 3], boxes[number, 3])
        width = width - np.maximum(boxes[later, 2], boxes[number, 2])
        shared = height.clip(min=0) * width.clip(min=0)
        may_agree = shared > _MIN_AGREEMENT_IOU * np.maximum(areas[later], areas[number])
        for other in (np.flatnonzero(may_agree) + number + 1).tolist():
            if each.mask.shared_with(masks[other].mask)[1] > _MIN_AGREEMENT_IOU:
                agreed[[number, other]] = True
    return [each._replace(agreed=mark) for each, mark in zip(masks, agreed.tolist(), strict=True)]


def select_masks(
    masks: Iterable[ScoredMask],
    taken: NDArray[np.bool_],
    settings: DetectionSettings,
    min_score: float,
) -> list[ScoredMask]:
    """Select masks greedily by rank.

    A mask is left out if it lies on taken pixels or on better masks by more than the settings
    allow, or if its area is outside the settings' range.

    Parameters
    ----------
    masks : iterable of ScoredMask
    taken : ndarray of bool, shape (Y, X)
        Pixels of existing objects; unchanged.
    settings : DetectionSettings
    min_score : float

    Returns
    -------
    list of ScoredMask
        The best first, without taken pixels and pixels of better masks.
    """
    taken = taken.copy()
    chosen = []
    for each in sorted(masks, key=lambda each: (-each.rank, each.number)):
        if each.score < min_score or not each.mask.any():
            continue
        box, mask = each.mask.part()
        area = int(mask.sum())
        free = mask & ~taken[box]
        kept = int(free.sum())
        if area - kept > settings.max_overlap * area or kept < settings.least_size:
            continue
        if settings.max_size is not None and area > settings.max_size:
            continue
        taken[box] |= free
        chosen.append(each._replace(mask=PackedMask.within(box, free, each.mask.shape)))
    return chosen
