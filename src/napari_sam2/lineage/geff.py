"""Tracks as GEFF, the Graph Exchange File Format, beside their labels in one zarr folder.

Specification 1.3: https://live-image-tracking-tools.github.io/geff/latest/specification
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_sam2._atomic import contents, writing
from napari_sam2.errors import LineageError
from napari_sam2.labels.export.label_format import UNITS, LabelGeometry, PixelSize
from napari_sam2.labels.export.ome_zarr import attributes_of, is_label_image, write_zarr
from napari_sam2.labels.export.planes import LabelPlanes
from napari_sam2.lineage.lineage import Lineage
from napari_sam2.lineage.spots import SpotFinder
from napari_sam2.lineage.tracks import checked_scale
from napari_sam2.stack.opened_stack import step_of
from napari_sam2.types import Division

TRACKS = "tracks"
"""Name of the graph inside of the folder."""
LABELS = "labels"
"""Name of the labels inside of the folder, an OME-Zarr label image."""

_RELATED = [{"type": "labels", "path": f"../{LABELS}", "node_prop": "seg_id"}]
_VERSION = "1.3"
_TYPES = {"t": "time", "z": "space", "y": "space", "x": "space"}


def write_geff(
    path: str | PathLike[str],
    labels: Any,
    divisions: Iterable[Division] = (),
    *,
    scale: Sequence[float] | None = None,
    units: tuple[str, str] = ("sec", "µm"),
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write tracks and labels to one zarr folder.

    ``tracks`` in it is the graph: one node per object and frame, edges to the object's next frame
    and from the last frame of a parent to the first ones of its children. ``labels`` is an
    OME-Zarr label image, which the graph names as related object. ``seg_id`` of a node is the
    label of its pixels. Positions are in pixels; the axes have the scale.

    Parameters
    ----------
    path : path
        A folder that does not exist, is empty, or that this function wrote: it is replaced.
    labels : array of int, shape (T, Y, X) or (T, Z, Y, X)
    divisions : iterable of Division
    scale : sequence of float, optional
        Size of a step along each axis of the labels.
    units : (str, str)
        Units of time and length of the scale. Axes whose unit is none of time or length, such as
        "frame", have no scale.
    progress : callable, optional
        Called with the number of label planes written and of all.

    Raises
    ------
    LineageError
        The divisions or the scale do not fit the labels, or the folder cannot be written or
        holds other data; what stood there is unchanged.
    LabelsError
        A frame cannot be read; what stood there is unchanged.
    """
    path = Path(path)
    check_geff_path(path)
    lineage = Lineage.of(labels, divisions)
    lineage.check()
    sizes = checked_scale(scale, lineage.dims + 1)
    axes = "TZYX" if lineage.dims == 3 else "TYX"
    planes = LabelPlanes(SpotFinder(labels).labels, progress)
    with writing(path, "The tracks", LineageError) as temporary:
        root = zarr.create_group(store=temporary, zarr_format=3)
        steps = _known_steps(axes, sizes, units)
        _write_graph(root.create_group(TRACKS), lineage, steps, axes)
        write_zarr(temporary / LABELS, planes, LabelGeometry(axes, steps))


def _known_steps(
    axes: str, sizes: tuple[float, ...] | None, units: tuple[str, str]
) -> dict[str, PixelSize]:
    """Return the steps along the axes in seconds and micrometres, where their units are known."""
    steps = {}
    for letter, size in zip(axes, sizes or (), strict=False):
        step = step_of(size, units[0 if letter == "T" else 1])
        if step.unit == UNITS[letter]:
            steps[letter] = PixelSize(*step)
    return steps


