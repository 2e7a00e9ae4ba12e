"""Region and boundary agreement of two masks, as pure functions of arrays.

Region similarity J (intersection over union) and boundary accuracy F are those of the
DAVIS benchmark (Perazzi et al., CVPR 2016), which SAM 2 (arXiv 2408.00714) reports too.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import EvaluationError
from napari_sam2.labels.masks import box_of

DAVIS_TOLERANCE = 0.008
"""Boundary tolerance of DAVIS, as a fraction of the frame's diagonal."""

Mask = NDArray[np.bool_]


def iou(prediction: Mask, truth: Mask) -> float:
    """Intersection over union (Jaccard index, J), of any number of dimensions.

    Parameters
    ----------
    prediction, truth : ndarray of bool, same shape

    Returns
    -------
    float
        In 0..1; 1 when both are empty.

    Raises
    ------
    EvaluationError
        If the shapes differ.
    """
    _require_same_shape(prediction, truth)
    union = int(np.count_nonzero(prediction | truth))
    if union == 0:
        return 1.0
    return int(np.count_nonzero(prediction & truth)) / union


def dice(prediction: Mask, truth: Mask) -> float:
    """Dice coefficient, 2 |A and B| / (|A| + |B|), of any number of dimensions.

    Parameters
    ----------
    prediction, truth : ndarray of bool, same shape

    Returns
    -------
    float
        In 0..1; 1 when both are empty.

    Raises
    ------
    EvaluationError
        If the shapes differ.
    """
    _require_same_shape(prediction, truth)
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    if total == 0:
        return 1.0
    return 2 * int(np.count_nonzero(prediction & truth)) / total


def boundary_f(prediction: Mask, truth: Mask, *, tolerance: float | None = None) -> float:
    """Boundary F measure: harmonic mean of boundary precision and recall.

    A boundary pixel counts as found when the other boundary passes within `tolerance`
    of it. The boundary of a mask is its outermost layer of pixels; the image's edge
    closes masks that touch it.

    Parameters
    ----------
    prediction, truth : ndarray of bool, shape (Y, X)
    tolerance : float, optional
        In pixels; by default that of DAVIS, 0.008 of the frame's diagonal, rounded up.

    Returns
    -------
    float
        In 0..1; 1 when both are empty, 0 when only one is.

    Raises
    ------
    EvaluationError
        If the shapes differ, the masks are not two-dimensional or the tolerance is negative.
    """
    _require_same_shape(prediction, truth)
    if prediction.ndim != 2:
        raise EvaluationError(f"A boundary needs masks (Y, X), not of shape {prediction.shape}.")
    if tolerance is None:
        tolerance = davis_tolerance(prediction.shape)
    if tolerance < 0:
        raise EvaluationError(f"A boundary tolerance of {tolerance} pixels is negative.")
    window = box_of(prediction | truth)
    if window is None:
        return 1.0
    # Distances between two boundaries never leave the window that holds both masks.
    predicted = mask_boundary(prediction[window])
    expected = mask_boundary(truth[window])
    if not predicted.any() or not expected.any():
        return 0.0
    precision = _fraction_near(predicted, expected, tolerance)
    recall = _fraction_near(expected, predicted, tolerance)
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def davis_tolerance(shape: tuple[int, ...]) -> int:
    """Return the tolerance of boundaries in pixels in a frame of shape (Y, X), as in DAVIS."""
    return math.ceil(DAVIS_TOLERANCE * math.hypot(*shape))


def mask_boundary(mask: Mask) -> Mask:
    """Find the pixels of a mask with a 4-neighbour outside it; outside the image is outside.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)

    Returns
    -------
    ndarray of bool, shape (Y, X)
    """
    eroded: Mask = ndimage.binary_erosion(mask, border_value=0)
    return mask & ~eroded


def _fraction_near(boundary: Mask, other: Mask, tolerance: float) -> float:
    distance = ndimage.distance_transform_edt(~other)
    return float(np.mean(distance[boundary] <= tolerance))


def _require_same_shape(prediction: Mask, truth: Mask) -> None:
    if prediction.shape != truth.shape:
        raise EvaluationError(
            f"Masks of shape {prediction.shape} and {truth.shape} cannot be compared.",
            remedy="Compare masks of the same frame or stack.",
        )
