"""New masks into the labels of one frame, as a pure function."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]


def compose_frame(
    labels: Labels,
    object_ids: Sequence[int],
    masks: NDArray[np.bool_],
    protected: Collection[int] = (),
) -> Labels:
    """Return the labels of a frame with these objects set to these masks.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        What the frame holds now; it is not changed.
    object_ids : sequence of int
    masks : ndarray of bool, shape (N, Y, X)
        One per id. Where masks overlap, the later one gets the pixel.
    protected : collection of int
        Ids whose pixels stay exactly as they are, even where a mask covers them.

    Returns
    -------
    ndarray of int, shape (Y, X)
        Old pixels of the given objects are background unless a new mask covers them; pixels of
        other objects are theirs unless a new mask covers them.
    """
    free = [(number, mask) for number, mask in zip(object_ids, masks, strict=True)]
    free = [(number, mask) for number, mask in free if number not in protected]
    composed = labels.copy()
    composed[_belongs_to(labels, [number for number, _ in free])] = 0
    for number, mask in free:
        np.copyto(composed, labels.dtype.type(number), where=mask)
    if protected:
        np.copyto(composed, labels, where=_belongs_to(labels, protected))
    return composed


def _belongs_to(labels: Labels, object_ids: Collection[int]) -> NDArray[np.bool_]:
    return np.isin(labels, np.fromiter(object_ids, dtype=labels.dtype, count=len(object_ids)))
