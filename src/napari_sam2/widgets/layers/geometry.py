"""Coordinates: world, data of a layer, frames of a stack.

Main thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.types import Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Layer


def spatial_shape(image: Image) -> tuple[int, ...]:
    """Shape of an image layer at full resolution, without the colours of an RGB image."""
    shape = image.data.shape  # napari gives a pyramid the shape of its finest level
    return tuple(map(int, shape[:-1] if image.rgb else shape))


def full_resolution(image: Image) -> Any:
    """Return the pixels of an image layer; of a pyramid, its finest level."""
    return image.data[0] if image.multiscale else image.data


def same_position(image: Image, layer: Layer, coordinates: NDArray[np.floating]) -> NDArray[Any]:
    """Turn data coordinates of a layer into those of the image at the same world position.

    Parameters
    ----------
    image, layer : Layer
        Both as wide in dimensions.
    coordinates : ndarray, shape (N, D)
        Positions in the data of `layer`.

    Returns
    -------
    ndarray of float64, shape (N, D)
        Positions in the data of `image`.
    """
    # Both transforms are affine: the images of the origin and of each axis give the whole map,
    # however many points there are.
    width = coordinates.shape[1]
    corners = np.vstack([np.zeros(width), np.eye(width)])
    images = np.array([image.world_to_data(layer.data_to_world(each)) for each in corners], float)
    origin, axes = images[0], images[1:] - images[0]
    if np.allclose(axes, np.eye(width), 0, _ROUNDING) and np.allclose(origin, 0, 0, _ROUNDING):
        # The layer lies on the image: rounding must not make other prompts of the same ones.
        return np.array(coordinates, float)
    return coordinates @ axes + origin


_ROUNDING = 1e-8  # of transforms, in pixels


def slider_indices(
    image: Image, point: Sequence[float], shape: tuple[int, ...] | None = None
) -> tuple[int, ...] | None:
    """Find the indices into the image's data at the viewer's sliders; None if outside.

    Parameters
    ----------
    image : Image
        The layer.
    point : sequence of float
        `viewer.dims.point`: world coordinates, one per dimension of the viewer.
    shape : tuple of int, optional
        The image's `spatial_shape`, if it is known.
    """
    shape = spatial_shape(image) if shape is None else shape
    position = np.asarray(image.world_to_data(point), float)[-len(shape) :]
    # Only sliders count: the displayed axes' points lie anywhere.
    found = np.rint(position)[:-2].astype(int)
    if (found < 0).any() or (found >= shape[:-2]).any():
        return None
    return tuple(found.tolist())


def frames_off(image: Image) -> int:
    """Return by how many frames a click can miss the slice that napari shows of a tilted image.

    napari shows a slice of data where the sliders are and leaves the displayed axes out of the
    transform; a position on the canvas is transformed in full. An off-diagonal element between a
    slider and a displayed axis, as affines of tilted acquisitions have, sets both apart.
    """
    shape = spatial_shape(image)
    if len(shape) == _DISPLAYED:
        return 0
    start = np.asarray(image.data_to_world(np.zeros(len(shape))), float)
    shift = np.zeros(len(shape) - _DISPLAYED)
    for axis in (-2, -1):
        end = np.zeros(len(shape))
        end[axis] = shape[axis] - 1
        world = start.copy()
        world[-_DISPLAYED:] = np.asarray(image.data_to_world(end), float)[-_DISPLAYED:]
        shift += np.abs(np.asarray(image.world_to_data(world), float)[:-_DISPLAYED])
    return int(np.rint(shift.max()))


_DISPLAYED = 2  # axes that the canvas shows


def stack_view(
    labels: NDArray[Any],
    axis: int | None,
    at: Sequence[tuple[int, int]],
    region: Region | None = None,
) -> NDArray[Any]:
    """View one (T, Y, X) stack of an nD label array.

    Parameters
    ----------
    labels : ndarray, shape (..., Y, X)
        The whole array.
    axis : int or None
        Video axis; None for a single (Y, X) image.
    at : sequence of (int, int)
        Axis and index for every leading axis but the video axis.
    region : Region, optional
        Only these rows and columns.
    """
    index: list[Any] = [slice(None)] * labels.ndim
    for fixed, where in at:
        index[fixed] = where
    view = labels[tuple(index)]
    stack = view[np.newaxis] if axis is None else view
    return stack if region is None else stack[:, *region.slices]