def _write_graph(
    group: zarr.Group, lineage: Lineage, steps: Mapping[str, PixelSize], letters: str
) -> None:
    axes = letters.lower()
    spots = lineage.spots
    places = np.column_stack([spots.frames, spots.centres]).astype(np.float64)
    values: dict[str, NDArray[Any]] = {axis: places[:, column] for column, axis in enumerate(axes)}
    values["t"] = spots.frames
    tracklets, families = _tracklets(lineage), _families(lineage)
    objects = [lineage.objects[number] for number in spots.object_ids.tolist()]
    values["seg_id"] = spots.object_ids.astype(np.uint64)
    values["area"] = spots.sizes
    values["tracklet_id"] = tracklets
    values["lineage_id"] = families
    values["generation"] = np.array([each.generation for each in objects], dtype=np.int64)
    nodes, edges = group.create_group("nodes"), group.create_group("edges")
    links = np.array(lineage.links(), dtype=np.uint64).reshape(-1, 2)
    _put(nodes, "ids", np.arange(len(spots), dtype=np.uint64))
    _put(edges, "ids", links)
    edges.create_group("props")
    properties = nodes.create_group("props")
    for name, column in values.items():
        _put(properties.create_group(name), "values", column)
    group.attrs["geff"] = {
        "geff_version": _VERSION,
        "directed": True,
        "axes": [
            _axis(name, values[name], steps.get(letter))
            for name, letter in zip(axes, letters, strict=True)
        ],
        "node_props_metadata": {
            name: {"identifier": name, "dtype": column.dtype.name, "varlength": False}
            for name, column in values.items()
        },
        "edge_props_metadata": {},
        "track_node_props": {"tracklet": "tracklet_id", "lineage": "lineage_id"},
        "related_objects": _RELATED,
        "display_hints": {
            "display_horizontal": "x",
            "display_vertical": "y",
            "display_depth": "z" if "z" in axes else None,
            "display_time": "t",
        },
    }


def _put(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    chunks = tuple(max(1, min(size, 1 << 16)) for size in values.shape)
    array = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=chunks)
    if values.size:
        array[...] = values


def _axis(name: str, values: NDArray[Any], step: PixelSize | None) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "name": name,
        "type": _TYPES[name],
        "unit": "frame" if _TYPES[name] == "time" else "pixel",
    }
    if values.size:
        axis |= {"min": float(values.min()), "max": float(values.max())}
    if step is not None:
        axis |= {"scale": step.size, "scaled_unit": step.unit}
    return axis


def _tracklets(lineage: Lineage) -> NDArray[np.int64]:
    """Return the tracklet of each spot: a path without a branch.

    A single child goes on the tracklet of its parent, as the specification asks for.
    """
    number_of: dict[int, int] = {}
    for family in lineage.trees():
        for number in family:
            parent = lineage.objects[number].parent
            alone = parent is not None and len(lineage.objects[parent].children) == 1
            number_of[number] = number_of[parent] if alone and parent is not None else number
    return np.array([number_of[n] for n in lineage.spots.object_ids.tolist()], dtype=np.int64)


def _families(lineage: Lineage) -> NDArray[np.int64]:
    roots = {number: family[0] for family in lineage.trees() for number in family}
    return np.array([roots[n] for n in lineage.spots.object_ids.tolist()], dtype=np.int64)


def check_geff_path(path: Path) -> None:
    """Raise a `LineageError` if nothing can be written to a path, or must not be."""
    folder = path.absolute().parent
    if not folder.is_dir():  # zarr would make it
        raise LineageError(
            f"The tracks cannot be written to {path}: there is no folder {folder}.",
            remedy="Make it first, or choose another name.",
        )
    if not path.exists() or (path.is_dir() and not contents(path)):
        return
    ours = path.is_dir() and {each.name for each in contents(path)} <= {
        "zarr.json",
        TRACKS,
        LABELS,
    }
    graph = attributes_of(path / TRACKS).get("geff")
    linked = isinstance(graph, dict) and graph.get("related_objects") == _RELATED
    if not ours or not linked or not is_label_image(path / LABELS):
        raise LineageError(
            f"{path} exists and holds no tracks that were written here.",
            safe="It is unchanged.",
            remedy="Choose another name, or delete it first if it is not needed.",
        )
