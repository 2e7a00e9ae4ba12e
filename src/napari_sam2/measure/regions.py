"""Region properties of the objects in one frame or volume.

Pure functions of arrays; any thread may use them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.masks import DENSE_IDS

PIXELS = "_px"
"""Ending of columns in pixels, where others are in physical units."""

Columns = dict[str, NDArray[Any]]
"""One value per object, by the name of the property."""

_OURS = "our_"
_LENGTHS = {
    "area": -1,  # as many lengths as the region has axes
    "centroid": 1,
    "perimeter": 1,
    "surface_area": 2,
    "axis_major_length": 1,
    "axis_minor_length": 1,
}


def measure_regions(
    labels: Labels, image: NDArray[Any] | None, spacing: Sequence[float] | None
) -> Columns:
    """Measure every object of a frame or volume.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X) or (Z, Y, X)
        0 and below is background.
    image : ndarray, shape of the labels and (C,), optional
        Intensities of C channels.
    spacing : sequence of float, optional
        Size of a pixel along each axis of the labels; None measures in pixels only.

    Returns
    -------
    dict of str to ndarray
        Names as in `skimage.measure.regionprops`, with ``intensity_sum`` and, in volumes,
        ``surface_area`` beside them. Lengths, areas and
        volumes are in units of `spacing`; the same in pixels have the ending ``_px``.
        Empty if there is no object.
    """
    labels, ids = _numbered(labels)
    if not ids.size:
        return {}
    if spacing is None:
        found = _properties(labels, (1.0,) * labels.ndim)
    else:
        found = _properties(labels, tuple(spacing))
        in_pixels = _in_pixels(found, labels, spacing)
        found |= {name + _index(key): in_pixels[key] for key, name in _named(in_pixels, PIXELS)}
    found["label"] = ids
    found["num_pixels"] = np.bincount(labels.ravel(), minlength=len(ids) + 1)[1:]
    if image is not None:
        found |= _intensities(labels, image, found["num_pixels"])
    return found


def _named(columns: Columns, ending: str) -> list[tuple[str, str]]:
    """Return each column with its name and an ending before its index: centroid_px-0."""
    return [(key, key.partition("-")[0] + ending) for key in columns]


def _index(key: str) -> str:
    _, dash, index = key.partition("-")
    return dash + index


def _numbered(labels: Labels) -> tuple[Labels, NDArray[np.int64]]:
    """Return labels of 1, 2, 3, ... without a gap, and the ids that these stand for."""
    if labels.min(initial=0) >= 0 and labels.max(initial=0) < DENSE_IDS:
        present = np.flatnonzero(np.bincount(labels.ravel().astype(np.int64)))
        ids = present[present > 0]
        table = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int32)
        table[ids] = np.arange(1, len(ids) + 1)
        return table[labels], ids
    values, places = np.unique(labels, return_inverse=True)
    inside = values > 0
    table = np.where(inside, np.cumsum(inside), 0).astype(np.int32)
    return table[places].reshape(labels.shape), values[inside].astype(np.int64)


def _properties(labels: Labels, spacing: tuple[float, ...]) -> Columns:
    from skimage.measure import regionprops_table

    names = ["area", "bbox", "centroid"]
    if labels.ndim == 2:
        names += ["axis_major_length", "axis_minor_length", "eccentricity", "orientation"]
        extra: list[Callable[[NDArray[np.bool_]], float]] = [our_solidity]
        if _isotropic(spacing):
            names.append("perimeter")
        else:
            extra.append(_perimeter_of(spacing))
    else:
        # Those of scikit-image fail for objects in a single plane or of a single pixel.
        names.append("inertia_tensor_eigvals")
        extra = [our_solidity, _surface_of(spacing)]
    columns: Columns = regionprops_table(
        labels, properties=tuple(names), spacing=spacing, extra_properties=tuple(extra)
    )
    # scikit-image warns of extra properties under its own names.
    for name in [name for name in columns if name.startswith(_OURS)]:
        columns[name.removeprefix(_OURS)] = columns.pop(name)
    if labels.ndim == 3:
        largest, middle, least = (
            np.maximum(columns.pop(f"inertia_tensor_eigvals-{axis}"), 0) for axis in range(3)
        )
        # Of an ellipsoid with the same moments, as `skimage.measure.regionprops`.
        columns["axis_major_length"] = _axis(largest + middle - least)
        columns["axis_minor_length"] = _axis(middle + least - largest)
    return columns


def _axis(moment: NDArray[np.float64]) -> NDArray[np.float64]:
    length: NDArray[np.float64] = np.sqrt(10 * np.maximum(moment, 0))
    return length


def _in_pixels(found: Columns, labels: Labels, spacing: Sequence[float]) -> Columns:
    """Return the lengths, areas and volumes again, in pixels."""
    if not _isotropic(spacing):
        again = _properties(labels, (1.0,) * labels.ndim)
        return {key: again[key] for key in again if key.partition("-")[0] in _LENGTHS}
    scaled: Columns = {}
    for key, values in found.items():
        power = _LENGTHS.get(key.partition("-")[0])
        if power is not None:
            scaled[key] = values / spacing[0] ** (labels.ndim if power < 0 else power)
    return scaled


def _isotropic(spacing: Sequence[float]) -> bool:
    return all(math.isclose(size, spacing[0], rel_tol=1e-9) for size in spacing)


def _intensities(labels: Labels, image: NDArray[Any], counts: NDArray[Any]) -> Columns:
    """Return the intensities per channel: name-0, name-1, ..."""
    places = range(1, len(counts) + 1)
    flat = labels.ravel()
    inside = np.flatnonzero(flat)
    which = flat[inside]
    found: Columns = {}
    for channel in range(image.shape[-1]):
        values = image[..., channel].ravel()[inside].astype(np.float64)
        sums = np.bincount(which, values, len(counts) + 1)[1:]
        means = sums / counts
        spread = np.bincount(which, np.square(values - means[which - 1]), len(counts) + 1)[1:]
        found |= {
            f"intensity_mean-{channel}": means,
            f"intensity_min-{channel}": np.asarray(ndimage.minimum(values, which, places)),
            f"intensity_max-{channel}": np.asarray(ndimage.maximum(values, which, places)),
            f"intensity_std-{channel}": np.sqrt(spread / counts),
            f"intensity_sum-{channel}": sums,
        }
    return found


def our_solidity(mask: NDArray[np.bool_]) -> float:
    """Return the part of the convex hull of a mask that is in the mask."""
    return int(np.count_nonzero(mask)) / hull_pixels(mask)


def hull_pixels(mask: NDArray[np.bool_]) -> int:
    """Count the pixels of the convex hull of a mask; those of `skimage.morphology`.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X) or (Z, Y, X)
        Not empty.

    Returns
    -------
    int
        A volume in a single plane has the hull that it has in this plane.
    """
    from skimage.morphology import convex_hull_image

    mask = np.squeeze(mask)
    if mask.ndim == 0:
        return 1
    if mask.ndim == 1:
        places = np.flatnonzero(mask)
        return int(places[-1] - places[0] + 1)
    if mask.ndim == 2:
        return _plane_hull_pixels(mask)
    if np.linalg.matrix_rank(_spread(mask)) < 3:
        return int(np.count_nonzero(mask))  # a slanted sheet has no volume around it
    return int(np.count_nonzero(convex_hull_image(mask)))


def _spread(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    places: NDArray[np.int64] = np.argwhere(mask)
    relative: NDArray[np.int64] = places - places[0]
    return relative


def _plane_hull_pixels(mask: NDArray[np.bool_]) -> int:
    """Count the pixels whose centre is in the hull of the pixels' edges, row by row.

    The hull is that of the midpoints of all edges, as in `skimage.morphology.convex_hull_image`;
    that draws it as a picture, which takes four times as long.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    left = mask[rows].argmax(axis=1).astype(float)
    right = mask.shape[1] - 1 - mask[rows][:, ::-1].argmax(axis=1).astype(float)
    points = np.concatenate(
        [
            np.column_stack((rows + dy, side + dx))
            for side, out in ((left, -0.5), (right, 0.5))
            for dy, dx in ((0.0, out), (-0.5, 0.0), (0.5, 0.0))
        ]
    )
    hull = points[ConvexHull(points).vertices]
    y0, x0 = hull.T
    y1, x1 = np.roll(hull, -1, axis=0).T
    level = ~np.isclose(y0, y1)
    y0, x0, y1, x1 = y0[level], x0[level], y1[level], x1[level]
    lines = np.arange(rows[0], rows[-1] + 1, dtype=float)[:, None]
    crosses = (np.minimum(y0, y1) <= lines) & (lines <= np.maximum(y0, y1))
    where = x0 + (lines - y0) * (x1 - x0) / (y1 - y0)
    first = np.where(crosses, where, np.inf).min(axis=1)
    last = np.where(crosses, where, -np.inf).max(axis=1)
    slack = 1e-9  # centres on the border are inside
    return int((np.floor(last + slack) - np.ceil(first - slack) + 1).sum())


