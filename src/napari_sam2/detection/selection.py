"""The choice among masks of candidates: the best first, each on pixels that are still free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2.detection.candidate import DetectionSettings
from napari_sam2.labels import PackedMask


class ScoredMask(NamedTuple):
    """The mask of a candidate.

    Attributes
    ----------
    number : int
        Number of the candidate.
    mask : PackedMask
    score : float
        Predicted IoU times object score, in 0..1.
    """

    number: int
    mask: PackedMask
    score: float


def select_masks(
    masks: Iterable[ScoredMask],
    taken: NDArray[np.bool_],
    settings: DetectionSettings,
    min_score: float,
) -> list[ScoredMask]:
    """Select masks greedily by score.

    A mask that lies on taken pixels or on better masks by more than the settings allow is left
    out; so is one whose area is outside the settings' range.

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
        The best first, without the pixels that they share with what was there before them.
    """
    taken = taken.copy()
    chosen = []
    for each in sorted(masks, key=lambda each: (-each.score, each.number)):
        if each.score < min_score or not each.mask.any():
            continue
        box, mask = each.mask.part()
        area = int(mask.sum())
        free = mask & ~taken[box]
        kept = int(free.sum())
        if area - kept > settings.max_overlap * area or kept < settings.min_size:
            continue
        if settings.max_size is not None and area > settings.max_size:
            continue
        taken[box] |= free
        chosen.append(each._replace(mask=PackedMask.within(box, free, each.mask.shape)))
    return chosen
