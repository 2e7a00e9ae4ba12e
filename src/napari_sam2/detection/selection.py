"""The choice among masks of candidates: the best first, each on pixels that are still free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sam2.detection.candidate import DetectionSettings
from napari_sam2.labels import PackedMask
from napari_sam2.network import STANDS_OUT, object_contrast

_TIMES_SMALLER = 12  # than the typical area: tiny; measured on eighteen sets, see docs/finding.md
_MOST_COVERED = 0.25  # of all pixels of objects, by tiny ones
_FEW = 3  # objects: of fewer, none is typical
_CLEARER = 2.0  # times the contrast; measured on ten stacks, see docs/finding.md
_MARGIN = 16  # pixels around an object that its contrast is measured in


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
        if area - kept > settings.max_overlap * area or kept < settings.least_size:
            continue
        if settings.max_size is not None and area > settings.max_size:
            continue
        taken[box] |= free
        chosen.append(each._replace(mask=PackedMask.within(box, free, each.mask.shape)))
    return chosen


def tiny(areas: Sequence[int], there: Sequence[int] = ()) -> NDArray[np.bool_]:
    """Tell which objects are so much smaller than the others that they are debris or granules.

    Half of the pixels of all objects belong to objects of at least the typical area; the largest
    object, which may be background taken for one, does not count. Objects of less than a twelfth
    of that area are tiny. If they cover more than a quarter of all pixels of objects, they are
    what the frame shows, and none of them is.

    Parameters
    ----------
    areas : sequence of N int
        Pixels of each object.
    there : sequence of int
        Pixels of objects that are there already.

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    found = np.asarray(areas, dtype=np.int64)
    every = np.sort(np.concatenate((found, np.asarray(there, dtype=np.int64))))
    nothing = np.zeros(len(found), dtype=bool)
    if len(every) < _FEW:
        return nothing
    counted = every[:-1]
    typical = counted[np.searchsorted(np.cumsum(counted), counted.sum() / 2)]
    small = _TIMES_SMALLER * found < typical  # in whole numbers, so that no rounding decides
    return nothing if found[small].sum() > _MOST_COVERED * every.sum() else small


def is_clearer(mask: PackedMask, here: NDArray[np.float32], there: NDArray[np.float32]) -> bool:
    """Tell whether what a mask covers stands out far more in another frame.

    In the haze above or below an object, and where two objects that follow one another in depth
    meet, masks are poor: twice the contrast there, on the same side, and enough to stand out.

    Parameters
    ----------
    mask : PackedMask
        In this frame; not empty.
    here, there : ndarray of float32, shape (Y, X)
        Brightness of this frame and of the other one.
    """
    (rows, columns), part = mask.part()
    top, left = max(0, rows.start - _MARGIN), max(0, columns.start - _MARGIN)
    window = slice(top, rows.stop + _MARGIN), slice(left, columns.stop + _MARGIN)
    inside = np.zeros(here[window].shape, dtype=bool)
    inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    now, _ = _contrast(here[window], inside)
    then, spread = _contrast(there[window], inside)
    return bool(then * np.copysign(1.0, now) > max(STANDS_OUT * spread, _CLEARER * abs(now)))


def _contrast(brightness: NDArray[np.float32], inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return how much brighter a mask is than what is around it, and the deviation of both."""
    pixels, mask = (torch.from_numpy(each.copy())[None, None] for each in (brightness, inside))
    within, around, spread = object_contrast(pixels, mask)[0].tolist()
    return within - around, spread
