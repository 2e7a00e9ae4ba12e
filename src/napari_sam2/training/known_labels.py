"""What is known of the pixels of a frame in which only some objects have masks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

UNKNOWN = -1
"""Label of a pixel of which nobody has said whether it is an object: no loss looks at it."""

_LEAST_RIM = 2.0  # pixels
_CLICK_RADIUS = 2  # pixels around a click on the background


def known_labels(
    masks: NDArray[np.integer],
    rim: float,
    background: Iterable[tuple[float, float]] = (),
    hidden: NDArray[np.bool_] | None = None,
) -> NDArray[np.int32]:
    """Tell known background from what nobody has said anything about.

    A mask says where its object ends: a rim of pixels around it is background, unless it belongs to
    another mask. So is what was clicked as background. All other pixels may belong to objects
    that nobody has labelled.

    Parameters
    ----------
    masks : ndarray of integers, shape (Y, X)
        Ids of the objects that have masks, 0 elsewhere.
    rim : float
        Width of the rim, relative to the diameter of the disc of the object's area; at least two
        pixels. Infinite: every other pixel is background.
    background : iterable of (y, x)
        Clicks on the background.
    hidden : ndarray of bool, shape (Y, X), optional
        Pixels of which nothing is to be known, whatever else is said of them.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        The ids, 0 for known background and `UNKNOWN`.
    """
    if np.isinf(rim):
        labels = masks.astype(np.int32)
    else:
        labels = np.full(masks.shape, UNKNOWN, np.int32)
        for box, object_id in _boxes(masks):
            _add_object(labels, masks, box, object_id, rim)
        for point in background:
            _add_click(labels, point)
    if hidden is not None:
        labels[hidden] = UNKNOWN
    return labels


def _boxes(masks: NDArray[np.integer]) -> list[tuple[tuple[slice, slice], int]]:
    found = ndimage.find_objects(masks.astype(np.int32))
    return [(box, number + 1) for number, box in enumerate(found) if box is not None]


def _add_object(
    labels: NDArray[np.int32],
    masks: NDArray[np.integer],
    box: tuple[slice, slice],
    object_id: int,
    rim: float,
) -> None:
    """Write an object and, where nothing else is, its rim."""
    area = int(np.count_nonzero(masks[box] == object_id))
    width = max(_LEAST_RIM, rim * 2.0 * float(np.sqrt(area / np.pi)))
    reach = int(np.ceil(width))
    around = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
    here = labels[around]
    near = ndimage.distance_transform_edt(masks[around] != object_id) <= width
    here[near & (masks[around] == 0)] = 0
    here[masks[around] == object_id] = object_id


def _add_click(labels: NDArray[np.int32], point: tuple[float, float]) -> None:
    y, x = (round(float(value)) for value in point)
    rows = slice(max(0, y - _CLICK_RADIUS), y + _CLICK_RADIUS + 1)
    columns = slice(max(0, x - _CLICK_RADIUS), x + _CLICK_RADIUS + 1)
    here = labels[rows, columns]
    here[here == UNKNOWN] = 0