def _perimeter_of(spacing: Sequence[float]) -> Callable[[NDArray[np.bool_]], float]:
    def our_perimeter(mask: NDArray[np.bool_]) -> float:
        return crofton_perimeter(mask, spacing)

    return our_perimeter


def crofton_perimeter(mask: NDArray[np.bool_], spacing: Sequence[float]) -> float:
    """Return the perimeter of a mask of pixels that are not square, after Cauchy and Crofton.

    The number of times that lines in four directions cross the border, weighted by the angle
    between directions (Lehmann and Legland, Insight Journal 2012); scikit-image measures the
    perimeter of square pixels only.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)
    spacing : (float, float)
        Height and width of a pixel.
    """
    height, width = spacing
    padded = np.pad(mask, 1)
    steps = ((0, 1), (1, 1), (1, 0), (1, -1))
    angles = np.array([math.atan2(y * height, x * width) for y, x in steps])
    sectors = (np.roll(angles, -1) - np.roll(angles, 1)) / 2
    sectors[[0, -1]] += math.pi / 2
    crossings = (
        padded[:, 1:] ^ padded[:, :-1],
        padded[1:, 1:] ^ padded[:-1, :-1],
        padded[1:] ^ padded[:-1],
        padded[1:, :-1] ^ padded[:-1, 1:],
    )
    total = 0.0
    for (y, x), sector, crossed in zip(steps, sectors, crossings, strict=True):
        apart = height * width / math.hypot(y * height, x * width)
        total += sector * apart * np.count_nonzero(crossed)
    return total / 2


