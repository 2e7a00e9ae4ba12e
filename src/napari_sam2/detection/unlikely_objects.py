"""What a search had better leave out: noise, debris, gaps, blurred views of other objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.detection.selection import ScoredMask
from napari_sam2.labels import PackedMask
from napari_sam2.network import STANDS_OUT, object_contrast

# Measured on eighteen sets, see docs/measurements/finding.md
_TIMES_FAINTER = 12.0  # than the clearest object with a good score: noise
_TIMES_SMALLER = 12  # than the typical area: tiny
_TIMES_SMALLER_ALONE = 6  # where one click alone means the object
_MOST_COVERED = 0.25  # of all pixels of objects, by tiny ones
_FEW = 3  # objects: of fewer, none is typical
_SIDE = 0.8  # of all objects: they are bright, or dark, and the others are gaps
_SIDE_BEFORE = 0.95  # of the objects that were there before, whatever is found beside them
_FEW_FOR_A_SIDE = 8
_CLEARER = 2.0  # times the contrast; measured on ten stacks, see docs/measurements/finding.md
_MARGIN = 16  # pixels around an object that its contrast is measured in


def unlikely(
    found: Sequence[ScoredMask],
    labels: NDArray[np.integer],
    brightness: NDArray[np.float32],
    good: float,
) -> NDArray[np.bool_]:
    """Tell which found objects are probably none.

    Those that stand out less than a twelfth as much as the clearest good object are noise: the
    network sees every window in its own contrast. Where four in five objects are brighter than
    what is around them, or nearly all that were there before, those that are darker are gaps
    between them, and the reverse. Of the others, those much smaller than is typical are debris or
    granules (see `tiny`). Objects with a good score are unlikely only where they are tiny.

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
    if not found:
        return np.zeros(0, dtype=bool)
    sure = np.array([each.score >= good for each in found])
    contrasts = [_contrast(brightness, *each.mask.part()) for each in found]
    before = [_contrast(brightness, box, part) for box, part in _parts(labels)]
    left_out: NDArray[np.bool_] = _faint(contrasts, before, sure) & ~sure
    kept = np.flatnonzero(~left_out)
    gaps = _on_the_other_side([contrasts[number] for number in kept.tolist()], before)
    left_out[kept] = gaps & ~sure[kept]
    kept = np.flatnonzero(~left_out)
    areas = np.array([int(each.mask.part()[1].sum()) for each in found], dtype=np.int64)
    alone = np.array([not each.agreed for each in found]) & ~sure
    there = np.unique(labels[labels != 0], return_counts=True)[1].tolist()
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


class _Contrast(NamedTuple):
    """How a mask differs from what is around it.

    Attributes
    ----------
    step : float
        How much brighter it is in the mean; 0 where nothing is around it.
    difference : float
        Root mean square of the difference of its pixels from what is around it: what is as bright
        as its surroundings may stand out by its rims.
    spread : float
        Standard deviation of all pixels near by.
    """

    step: float
    difference: float
    spread: float


def _faint(
    contrasts: Sequence[_Contrast], before: Sequence[_Contrast], sure: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell which masks hardly stand out beside the clearest object that is surely one."""
    differences = np.array([each.difference for each in contrasts])
    clearest = max([*differences[sure].tolist(), *(each.difference for each in before)], default=0)
    faint: NDArray[np.bool_] = _TIMES_FAINTER * differences < clearest
    return faint


def _on_the_other_side(
    contrasts: Sequence[_Contrast], before: Sequence[_Contrast]
) -> NDArray[np.bool_]:
    """Tell which masks are darker than what is around them where objects are bright, or so."""
    steps = np.array([each.step for each in contrasts])
    there = np.array([each.step for each in before])
    every = np.concatenate((steps, there))
    for voters, share in ((every, _SIDE), (there, _SIDE_BEFORE)):
        if len(voters) < _FEW_FOR_A_SIDE:
            continue
        for side in (1.0, -1.0):
            if (voters * side > 0).mean() >= share:
                others: NDArray[np.bool_] = steps * side <= 0
                return others
    return np.zeros(len(steps), dtype=bool)


def _parts(
    labels: NDArray[np.integer],
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """Give the bounding box of each object of a label image, and its mask there."""
    ids, compact = np.unique(labels, return_inverse=True)
    compact = compact.reshape(labels.shape) + (ids[0] != 0)
    for number, box in enumerate(ndimage.find_objects(compact), start=1):
        if box is not None:
            yield box, compact[box] == number


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
    now, then = _contrast(here, box, part), _contrast(there, box, part)
    enough = max(STANDS_OUT * then.spread, _CLEARER * abs(now.step))
    return bool(then.step * np.copysign(1.0, now.step) > enough)


def _contrast(
    brightness: NDArray[np.float32], box: tuple[slice, slice], part: NDArray[np.bool_]
) -> _Contrast:
    """Measure how a mask in a box differs from what surrounds it."""
    rows, columns = box
    top, left = max(0, rows.start - _MARGIN), max(0, columns.start - _MARGIN)
    window = brightness[top : rows.stop + _MARGIN, left : columns.stop + _MARGIN]
    inside = np.zeros(window.shape, dtype=bool)
    inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    if inside.all():
        return _Contrast(0.0, 0.0, float(window.std()))
    pixels, mask = (torch.from_numpy(each.copy())[None, None] for each in (window, inside))
    within, around, spread = object_contrast(pixels, mask)[0].tolist()
    difference = float(np.sqrt(np.square(window[inside] - around).mean()))
    return _Contrast(within - around, difference, spread)
