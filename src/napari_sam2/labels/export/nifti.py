"""Labels as NIfTI, with the orientation of the image that they belong to."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_sam2.errors import LabelsError
from napari_sam2.labels.export.label_format import LabelFormat, LabelGeometry
from napari_sam2.labels.export.planes import LabelPlanes

# A file is x, y, z, t from the fastest axis to the slowest: planes in this order, one by one.
_ORDER = "CTZYX"
_LARGEST_SIDE = 2**15 - 1  # in NIfTI-1; NIfTI-2 has 64 bits
_LEVEL = 6  # of compression, as nibabel's own


def write_nifti(
    path: Path, planes: LabelPlanes, geometry: LabelGeometry, *, compressed: bool
) -> None:
    """Write NIfTI-1, or NIfTI-2 for sides beyond 32767, plane by plane.

    Without an affine, no orientation is claimed, and without known pixel sizes none of these.

    Parameters
    ----------
    path : Path
    planes : LabelPlanes
    geometry : LabelGeometry
        Axes in the order C, T, Z, Y, X.
    compressed : bool
        Write it as gzip does.
    """
    dtype = planes.narrow_dtype()
    header = _header(planes.shape, dtype, geometry)
    with path.open("wb") as raw:
        if compressed:
            with gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed:
                _write(packed, header, planes, dtype)
        else:
            _write(raw, header, planes, dtype)


def _write(file: IO[bytes] | gzip.GzipFile, header: Any, planes: LabelPlanes, dtype: Any) -> None:
    file.write(header.binaryblock)
    file.write(bytes(int(header["vox_offset"]) - len(header.binaryblock)))  # no extensions
    for _, plane in planes:
        file.write(plane.astype(dtype, copy=False).tobytes())


def _header(shape: tuple[int, ...], dtype: np.dtype[Any], geometry: LabelGeometry) -> Any:
    nibabel = _nibabel()
    axes = geometry.axes
    sides = dict(zip(axes, shape, strict=True))
    last = max("XYZTC".index(letter) for letter in axes)
    dims = [sides.get(letter, 1) for letter in "XYZTC"[: last + 1]]
    large = max(dims) > _LARGEST_SIDE
    header = nibabel.Nifti2Header() if large else nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(dims)
    header["vox_offset"] = 544 if large else 352
    header["magic"] = header.single_magic
    header["intent_code"] = 1002  # NIFTI_INTENT_LABEL
    header["intent_name"] = b"labels"
    spaces = [geometry.known(letter) for letter in "XYZ"]
    interval = geometry.known("T")
    known = geometry.affine is not None or all(
        step is not None for letter, step in zip("XYZ", spaces, strict=True) if letter in axes
    )
    header.set_xyzt_units(
        "mm" if known else "unknown", "sec" if interval is not None else "unknown"
    )
    if geometry.affine is None:
        zooms = [1.0 if step is None or not known else step / 1000 for step in spaces]
    else:
        zooms = np.sqrt((geometry.affine[:3, :3] ** 2).sum(0)).tolist()
    zooms += [1.0 if interval is None else interval, 1.0]
    header.set_zooms(zooms[: len(dims)])
    if geometry.affine is not None:
        header.set_sform(geometry.affine, "scanner")
        header.set_qform(geometry.affine, "scanner", strip_shears=True)
    return header


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise LabelsError(
            "NIfTI files need nibabel, which is not installed.",
            remedy='Install it, python -m pip install "napari-sam2[medical]", or write the labels '
            "as .tif or .zarr.",
        ) from error
    return nibabel


def _check(path: Path) -> None:
    _nibabel()


def _order(axes: str) -> str:
    return "".join(sorted(axes, key=_ORDER.index))


NIFTI = LabelFormat(
    "NIfTI", (".nii.gz",), partial(write_nifti, compressed=True), check=_check, order=_order
)
"""Compressed NIfTI; needs nibabel, from the extra `medical`."""
PLAIN_NIFTI = LabelFormat(
    "Plain NIfTI",
    (".nii",),
    partial(write_nifti, compressed=False),
    check=_check,
    order=_order,
)
"""NIfTI that can be read slice by slice; needs nibabel."""
