"""What a search had better leave out: debris, gaps between objects, blurred views of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.detection.selection import ScoredMask
from napari_sam2.labels import PackedMask
from napari_sam2.network import STANDS_OUT, object_contrast

# Measured on eighteen sets, see docs/finding.md
_TIMES_SMALLER = 12  # than the typical area: tiny
_TIMES_SMALLER_ALONE = 6  # where one click alone means the object
_MOST_COVERED = 0.25  # of all pixels of objects, by tiny ones
_FEW = 3  # objects: of fewer, none is typical
_SIDE = 0.8  # of all objects: they are bright, or dark, and the others are gaps
_FEW_FOR_A_SIDE = 8
_CLEARER = 2.0  # times the contrast; measured on ten stacks, see docs/finding.md
_MARGIN = 16  # pixels around an object that its contrast is measured in


def unlikely(
    found: Sequence[ScoredMask],
    labels: NDArray[np.integer],
    brightness: NDArray[np.float32],
    good: float,
) -> NDArray[np.bool_]:
    """Tell which found objects are probably none.

    Where four in five objects are brighter than what is around them, those that are darker are
    gaps between them, and the reverse. Of the others, those much smaller than is typical
    are debris or granules (see `tiny`). Objects with a good score are unlikely only where they are
    tiny.

    Parameters
    ----------
    found : sequence of N ScoredMask
        Not empty ones, that do not overlap.
    labels : ndarray of int, shape (Y, X)
        The objects that were there before; 0 is none.
    brightness : ndarray of float32, shape (Y, X)
        Of the frame.
    good : float
        The least good score.

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    sure: NDArray[np.bool_] = np.array([each.score >= good for each in found], dtype=bool)
    there = np.unique(labels[labels != 0], return_counts=True)[1].tolist()
    left_out: NDArray[np.bool_] = (
        _on_the_other_side([each.mask for each in found], labels, brightness) & ~sure
    )
    areas = np.array([int(each.mask.part()[1].sum()) for each in found], dtype=np.int64)
    alone = np.array([not each.agreed for each in found], dtype=bool) & ~sure
    kept = ~left_out
    left_out[kept] = tiny(areas[kept].tolist(), there, alone[kept])
    return left_out


def tiny(
    areas: Sequence[int], there: Sequence[int] = (), alone: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Tell which objects are so much smaller than the others that they are debris or granules.

    Half of the pixels of all objects belong to objects of at least the typical area; the largest
    object, which may be background taken for one, does not count. Objects of less than a twelfth
    of that area are tiny; those that stand alone, of less than a sixth. If they cover more than a
    quarter of all pixels of objects, they are what the frame shows, and none of them is.

    Parameters
    ----------
    areas : sequence of N int
        Pixels of each object.
    there : sequence of int
        Pixels of objects that are there already.
    alone : ndarray of bool, shape (N,), optional
        No second click meant the object; by default none of them.

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
    smaller = nothing if alone is None else (_TIMES_SMALLER_ALONE * found < typical) & alone
    candidates: tuple[NDArray[np.bool_], ...] = (small | smaller, small, nothing)
    return next(each for each in candidates if found[each].sum() <= _MOST_COVERED * every.sum())


def _on_the_other_side(
    masks: Sequence[PackedMask], labels: NDArray[np.integer], brightness: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Tell which masks are darker than what is around them where objects are bright, or so."""
    steps = np.array([_contrast(brightness, *mask.part())[0] for mask in masks])
    ids, compact = np.unique(labels, return_inverse=True)
    compact = compact.reshape(labels.shape) + (ids[0] != 0)
    boxes = ndimage.find_objects(compact)
    there = [
        _contrast(brightness, box, compact[box] == number)[0]
        for number, box in enumerate(boxes, start=1)
        if box is not None
    ]
    every = np.concatenate((steps, there))
    if len(every) >= _FEW_FOR_A_SIDE:
        for side in (1.0, -1.0):
            if (every * side > 0).mean() >= _SIDE:
                others: NDArray[np.bool_] = steps * side <= 0
                return others
    return np.zeros(len(masks), dtype=bool)


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
    box, part = mask.part()
    now, _ = _contrast(here, box, part)
    then, spread = _contrast(there, box, part)
    return bool(then * np.copysign(1.0, now) > max(STANDS_OUT * spread, _CLEARER * abs(now)))


def _contrast(
    brightness: NDArray[np.float32], box: tuple[slice, slice], part: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return how much brighter a mask in a box is than what surrounds it, and their deviation."""
    rows, columns = box
    top, left = max(0, rows.start - _MARGIN), max(0, columns.start - _MARGIN)
    window = brightness[top : rows.stop + _MARGIN, left : columns.stop + _MARGIN]
    inside = np.zeros(window.shape, dtype=bool)
    inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    pixels, mask = (torch.from_numpy(each.copy())[None, None] for each in (window, inside))
    within, around, spread = object_contrast(pixels, mask)[0].tolist()
    return within - around, spread
