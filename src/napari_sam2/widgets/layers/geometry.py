"""Coordinates: world, data of a layer, stacks and their frames.

Main thread only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sam2.types import Region
from napari_sam2.widgets.state.positions import StackPosition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari import Viewer
    from napari.layers import Image, Layer


def spatial_shape(image: Any) -> tuple[int, ...]:
    """Shape of an image layer at full resolution, without the colours of an RGB image."""
    shape = image.data.shape  # napari gives a pyramid the shape of its finest level
    return tuple(map(int, shape[:-1] if image.rgb else shape))


def full_resolution(image: Image) -> Any:
    """Return the pixels of an image layer; of a pyramid, its finest level."""
    return image.data[0] if image.multiscale else image.data


@dataclass(frozen=True, slots=True, eq=False)
class DrawnTransform:
    """How a canvas draws an image: from pixels to the world of the viewer, and back.

    Attributes
    ----------
    matrix : ndarray, shape (D + 1, D + 1)
        Affine map from pixels of the image to the world.
    units : tuple, or None
        Of the world; None: those of the image.
    is_own : bool
        It is the transform of the layer itself.
    tilted : bool
        Slices cannot be drawn: the sliders move along displayed axes of the image alone.
    """

    matrix: NDArray[np.float64]
    units: tuple[Any, ...] | None = None
    is_own: bool = True
    tilted: bool = False

    def to_world(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        """Turn pixels, shape (..., D), into positions of the world."""
        moved: NDArray[np.float64] = _applied(self.matrix, coordinates)
        return moved

    def to_data(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        """Turn positions of the world, shape (..., D), into pixels."""
        moved: NDArray[np.float64] = _applied(np.linalg.inv(self.matrix), coordinates)
        return moved


def drawn_transform(
    image: Layer, displayed: Sequence[int] | None, units: tuple[Any, ...] | None = None
) -> DrawnTransform:
    """Find out how napari draws an image.

    napari shows the slice of data where the sliders are and draws its rows and columns, with
    displayed axes and sliders each transformed for themselves: elements between both, as affines of
    tilted acquisitions have, are left out. The mouse, however, is transformed by all elements. And
    it is not told of units that differ between layers, in which the canvas draws.

    Parameters
    ----------
    image : Layer
    displayed : sequence of int, or None
        The two axes of the image that a 2D view shows; None for a 3D view, which is drawn in full.
    units : tuple, optional
        Of the world, see `world_units`; those of the image by default.
    """
    ndim = len(spatial_shape(image))
    own = _affine_of(image, ndim)
    factors = unit_factors(image.units, units)[-ndim:]
    matrix = np.diag([*factors, 1.0]) @ own
    same_units = bool((factors == 1).all())
    units = None if same_units or units is None else units[-ndim:]
    sliders = [] if displayed is None else [i for i in range(ndim) if i not in displayed]
    if not sliders or displayed is None:
        return DrawnTransform(matrix, units, same_units)
    across = matrix[np.ix_(sliders, displayed)], matrix[np.ix_(displayed, sliders)]
    if not any(part.any() for part in across):
        return DrawnTransform(matrix, units, same_units)
    inverse = np.linalg.inv(matrix)
    slices = inverse[np.ix_(sliders, sliders)]
    reach = np.prod(np.linalg.norm(inverse[sliders, :ndim], axis=1))
    if abs(np.linalg.det(slices)) < _FLAT * reach:
        return DrawnTransform(matrix, units, same_units, tilted=True)
    drawn = np.zeros_like(matrix)
    drawn[-1, -1] = 1.0
    drawn[np.ix_(displayed, [*displayed, ndim])] = matrix[np.ix_(displayed, [*displayed, ndim])]
    drawn[np.ix_(sliders, sliders)] = np.linalg.inv(slices)
    drawn[sliders, ndim] = -drawn[np.ix_(sliders, sliders)] @ inverse[sliders, ndim]
    return DrawnTransform(drawn, units, is_own=False)


_FLAT = 1e-3
"""Of what sliders without a tilt would do: below this they move along no slices."""


def world_units(viewer: Viewer) -> tuple[Any, ...] | None:
    """Return the units in which napari draws the layers of a viewer; None: it converts nothing."""
    units: tuple[Any, ...] | None = getattr(viewer.layers.extent, "units", None)
    return units


def unit_factors(units: Sequence[Any], wanted: Sequence[Any] | None) -> NDArray[np.float64]:
    """Return how many wanted units each unit is, along the last axes that both have."""
    factors = np.ones(len(units))
    for axis, (unit, other) in enumerate(
        zip(reversed(units), reversed(wanted or ()), strict=False), start=1
    ):
        if unit != other and (1 * unit).is_compatible_with(other):
            factors[-axis] = float((1 * unit).to(other).magnitude)
    return factors


def _affine_of(layer: Layer, ndim: int) -> NDArray[np.float64]:
    """Return the transform of a layer as a matrix; the images of origin and axes give it."""
    origin = np.asarray(layer.data_to_world(np.zeros(ndim)), float)
    columns = [np.asarray(layer.data_to_world(unit), float) - origin for unit in np.eye(ndim)]
    matrix = np.eye(ndim + 1)
    matrix[:ndim, :ndim] = np.stack(columns, axis=1)
    matrix[:ndim, ndim] = origin
    return matrix


def _applied(matrix: NDArray[Any], coordinates: ArrayLike) -> NDArray[Any]:
    return np.asarray(coordinates, float) @ matrix[:-1, :-1].T + matrix[:-1, -1]


def same_position(
    image: Image,
    layer: Layer,
    coordinates: NDArray[np.floating],
    drawn: DrawnTransform | None = None,
) -> NDArray[Any]:
    """Turn data coordinates of a layer into those of the image at the same world position.

    Parameters
    ----------
    image, layer : Layer
        Both as wide in dimensions; their units may differ.
    coordinates : ndarray, shape (N, D)
        Positions in the data of `layer`.
    drawn : DrawnTransform, optional
        How the image is drawn, if the layer lies on that.

    Returns
    -------
    ndarray of float64, shape (N, D)
        Positions in the data of `image`.
    """
    width = coordinates.shape[1]
    own = drawn or DrawnTransform(_affine_of(image, width))
    factors = unit_factors(layer.units, own.units or image.units)[-width:]
    onto = np.linalg.inv(own.matrix) @ np.diag([*factors, 1.0]) @ _affine_of(layer, width)
    if np.allclose(onto, np.eye(width + 1), 0, _ROUNDING):
        # The layer lies on the image: rounding must not make other prompts of the same ones.
        return np.array(coordinates, float)
    return _applied(onto, coordinates)


_ROUNDING = 1e-8  # of transforms, in pixels


def slider_indices(
    image: Image,
    point: Sequence[float],
    shape: tuple[int, ...] | None = None,
    drawn: DrawnTransform | None = None,
) -> tuple[int, ...] | None:
    """Find the indices of the slice that napari shows of an image; None if outside.

    Parameters
    ----------
    image : Image
        The layer.
    point : sequence of float
        `viewer.dims.point`: world coordinates, one per dimension of the viewer.
    shape : tuple of int, optional
        The image's `spatial_shape`, if it is known.
    drawn : DrawnTransform, optional
        How its last two axes are drawn, if that is known.
    """
    shape = spatial_shape(image) if shape is None else shape
    ndim = len(shape)
    drawn = drawn or drawn_transform(image, (ndim - 2, ndim - 1))
    world = np.zeros(ndim)
    known = min(ndim, len(point))
    world[ndim - known :] = np.asarray(point, float)[len(point) - known :]
    # Only sliders count: the displayed axes' points lie anywhere.
    found = np.rint(drawn.to_data(world))[:-2].astype(int)
    if (found < 0).any() or (found >= shape[:-2]).any():
        return None
    return tuple(found.tolist())


def placed(
    indices: Iterable[int], axis: int | None, composed: int | None = None
) -> tuple[StackPosition, int]:
    """Tell stack and frame from the indices of all axes but the last two.

    Parameters
    ----------
    indices : iterable of int
    axis : int or None
        The video axis; None where there is none.
    composed : int, optional
        The axis whose channels are composed: wherever its slider is, it is the same place.
    """
    others, frame = [], 0
    for i, index in enumerate(indices):
        if i == axis:
            frame = int(index)
        else:
            others.append((i, 0 if i == composed else int(index)))
    return tuple(others), frame


def index_of(axis: int | None, position: StackPosition, frame: int) -> tuple[int, ...]:
    """Return the indices of all axes but the last two, of a frame of a stack."""
    fixed = dict(position)
    if axis is not None:
        fixed[axis] = frame
    return tuple(fixed[i] for i in sorted(fixed))


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
