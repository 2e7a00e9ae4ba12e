"""The part of an image that the canvas shows, or that a rectangle encloses.

Main thread only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import StackError
from napari_sam2.types import Region
from napari_sam2.widgets.layers.geometry import spatial_shape

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image


def region_in_view(viewer: Viewer, image: Image) -> Region:
    """Return the part of the frames of an image that the canvas shows.

    Raises
    ------
    StackError
        The canvas shows no frames, or nothing of the image.
    """
    ndim = len(spatial_shape(image))
    displayed = [axis - viewer.dims.ndim + ndim for axis in viewer.dims.displayed]
    if displayed != [ndim - 2, ndim - 1]:
        raise StackError(
            "What is in view is no part of the frames.",
            remedy="Show the last two axes of the image in 2D, then choose it again.",
        )
    corners = np.asarray(image.corner_pixels, float)[:, :ndim]
    if image.multiscale:
        corners = corners * image.downsample_factors[image.data_level][:ndim]
    return region_between(image, corners[0, -2:] - 0.5, corners[1, -2:] + 0.5)


def region_between(image: Image, low: NDArray[Any], high: NDArray[Any]) -> Region:
    """Return the pixels of an image whose centres lie in a rectangle.

    Raises
    ------
    StackError
        There are none.
    """
    rows, columns = spatial_shape(image)[-2:]
    y0, x0 = max(0, math.ceil(low[0])), max(0, math.ceil(low[1]))
    y1, x1 = min(rows, math.floor(high[0]) + 1), min(columns, math.floor(high[1]) + 1)
    if y0 >= y1 or x0 >= x1:
        raise StackError(
            "There is nothing of the image in this part.",
            remedy="Choose a part that lies on the image.",
        )
    return Region(y0, x0, y1, x1)


def common_part(one: Region, other: Region | None) -> Region:
    """Return what a region has in common with another one, in pixels of the other one.

    Raises
    ------
    StackError
        There is nothing.
    """
    if other is None:
        return one
    y0, x0 = max(one.y0, other.y0), max(one.x0, other.x0)
    y1, x1 = min(one.y1, other.y1), min(one.x1, other.x1)
    if y0 >= y1 or x0 >= x1:
        raise StackError(
            "What is in view lies outside the part that is worked in.",
            remedy="Move the view to that part.",
        )
    return Region(y0 - other.y0, x0 - other.x0, y1 - other.y0, x1 - other.x0)
