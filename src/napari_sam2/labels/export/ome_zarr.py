"""Labels as an OME-Zarr label image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from napari_sam2._atomic import contents
from napari_sam2._limits import load_json
from napari_sam2.errors import LabelsError
from napari_sam2.labels.export.label_format import (
    UNITS,
    LabelFormat,
    LabelGeometry,
    PixelSize,
)
from napari_sam2.labels.export.planes import LabelPlanes

_OME_VERSION = "0.5"
_CHUNK = 1024
_METADATA = "zarr.json"
_KINDS = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}


def write_zarr(path: Path, planes: LabelPlanes, geometry: LabelGeometry) -> None:
    """Write a zarr 3 group with one level, chunked by plane.

    The metadata is that of a label image in https://ngff.openmicroscopy.org/0.5.

    Parameters
    ----------
    path : Path
        A folder that does not exist yet.
    planes : LabelPlanes
    geometry : LabelGeometry
        Sizes of unknown unit are written without a unit.
    """
    *leading, height, width = planes.shape
    group = zarr.create_group(store=path, zarr_format=3)
    level = group.create_array(
        "0",
        shape=planes.shape,
        chunks=(*(1 for _ in leading), min(height, _CHUNK), min(width, _CHUNK)),
        dtype=planes.dtype,
        dimension_names=list(geometry.axes.lower()),
    )
    for place, plane in planes:
        level[place] = plane
    group.attrs["ome"] = _metadata(geometry)


def _metadata(geometry: LabelGeometry) -> dict[str, Any]:
    described = [_axis(letter, geometry) for letter in geometry.axes]
    unknown = PixelSize(1.0, "")
    sizes = [geometry.sizes.get(letter, unknown).size for letter in geometry.axes]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": sizes}]}
    return {
        "version": _OME_VERSION,
        "multiscales": [{"name": "labels", "axes": described, "datasets": [level]}],
        "image-label": {"version": _OME_VERSION},
    }


def _axis(letter: str, geometry: LabelGeometry) -> dict[str, str]:
    axis = {"name": letter.lower(), "type": _KINDS[letter]}
    if geometry.known(letter) is not None:
        axis["unit"] = UNITS[letter]
    return axis


def is_label_image(path: Path) -> bool:
    """Return whether a folder is an OME-Zarr label image, and holds nothing but its arrays.

    The metadata of a group may also have those of all groups in it: what counts is what it says of
    itself.
    """
    described = attributes_of(path).get("ome")
    if not isinstance(described, dict) or "image-label" not in described:
        return False
    try:
        levels = {level["path"] for each in described["multiscales"] for level in each["datasets"]}
    except (KeyError, TypeError):  # it says nothing of its arrays, or nothing that can be read
        return False
    return all(
        each.name == _METADATA or (each.name in levels and _node(each).get("node_type") == "array")
        for each in contents(path)
    )


def attributes_of(group: Path) -> dict[str, Any]:
    """Return the attributes of a zarr 3 node itself; empty where there is none."""
    attributes = _node(group).get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _node(path: Path) -> dict[str, Any]:
    metadata = path / _METADATA
    if not metadata.is_file():
        return {}
    try:
        node = load_json(metadata.read_text("utf-8", errors="replace"))
    except ValueError:
        return {}
    return node if isinstance(node, dict) else {}


def _check_replaceable(path: Path) -> None:
    if not path.exists() or (path.is_dir() and not contents(path)):
        return
    if not is_label_image(path):
        raise LabelsError(
            f"{path} exists and is no label image.",
            safe="It is unchanged.",
            remedy="Choose another name, or delete it first if it is not needed.",
        )


OME_ZARR = LabelFormat(
    "OME-Zarr", (".ome.zarr", ".zarr"), write_zarr, check=_check_replaceable, folder=True
)
"""An OME-Zarr 0.5 label image; replaces only another label image."""
