"""Enlarging and shrinking of frames and labels for pictures, as pure functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import LabelsError
from napari_sam2.labels.array_storage import Labels


def check_zoom(zoom: float) -> tuple[int, int]:
    """Return the zoom as (times larger, times smaller); one of them is 1."""
    if zoom > 0:
        larger, smaller = max(1, round(zoom)), max(1, round(1 / zoom))
        if np.isclose(zoom, larger / smaller):
            return larger, smaller
    raise LabelsError(
        f"A picture cannot be drawn at zoom {zoom}.",
        remedy="Use 1, 2, 3, ... to enlarge it or 1/2, 1/3, ... to shrink it.",
    )


def resize_image(rgb: NDArray[np.float32], zoom: float) -> NDArray[np.float32]:
    """Return an image (Y, X, 3) enlarged by linear interpolation or shrunk by averaging.

    Rows and columns that do not fill a last block are cut off when shrinking.
    """
    from skimage.transform import downscale_local_mean

    larger, smaller = check_zoom(zoom)
    if larger > 1:
        return _enlarged(rgb, larger, channel_axis=-1)
    if smaller == 1:
        return rgb
    height, width = rgb.shape[:2]
    rows, columns = min(smaller, height), min(smaller, width)
    full = rgb[: height - height % rows, : width - width % columns]
    shrunk: NDArray[np.float32] = downscale_local_mean(full, (rows, columns, 1))
    return shrunk


def resize_labels(labels: Labels, zoom: float) -> Labels:
    """Return labels (Y, X) enlarged with smooth outlines, or shrunk by taking block centres.

    To enlarge, each mask is interpolated linearly; a pixel goes to the object with most of it,
    if that is at least as much as the background.
    """
    larger, smaller = check_zoom(zoom)
    if larger > 1:
        return _smoothly_enlarged(labels, larger)
    if smaller == 1:
        return labels
    height, width = (max(1, size // smaller) for size in labels.shape)
    centres = (np.arange(size) * smaller + smaller // 2 for size in (height, width))
    rows, columns = (
        np.minimum(centre, size - 1) for centre, size in zip(centres, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _smoothly_enlarged(labels: Labels, times: int) -> Labels:
    height, width = (times * size for size in labels.shape)
    enlarged: Labels = np.zeros((height, width), dtype=labels.dtype)
    best = np.full((height, width), 0.5, dtype=np.float32)
    for number, window in _windows(labels):
        share = _enlarged((labels[window] == number).astype(np.float32), times)
        target = tuple(slice(times * side.start, times * side.stop) for side in window)
        wins = share >= best[target]
        enlarged[target][wins] = number
        best[target][wins] = share[wins]
    return enlarged


def _windows(labels: Labels) -> list[tuple[int, tuple[slice, slice]]]:
    """Return each id with its bounding box and one pixel around it."""
    ids, compact = np.unique(labels, return_inverse=True)
    compact = compact.reshape(labels.shape) + 1
    windows = []
    for number, found in zip(ids.tolist(), ndimage.find_objects(compact), strict=True):
        if number > 0:
            rows, columns = (
                slice(max(side.start - 1, 0), min(side.stop + 1, size))
                for side, size in zip(found, labels.shape, strict=True)
            )
            windows.append((number, (rows, columns)))
    return windows


def _enlarged(
    values: NDArray[np.float32], times: int, channel_axis: int | None = None
) -> NDArray[np.float32]:
    from skimage.transform import rescale

    enlarged: NDArray[np.float32] = rescale(
        values, times, order=1, mode="edge", channel_axis=channel_axis
    )
    return enlarged
