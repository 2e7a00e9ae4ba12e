"""Positions and sizes of all objects in all frames, measured again only where labels change.

Not safe for several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import LineageError
from napari_sam2.labels.array_storage import Labels, view_ids


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """The objects of one frame or of a whole stack; row i of every array is one object.

    Attributes
    ----------
    object_ids : ndarray of int64, shape (N,)
    frames : ndarray of int64, shape (N,)
    centres : ndarray of float64, shape (N, D)
        Mean (y, x) or (z, y, x) of the pixels.
    sizes : ndarray of int64, shape (N,)
        Pixels of the object.
    """

    object_ids: NDArray[np.int64]
    frames: NDArray[np.int64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.object_ids)

    @classmethod
    def none(cls, dims: int) -> Spots:
        """Return empty spots for frames of `dims` axes."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(nothing, nothing, np.zeros((0, dims)), nothing)

    @classmethod
    def joined(cls, parts: Sequence[Spots], dims: int) -> Spots:
        """Return the spots of several frames, ordered by object and then by frame."""
        parts = [each for each in parts if len(each)]
        if not parts:
            return cls.none(dims)
        ids = np.concatenate([each.object_ids for each in parts])
        frames = np.concatenate([each.frames for each in parts])
        order = np.lexsort((frames, ids))
        centres = np.concatenate([each.centres for each in parts])
        sizes = np.concatenate([each.sizes for each in parts])
        return cls(ids[order], frames[order], centres[order], sizes[order])


class SpotFinder:
    """The spots of labels that change; keeps a few numbers per object and frame.

    Parameters
    ----------
    labels : array of int, shape (T, Y, X), (Z, Y, X) or (T, Z, Y, X)
        numpy, dask or zarr, read one frame at a time. 0 and below is background.

    Raises
    ------
    LineageError
        The array holds no labels of frames.
    """

    def __init__(self, labels: Any) -> None:
        self.labels = checked_labels(labels)
        self._known: dict[int, Spots] = {}

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.labels.shape[0])

    @property
    def dims(self) -> int:
        """Number of axes of a frame: 2, or 3 for volumes."""
        return int(self.labels.ndim) - 1

    def invalidate(self, frames: Iterable[int] | None = None) -> None:
        """Measure frames again on the next request, all by default."""
        for frame in list(self._known) if frames is None else frames:
            self._known.pop(frame, None)

    def spots(self) -> Spots:
        """Return all spots, ordered by object and then by frame.

        Raises
        ------
        LabelsError
            A frame cannot be read, or has an id that does not fit; the error names it.
        """
        for frame in range(self.n_frames):
            if frame not in self._known:
                self._known[frame] = spots_in(view_ids(self.labels, frame), frame)
        return Spots.joined([self._known[frame] for frame in sorted(self._known)], self.dims)


def checked_labels(labels: Any) -> Any:
    """Return labels (T, ..., Y, X) as an array, or raise a `LineageError`."""
    array = labels if hasattr(labels, "dtype") and hasattr(labels, "ndim") else np.asarray(labels)
    if array.ndim not in (3, 4) or 0 in array.shape or np.dtype(array.dtype).kind not in "iu":
        raise LineageError(
            f"There are no tracks in {array.dtype} of shape {tuple(array.shape)}.",
            remedy="Give labels of whole numbers, (T, Y, X) or (T, Z, Y, X).",
        )
    return array


def spots_in(plane: Labels, frame: int) -> Spots:
    """Measure the objects of a frame (Y, X) or volume (Z, Y, X)."""
    flat = plane.reshape(-1)
    places = np.flatnonzero(flat > 0)
    if not places.size:
        return Spots.none(plane.ndim)
    ids, which = np.unique(flat[places], return_inverse=True)
    counts = np.bincount(which)
    sums = [np.bincount(which, axis) for axis in np.unravel_index(places, plane.shape)]
    return Spots(
        ids.astype(np.int64),
        np.full(len(ids), frame, dtype=np.int64),
        np.column_stack(sums) / counts[:, None],
        counts.astype(np.int64),
    )
