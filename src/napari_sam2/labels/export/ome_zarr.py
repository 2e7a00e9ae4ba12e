"""Labels as an OME-Zarr label image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from napari_sam2.errors import LabelsError
from napari_sam2.labels.export.label_format import LabelFormat
from napari_sam2.labels.export.planes import LabelPlanes

_OME_VERSION = "0.5"
_CHUNK = 1024
_KINDS = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
_UNITS = {"time": "second", "space": "micrometer"}


def write_zarr(path: Path, planes: LabelPlanes, axes: str, scale: dict[str, float]) -> None:
    """Write a zarr 3 group with one level, chunked by plane.

    The metadata is that of a label image in https://ngff.openmicroscopy.org/0.5.

    Parameters
    ----------
    path : Path
        A folder that does not exist yet.
    planes : LabelPlanes
    axes : str
        One letter per axis of `planes`.
    scale : dict of str to float
        Pixel size by axis letter: micrometres, for T seconds; may be empty.
    """
    *leading, height, width = planes.shape
    group = zarr.create_group(store=path, zarr_format=3)
    level = group.create_array(
        "0",
        shape=planes.shape,
        chunks=(*(1 for _ in leading), min(height, _CHUNK), min(width, _CHUNK)),
        dtype=planes.dtype,
        dimension_names=list(axes.lower()),
    )
    for place, plane in planes:
        level[place] = plane
    group.attrs["ome"] = _metadata(axes, scale)


def _metadata(axes: str, scale: dict[str, float]) -> dict[str, Any]:
    described = [_axis(letter, known=letter in scale) for letter in axes]
    sizes = [scale.get(letter, 1.0) for letter in axes]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": sizes}]}
    return {
        "version": _OME_VERSION,
        "multiscales": [{"name": "labels", "axes": described, "datasets": [level]}],
        "image-label": {"version": _OME_VERSION},
    }


def _axis(letter: str, *, known: bool) -> dict[str, str]:
    kind = _KINDS[letter]
    axis = {"name": letter.lower(), "type": kind}
    if known and kind in _UNITS:
        axis["unit"] = _UNITS[kind]
    return axis


def _check_replaceable(path: Path) -> None:
    metadata = path / "zarr.json"
    empty = path.is_dir() and not any(path.iterdir())
    if not path.exists() or empty:
        return
    described = metadata.read_text("utf-8", errors="replace") if metadata.is_file() else ""
    if '"image-label"' not in described:
        raise LabelsError(
            f"{path} exists and is no label image.",
            safe="It is unchanged.",
            remedy="Choose another name, or delete it first if it is not needed.",
        )


OME_ZARR = LabelFormat(
    "OME-Zarr", (".ome.zarr", ".zarr"), write_zarr, check=_check_replaceable, folder=True
)
"""An OME-Zarr 0.5 label image; replaces only another label image."""
