"""The overlap rule: which object a pixel belongs to when several claim it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import LabelsError


def resolve_overlaps(logits: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Turn mask logits into disjoint masks: the highest logit above 0 wins the pixel.

    Parameters
    ----------
    logits : ndarray of float, shape (N, Y, X)
        One plane per object; NaN never wins.

    Returns
    -------
    ndarray of bool, shape (N, Y, X)
        Every pixel is True in one plane at most; of equal logits the first object wins.
    """
    if logits.ndim != 3:
        raise LabelsError(
            f"Mask logits must be (objects, y, x), not {logits.ndim}D.",
            remedy="Stack the logits of all objects of the frame.",
        )
    # Plane by plane: three frames of scratch memory, however many objects there are.
    best = np.zeros(logits.shape[1:], dtype=logits.dtype)
    winner = np.full(logits.shape[1:], -1, dtype=np.int32)
    for at, plane in enumerate(logits):
        better = plane > best
        np.copyto(best, plane, where=better)
        np.copyto(winner, at, where=better)
    masks: NDArray[np.bool_] = winner == np.arange(len(logits), dtype=np.int32)[:, None, None]
    return masks
