"""Labels as ImageJ hyperstack or OME-TIFF."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_sam2.labels.export.label_format import LabelFormat
from napari_sam2.labels.export.planes import LabelPlanes

# Offsets in a classic TIFF have 32 bits; this leaves room for its tables.
_CLASSIC_BYTES = 2**32 - 2**25
_IMAGEJ_ORDER = "TZCYX"


def write_tiff(
    path: Path, planes: LabelPlanes, axes: str, scale: dict[str, float], *, ome: bool
) -> None:
    """Write a compressed TIFF plane by plane.

    Parameters
    ----------
    path : Path
    planes : LabelPlanes
    axes : str
        One letter per axis of `planes`.
    scale : dict of str to float
        Pixel size by axis letter: micrometres, for T seconds; may be empty.
    ome : bool
        Write OME-TIFF even where an ImageJ hyperstack would do.
    """
    dtype = planes.narrow_dtype()
    nbytes = int(np.prod(planes.shape, dtype=object)) * dtype.itemsize
    imagej = not ome and nbytes < _CLASSIC_BYTES and _imagej_holds(dtype, axes, planes.shape)
    options = _imagej_options(axes, scale) if imagej else _ome_options(axes, scale)
    tifffile.imwrite(
        path,
        (plane.astype(dtype, copy=False) for _, plane in planes),
        shape=planes.shape,
        dtype=dtype,
        photometric="minisblack",
        compression="zlib",
        bigtiff=nbytes >= _CLASSIC_BYTES,
        **options,
    )


def _imagej_holds(dtype: np.dtype[Any], axes: str, shape: tuple[int, ...]) -> bool:
    in_order = "".join(sorted(axes, key=_IMAGEJ_ORDER.index)) == axes
    # tifffile takes the last axis of an ImageJ file for colours if its size is 1.
    return dtype in (np.uint8, np.uint16) and in_order and shape[-1] > 1


def _imagej_options(axes: str, scale: dict[str, float]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes}
    if "Z" in scale:
        metadata["spacing"] = scale["Z"]
    if "T" in scale:
        metadata["finterval"] = scale["T"]
    options: dict[str, Any] = {"imagej": True, "metadata": metadata}
    if "X" in scale:
        metadata["unit"] = "um"
        options["resolution"] = (1 / scale["X"], 1 / scale["Y"])
        options["resolutionunit"] = "NONE"
    return options


def _ome_options(axes: str, scale: dict[str, float]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes}
    for axis in "ZYX":
        if axis in scale:
            metadata[f"PhysicalSize{axis}"] = scale[axis]
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    if "T" in scale:
        metadata["TimeIncrement"] = scale["T"]
        metadata["TimeIncrementUnit"] = "s"
    return {"ome": True, "metadata": metadata}


TIFF = LabelFormat("TIFF", (".tif", ".tiff"), partial(write_tiff, ome=False))
"""An ImageJ hyperstack where ImageJ can hold ids and size, otherwise OME-TIFF."""
OME_TIFF = LabelFormat("OME-TIFF", (".ome.tif", ".ome.tiff"), partial(write_tiff, ome=True))
