"""`tracks_of`: labels and divisions as the data of a napari Tracks layer, without napari."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import LineageError
from napari_sam2.labels.pixel_sizes import positive_sizes
from napari_sam2.labels.rendering.colours import colours_of
from napari_sam2.lineage.lineage import Lineage
from napari_sam2.types import Division

_LARGEST_ID = 2**53  # of whole numbers that float64 holds without a gap


@dataclass(frozen=True, slots=True, eq=False)
class TracksData:
    """What ``napari.layers.Tracks`` is made of.

    Attributes
    ----------
    data : ndarray of float64, shape (N, 2 + D)
        Object id, frame and centre (y, x) or (z, y, x) in pixels; ordered by id and frame.
    graph : dict of int to list of int
        Parents of each child.
    features : dict of str to ndarray, shape (N,)
        ``label``, ``area`` in pixels or in the units of the scale, ``generation``, ``parent`` (0
        where there is none), ``root`` (the first ancestor) and ``speed`` (distance from the spot
        before, by time; 0 at the first spot).
    scale : tuple of float or None
        Of the frame axis and of the axes of a frame.
    colours : ndarray of float32, shape (N, 3)
        RGB in 0..1 of each spot: the colour that its object has in the labels.
    """

    data: NDArray[np.float64]
    graph: dict[int, list[int]]
    features: dict[str, NDArray[Any]]
    scale: tuple[float, ...] | None
    colours: NDArray[np.float32]


def tracks_of(
    labels: Any, divisions: Iterable[Division] = (), scale: Sequence[float] | None = None
) -> TracksData:
    """Return tracks of labels for a napari Tracks layer.

    Parameters
    ----------
    labels : array of int, shape (T, Y, X) or (T, Z, Y, X), or SpotFinder, or Lineage
        A `SpotFinder` measures only frames that changed.
    divisions : iterable of Division
        Those with parents or children that have no pixel yet are left out of the graph.
    scale : sequence of float, optional
        Size of a step along each axis of the labels.

    Raises
    ------
    LineageError
        No labels of frames, impossible divisions, or a scale that does not fit.
    LabelsError
        A frame cannot be read.
    """
    lineage = labels if isinstance(labels, Lineage) else Lineage.of(labels, divisions)
    sizes = checked_scale(scale, lineage.dims + 1)
    spots = lineage.spots
    if len(spots) and int(spots.object_ids.max()) > _LARGEST_ID:
        raise LineageError(
            f"napari keeps the ids of tracks as floating-point numbers, which do not hold the id "
            f"{spots.object_ids.max()}.",
            safe="The labels are unchanged.",
            remedy=f"Renumber the objects; ids up to {_LARGEST_ID} are held.",
        )
    data = np.column_stack([spots.object_ids, spots.frames, spots.centres]).astype(np.float64)
    graph = {
        number: [each.parent] for number, each in lineage.objects.items() if each.parent is not None
    }
    steps = (1.0,) * (lineage.dims + 1) if sizes is None else sizes
    numbers, place = np.unique(spots.object_ids, return_inverse=True)
    objects = [lineage.objects[number] for number in numbers.tolist()]
    roots = {number: family[0] for family in lineage.trees() for number in family}
    features: dict[str, NDArray[Any]] = {
        "label": spots.object_ids.copy(),
        "area": spots.sizes * float(np.prod(steps[1:])),
        "generation": np.array([each.generation for each in objects], dtype=np.int64)[place],
        "parent": np.array([each.parent or 0 for each in objects], dtype=np.int64)[place],
        "root": np.array([roots[number] for number in numbers.tolist()], dtype=np.int64)[place],
        "speed": _speeds(lineage, steps),
    }
    return TracksData(data, graph, features, sizes, colours_of(spots.object_ids))


def checked_scale(scale: Sequence[float] | None, ndim: int) -> tuple[float, ...] | None:
    """Return a scale of `ndim` positive numbers, or None; raise a `LineageError` otherwise."""
    if scale is None:
        return None
    sizes = positive_sizes(scale, ndim)
    if sizes is None:
        raise LineageError(
            f"The scale {scale!r} does not fit labels of {ndim} axes.",
            remedy="Give one positive size per axis, or none to write pixels.",
        )
    return sizes


def scale_of_tracks(
    scale: Sequence[float] | None, units: Sequence[str] | None
) -> tuple[tuple[float, ...] | None, tuple[str, str]]:
    """Return scale and units of track files from those of measurements.

    Track files know time only along the first axis: where that is none, or its interval is not
    known, a step is one frame.

    Parameters
    ----------
    scale : sequence of float or None
        Size of a step along each axis of the labels.
    units : sequence of str or None
        Unit of each, such as ("s", "µm", "µm").

    Returns
    -------
    tuple of float, or None
    (str, str)
        Units of time and length.
    """
    if scale is None or units is None:
        return None, ("frame", "pixel")
    timed = units[0] == "s"
    return (scale[0] if timed else 1.0, *scale[1:]), ("sec" if timed else "frame", units[-1])


def _speeds(lineage: Lineage, steps: Sequence[float]) -> NDArray[np.float64]:
    spots = lineage.spots
    speeds = np.zeros(len(spots))
    if len(spots) > 1:
        same = np.diff(spots.object_ids) == 0
        moved = np.linalg.norm(np.diff(spots.centres, axis=0) * np.array(steps[1:]), axis=1)
        elapsed = np.where(same, np.diff(spots.frames), 1) * steps[0]
        speeds[1:] = np.where(same, moved / elapsed, 0)
    return speeds