def _surface_of(spacing: Sequence[float]) -> Callable[[NDArray[np.bool_]], float]:
    def our_surface_area(mask: NDArray[np.bool_]) -> float:
        return crofton_surface(mask, spacing)

    return our_surface_area


def crofton_surface(mask: NDArray[np.bool_], spacing: Sequence[float]) -> float:
    """Return the surface of a mask of voxels of any shape, after Cauchy and Crofton.

    The number of times that lines in 13 directions cross the border, weighted by the part of all
    directions that is nearest to each (Lehmann and Legland, Insight Journal 2012). The triangles
    of marching cubes follow the steps between voxels, and have a tenth more.

    Parameters
    ----------
    mask : ndarray of bool, shape (Z, Y, X)
    spacing : (float, float, float)
        Depth, height and width of a voxel.
    """
    padded = np.pad(mask, 1)
    lengths, weights = _directions(tuple(spacing))
    total = 0.0
    for step, length, weight in zip(_STEPS, lengths, weights, strict=True):
        here, there = (_shifted(padded, step, side) for side in (0, 1))
        total += weight * np.count_nonzero(here ^ there) / length
    return 2 * math.prod(spacing) * total


_STEPS = tuple(step for step in itertools.product((-1, 0, 1), repeat=3) if step > (0, 0, 0))
_SAMPLES = 20_000  # directions; weights are within a hundredth


@lru_cache(maxsize=16)
def _directions(spacing: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the length of each step, and the part of all directions that is nearest to it."""
    steps = np.array(_STEPS) * np.array(spacing)
    lengths = np.linalg.norm(steps, axis=1)
    height = (np.arange(_SAMPLES) + 0.5) / _SAMPLES  # evenly on a half of the sphere
    turn = math.pi * (1 + math.sqrt(5)) * np.arange(_SAMPLES)
    flat = np.sqrt(1 - height**2)
    points = np.column_stack([height, flat * np.cos(turn), flat * np.sin(turn)])
    nearest = np.abs(points @ (steps / lengths[:, None]).T).argmax(axis=1)
    weights = np.bincount(nearest, minlength=len(_STEPS)) / _SAMPLES
    return tuple(lengths.tolist()), tuple(weights.tolist())


def _shifted(padded: NDArray[np.bool_], step: tuple[int, ...], side: int) -> NDArray[np.bool_]:
    """Return the voxels at the start (side 0) or the end (1) of a step in some direction."""
    place = []
    for move in step:
        first, last = (
            max(0, move) if side else max(0, -move),
            max(0, -move) if side else max(0, move),
        )
        place.append(slice(first, -last or None))
    return padded[tuple(place)]
