"""Changes of label planes from the paint events of a Labels layer.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels import PlaneChange
from napari_sam2.types import Region


def before_stroke(labels: NDArray[Any], stroke: Sequence[Any]) -> dict[tuple[int, ...], Any]:
    """Return the planes (Y, X) that a stroke has touched, as they were before it.

    Parameters
    ----------
    labels : ndarray, shape (..., Y, X)
        With the stroke in it.
    stroke : sequence
        Value of the event ``paint`` of a Labels layer: changes in their order, each either
        (indices, values before, values after), or with the attributes `slice_key`, `mask` and
        `old_values`.

    Returns
    -------
    dict of tuple to ndarray
        By the indices of all axes but the last two.
    """
    planes: dict[tuple[int, ...], NDArray[Any]] = {}
    for change in reversed(stroke):
        indices, old = _flat(change, labels.shape)
        leading = np.stack(indices[:-2], axis=1) if labels.ndim > 2 else None
        rows = [()] if leading is None else [tuple(r) for r in np.unique(leading, axis=0).tolist()]
        for row in rows:
            here = slice(None) if leading is None else (leading == row).all(axis=1)
            plane = planes.setdefault(row, labels[row].copy())
            plane[indices[-2][here], indices[-1][here]] = old[here]
    return planes


def apply_stroke(labels: NDArray[Any], stroke: Sequence[Any]) -> None:
    """Write what a stroke has changed, or is about to.

    napari announces a stroke of the brush when it is over. Polygons, filled areas and pixels set by
    a script are announced before they are in the labels; writing them twice does no harm.

    Parameters
    ----------
    labels : ndarray, shape (..., Y, X)
        Changed in place.
    stroke : sequence
        As for `before_stroke`.
    """
    for change in stroke:
        indices, _ = _flat(change, labels.shape)
        new = change.new_value if hasattr(change, "slice_key") else change[2]
        labels[tuple(indices)] = new


def stroke_changes(
    labels: NDArray[Any], stroke: Sequence[Any], region: Region | None = None
) -> dict[tuple[int, ...], PlaneChange]:
    """Return what a stroke has changed, by the indices of all axes but the last two.

    The changes have the frame 0: which axis is the video is not known here. They are those in
    `region`, and count from its corner.
    """
    part = (slice(None), slice(None)) if region is None else region.slices
    changes = {
        row: PlaneChange.between(0, before[part], labels[row][part])
        for row, before in before_stroke(labels, stroke).items()
    }
    return {row: change for row, change in changes.items() if change is not None}


def _flat(change: Any, shape: tuple[int, ...]) -> tuple[list[NDArray[np.intp]], NDArray[Any]]:
    """Return the index arrays of changed pixels, one per axis, and their former values."""
    if not hasattr(change, "slice_key"):
        indices, old, _new = change
        arrays = [np.atleast_1d(np.asarray(each)) for each in np.broadcast_arrays(*indices)]
        return arrays, np.broadcast_to(old, arrays[0].shape)
    key = tuple(change.slice_key)
    axes = [
        np.arange(size)[part] if isinstance(part, slice) else np.array([int(part)])
        for part, size in zip(key, shape, strict=True)
    ]
    grid = [each.reshape(-1) for each in np.meshgrid(*axes, indexing="ij")]
    if change.mask is not None:
        chosen = np.broadcast_to(
            np.asarray(change.mask).reshape(
                [len(a) if isinstance(p, slice) else 1 for a, p in zip(axes, key, strict=True)]
            ),
            [len(a) for a in axes],
        ).reshape(-1)
        grid = [each[chosen] for each in grid]
    return grid, np.broadcast_to(np.asarray(change.old_values).reshape(-1), grid[0].shape)
