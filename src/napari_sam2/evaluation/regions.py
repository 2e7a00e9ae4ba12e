"""Connected regions of a mask, and where a person would click into one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.evaluation.metrics import Mask

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)

Pixel = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One 8-connected region.

    Attributes
    ----------
    size : int
        Pixels.
    number : int
        Its number among `components`.
    components : ndarray of int, shape (Y, X)
    """

    size: int
    number: int
    components: NDArray[np.int32]

    @property
    def mask(self) -> Mask:
        """Where it is, shape (Y, X)."""
        mask: Mask = self.components == self.number
        return mask


def regions_of(mask: Mask) -> list[Region]:
    """Find the 8-connected regions of a mask (Y, X), the largest first."""
    components, count = ndimage.label(mask, structure=EIGHT_CONNECTED)
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    return [Region(int(sizes[index]), index + 1, components) for index in order.tolist()]


def distance_to(pixel: Pixel, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Measure the distance of every pixel of a frame (Y, X) to one, in pixels."""
    rows = np.arange(shape[0])[:, None] - pixel[0]
    columns = np.arange(shape[1])[None, :] - pixel[1]
    distance: NDArray[np.float64] = np.hypot(rows, columns)
    return distance


def interior_pixel(region: Mask, avoided: Collection[Pixel] = ()) -> Pixel | None:
    """Find the pixel (y, x) of a region (Y, X) with the largest distance to its outside.

    The Euclidean distance; the array's edge counts as outside. None if no pixel is left but those
    to be avoided.
    """
    distance = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    for pixel in avoided:
        distance[pixel] = 0
    y, x = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return (int(y), int(x)) if distance[y, x] > 0 else None
