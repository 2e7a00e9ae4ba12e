"""Rules for found masks that are probably no objects: noise, debris, gaps and blurred objects."""

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

# Chosen on eighteen sets; see docs/measurements/finding.md. Noise stands out this much less than
# the clearest object with a good score; tiny objects are so many times smaller than the typical
# one, or than half of that where no second click agrees with the first.
_TIMES_FAINTER = 12.0
_TIMES_SMALLER = 12
_TIMES_SMALLER_ALONE = 6
_MAX_TINY_SHARE = 0.25  # of all pixels of objects; more of them are no debris
_MIN_OBJECTS = 3  # fewer objects have no typical area
# Share of all objects, and of the objects that were there before, on one side of their surroundings
# (brighter or darker), from which on objects on the other side are gaps; needs so many objects.
_MIN_SIDE_SHARE = 0.8
_MIN_SIDE_SHARE_BEFORE = 0.95
_MIN_OBJECTS_FOR_SIDE = 8
_TIMES_CLEARER = 2.0  # contrast in the other frame; chosen on ten stacks, see the same file
_MARGIN = 16  # pixels around an object within which its contrast is measured


def unlikely(
    found: Sequence[ScoredMask],
    labels: NDArray[np.integer],
    brightness: NDArray[np.float32],
    good: float,
) -> NDArray[np.bool_]:
    """Return which found masks are probably no objects.

    A mask that stands out less than a twelfth as much as the clearest good object is noise: the
    network sees every window in its own contrast. If four in five objects, or nearly all earlier
    ones, are brighter than their surroundings, darker masks are gaps between objects, and the
    reverse. Of the other masks, those much smaller than the typical object are debris or granules
    (see `tiny`). A mask with a good score is unlikely only if it is tiny.

    Parameters
    ----------
    found : sequence of N ScoredMask
        Masks with pixels, which do not overlap.
    labels : ndarray of int, shape (Y, X)
        The objects that the frame has already; 0 is none.
    brightness : ndarray of float32, shape (Y, X)
        Brightness of the frame.
    good : float
        Scores from here on are good.

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
    gaps = _on_opposite_side([contrasts[number] for number in kept.tolist()], before)
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
    """Return which objects are small enough beside the others to be debris or granules.

    Half of the pixels of all objects belong to objects of at least the typical area. The largest
    object does not count, as it may be background. Objects smaller than a twelfth of the typical
    area are tiny, and those in `alone` if smaller than a sixth. If they cover more than a quarter
    of all pixels of objects, the frame mainly shows small objects, and none of them is tiny.

    Parameters
    ----------
    areas : sequence of N int
        Pixels of each object.
    there : sequence of int
        Pixels of each object that the frame has already.
    alone : ndarray of bool, shape (N,), optional
        Objects whose mask no second click agrees with; none by default.

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    found = np.asarray(areas, dtype=np.int64)
    every = np.sort(np.concatenate((found, np.asarray(there, dtype=np.int64))))
    nothing = np.zeros(len(found), dtype=bool)
    if len(every) < _MIN_OBJECTS:
        return nothing
    counted = every[:-1]
    typical = counted[np.searchsorted(np.cumsum(counted), counted.sum() / 2)]
    small = _TIMES_SMALLER * found < typical  # in whole numbers, so that no rounding decides
    smaller = nothing if alone is None else (_TIMES_SMALLER_ALONE * found < typical) & alone
    candidates: tuple[NDArray[np.bool_], ...] = (small | smaller, small, nothing)
    return next(each for each in candidates if found[each].sum() <= _MAX_TINY_SHARE * every.sum())


class _Contrast(NamedTuple):
    """Contrast of a mask with its surroundings.

    Attributes
    ----------
    step : float
        Mean brightness of the mask minus that of its surroundings; 0 without surroundings.
    difference : float
        Root mean square of that difference over the pixels of the mask: a mask that is as bright as
        its surroundings may still have bright and dark rims.
    spread : float
        Standard deviation of all pixels of the mask and its surroundings.
    """

    step: float
    difference: float
    spread: float


def _faint(
    contrasts: Sequence[_Contrast], before: Sequence[_Contrast], sure: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which masks hardly stand out, compared with the clearest sure object."""
    differences = np.array([each.difference for each in contrasts])
    clearest = max([*differences[sure].tolist(), *(each.difference for each in before)], default=0)
    faint: NDArray[np.bool_] = _TIMES_FAINTER * differences < clearest
    return faint


def _on_opposite_side(
    contrasts: Sequence[_Contrast], before: Sequence[_Contrast]
) -> NDArray[np.bool_]:
    """Return which masks are dark where objects are bright, or bright where objects are dark."""
    steps = np.array([each.step for each in contrasts])
    there = np.array([each.step for each in before])
    every = np.concatenate((steps, there))
    for voters, share in ((every, _MIN_SIDE_SHARE), (there, _MIN_SIDE_SHARE_BEFORE)):
        if len(voters) < _MIN_OBJECTS_FOR_SIDE:
            continue
        for side in (1.0, -1.0):
            if (voters * side > 0).mean() >= share:
                others: NDArray[np.bool_] = steps * side <= 0
                return others
    return np.zeros(len(steps), dtype=bool)


def _parts(
    labels: NDArray[np.integer],
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """Yield the bounding box of each object of a label image, and its mask in the box."""
    ids, compact = np.unique(labels, return_inverse=True)
    compact = compact.reshape(labels.shape) + (ids[0] != 0)
    for number, box in enumerate(ndimage.find_objects(compact), start=1):
        if box is not None:
            yield box, compact[box] == number


def is_clearer(mask: PackedMask, here: NDArray[np.float32], there: NDArray[np.float32]) -> bool:
    """Return whether the pixels of a mask stand out far more in another frame.

    They do with twice the contrast, on the same side (brighter or darker), and enough of it. Masks
    are poor in the haze above or below an object, and where two objects meet in depth.

    Parameters
    ----------
    mask : PackedMask
        Mask in this frame; not empty.
    here, there : ndarray of float32, shape (Y, X)
        Brightness of this frame and of the other one.
    """
    box, part = mask.part()
    now, then = _contrast(here, box, part), _contrast(there, box, part)
    enough = max(STANDS_OUT * then.spread, _TIMES_CLEARER * abs(now.step))
    return bool(then.step * np.copysign(1.0, now.step) > enough)


def _contrast(
    brightness: NDArray[np.float32], box: tuple[slice, slice], part: NDArray[np.bool_]
) -> _Contrast:
    """Measure the contrast of a mask in a box with its surroundings."""
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
