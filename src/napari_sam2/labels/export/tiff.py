"""Labels as ImageJ hyperstack or OME-TIFF."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_sam2.labels.export.label_format import LabelFormat, LabelGeometry
from napari_sam2.labels.export.planes import LabelPlanes

# Offsets in a classic TIFF have 32 bits; this leaves room for its tables.
_CLASSIC_BYTES = 2**32 - 2**25
_IMAGEJ_ORDER = "TZCYX"


def write_tiff(path: Path, planes: LabelPlanes, geometry: LabelGeometry, *, ome: bool) -> None:
    """Write a compressed TIFF plane by plane.

    Sizes of unknown unit are left out. Axes that neither ImageJ nor OME-TIFF has in this order are
    named as tifffile does it, with the sizes beside them.

    Parameters
    ----------
    path : Path
    planes : LabelPlanes
    geometry : LabelGeometry
    ome : bool
        Write OME-TIFF even where an ImageJ hyperstack would do.
    """
    dtype = planes.narrow_dtype()
    nbytes = int(np.prod(planes.shape, dtype=object)) * dtype.itemsize
    axes = geometry.axes
    imagej = not ome and nbytes < _CLASSIC_BYTES and _imagej_holds(dtype, axes, planes.shape)
    if imagej:
        options = _imagej_options(geometry)
    else:
        # OME-TIFF ends with Y and X; tifffile's own description takes any order.
        options = {"ome": axes.endswith("YX"), "metadata": _named_sizes(geometry)}
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


def _imagej_options(geometry: LabelGeometry) -> dict[str, Any]:
    scale = {letter: geometry.known(letter) for letter in "TZYX"}
    metadata: dict[str, Any] = {"axes": geometry.axes}
    if scale["Z"] is not None:
        metadata["spacing"] = scale["Z"]
    if scale["T"] is not None:
        metadata["finterval"] = scale["T"]
    options: dict[str, Any] = {"imagej": True, "metadata": metadata}
    x, y = scale["X"], scale["Y"]
    if x is not None or y is not None or scale["Z"] is not None:
        metadata["unit"] = "um"
    if x is not None and y is not None:
        options["resolution"] = (1 / x, 1 / y)
        options["resolutionunit"] = "NONE"
    return options


def _named_sizes(geometry: LabelGeometry) -> dict[str, Any]:
    """Return axes and sizes under the names of OME-XML, the known ones only."""
    metadata: dict[str, Any] = {"axes": geometry.axes}
    for axis in "ZYX":
        size = geometry.known(axis)
        if axis in geometry.axes and size is not None:
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    interval = geometry.known("T")
    if interval is not None:
        metadata["TimeIncrement"] = interval
        metadata["TimeIncrementUnit"] = "s"
    return metadata


def _ome_order(axes: str) -> str:
    """Return axes in an order that OME-TIFF has: any that ends with Y and X."""
    return axes if axes.endswith("YX") else "".join(sorted(axes, key=_IMAGEJ_ORDER.index))


TIFF = LabelFormat("TIFF", (".tif", ".tiff"), partial(write_tiff, ome=False))
"""An ImageJ hyperstack where ImageJ can hold ids and size, otherwise OME-TIFF."""
OME_TIFF = LabelFormat(
    "OME-TIFF", (".ome.tif", ".ome.tiff"), partial(write_tiff, ome=True), order=_ome_order
)
