"""Filling of small holes and removal of small islands in masks, as pure functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import LabelsError
from napari_sam2.labels.bounding_boxes import box_of

_EIGHT_CONNECTED = np.ones((3, 3), dtype=np.bool_)
_FOUR_CONNECTED = ndimage.generate_binary_structure(2, 1)


def clean_mask(mask: NDArray[np.bool_], max_hole: int, min_island: int) -> NDArray[np.bool_]:
    """Fill the small holes of a mask, then drop its small islands.

    A hole is a patch of background that does not reach the edge of the frame. Pixels of the
    object that touch at a corner belong together (8-connected), so those of a hole must share
    an edge (4-connected): a closed diagonal line does enclose what is inside it. The largest
    component is never dropped. Cleaning a clean mask changes nothing.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)
    max_hole : int
        Holes of up to this many pixels are filled; 0 fills none.
    min_island : int
        Components of up to this many pixels are dropped; 0 drops none.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        A new array.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise LabelsError(
            f"A mask is a 2D array of bool, not {mask.ndim}D of {mask.dtype}.",
            remedy="Clean one frame of one object at a time.",
        )
    if max_hole < 0 or min_island < 0:
        raise LabelsError(
            f"Hole and island sizes cannot be negative (max_hole={max_hole}, "
            f"min_island={min_island}).",
            remedy="Use 0 to leave holes or islands as they are.",
        )
    cleaned = mask.copy()
    window = box_of(mask)
    if window is not None:
        # Both steps stay inside the bounding box: an object is small against its frame.
        inside = cleaned[window]
        if max_hole:
            _fill_holes(inside, max_hole)
        if min_island:
            _drop_islands(inside, min_island)
    return cleaned


def _fill_holes(inside: NDArray[np.bool_], max_hole: int) -> None:
    patches, _ = ndimage.label(~inside, structure=_FOUR_CONNECTED)
    small = np.bincount(patches.ravel()) <= max_hole
    # Patches at the rim of the bounding box are open to the background or to the frame's edge.
    for rim in (patches[0], patches[-1], patches[:, 0], patches[:, -1]):
        small[rim] = False
    small[0] = False
    if small.any():
        np.logical_or(inside, small[patches], out=inside)


def _drop_islands(inside: NDArray[np.bool_], min_island: int) -> None:
    components, n_components = ndimage.label(inside, structure=_EIGHT_CONNECTED)
    if n_components < 2:
        return
    sizes = np.bincount(components.ravel())
    small = sizes <= min_island
    small[0] = False
    small[1 + np.argmax(sizes[1:])] = False
    if small.any():
        inside[small[components]] = False
