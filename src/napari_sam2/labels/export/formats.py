"""The table of export formats, and writing of labels to a path by its suffix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2._atomic import writing
from napari_sam2.errors import LabelsError
from napari_sam2.labels.export.label_format import UNITS, LabelFormat, LabelGeometry, PixelSize
from napari_sam2.labels.export.nifti import NIFTI, PLAIN_NIFTI
from napari_sam2.labels.export.ome_zarr import OME_ZARR
from napari_sam2.labels.export.planes import LabelPlanes
from napari_sam2.labels.export.tiff import OME_TIFF, TIFF
from napari_sam2.labels.pixel_sizes import positive_sizes

FORMATS: tuple[LabelFormat, ...] = (TIFF, OME_TIFF, OME_ZARR, NIFTI, PLAIN_NIFTI)
"""All formats, in the order of file dialogs. A further one is a module of its own and an entry."""

_KNOWN_AXES = "TCZYX"


def write_labels(
    path: str | PathLike[str],
    array: Any,
    *,
    axes: str = "ZYX",
    scale: Sequence[float] | None = None,
    units: Sequence[str] | None = None,
    affine: NDArray[np.float64] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write labels as TIFF, OME-TIFF, OME-Zarr or NIfTI, by the suffix of the path.

    ``.tif`` is an ImageJ hyperstack wherever ImageJ can hold the ids (up to 65535) and the size
    (4 GB), otherwise OME-TIFF; ``.ome.tif`` is OME-TIFF; ``.zarr`` is an OME-Zarr 0.5 label image;
    ``.nii.gz`` and ``.nii`` are NIfTI, which needs nibabel. All but ``.nii`` are compressed without
    loss. All keep the ids, and are written plane by plane to a temporary path, which replaces
    `path` at the end.

    The axes stay in their order in ``.tif`` and ``.zarr``. OME-TIFF ends with Y and X, and NIfTI
    begins with X, Y and Z: labels in other orders are transposed.

    Parameters
    ----------
    path : path
        An existing file is replaced. An existing zarr folder is replaced only if it is an
        OME-Zarr label image: other data is never deleted.
    array : array of int or bool, shape as `axes`
        numpy, zarr or dask; only one plane at a time is read.
    axes : str
        One letter of T, C, Z, Y, X per axis, in any order.
    scale : sequence of float, optional
        Pixel size along each axis, micrometres for Z, Y, X and seconds for T.
    units : sequence of str, optional
        "micrometer" or "second" for each axis whose size is known; "" where it is not: a file then
        claims no physical size. Without `units` all are known.
    affine : ndarray of float, shape (4, 4), optional
        From (x, y, z) in pixels to millimetres towards right, anterior and superior. NIfTI only.
    progress : callable, optional
        Called for each plane with its number and the number of all. Its errors end the writing and
        reach the caller; a former file at `path` is unchanged.

    Raises
    ------
    LabelsError
        Unknown suffix, axes or scale that do not fit, ids too large for the format, or a disk
        that is full; what stood at `path` before is unchanged.
    """
    path = Path(path)
    chosen = format_of(path)
    chosen.check(path)
    given = _checked_axes(array, axes.upper())
    written = chosen.order(given)
    geometry = LabelGeometry(written, _checked_sizes(scale, units, given), affine)
    planes = LabelPlanes(array, progress, [given.index(letter) for letter in written])
    with writing(path, "The labels", LabelsError) as temporary:
        chosen.write(temporary, planes, geometry)


def check_labels_path(path: Path) -> None:
    """Check the path of a labels file before the labels exist.

    Raises
    ------
    LabelsError
        Unknown suffix, or other data stands there, which is never replaced.
    """
    format_of(path).check(path)


def format_of(path: Path) -> LabelFormat:
    """Return the format of a path, by its suffix; of several that fit, the one of the longest.

    Raises
    ------
    LabelsError
        No format has this suffix.
    """
    name = path.name.lower()
    fitting = [(s, each) for each in FORMATS for s in each.suffixes if name.endswith(s)]
    if not fitting:
        usual = [each.suffixes[0] for each in FORMATS]
        raise LabelsError(
            f"Labels cannot be written as {path.name}.",
            remedy=f"Name the file {', '.join(usual[:-1])} or {usual[-1]}.",
        )
    return max(fitting, key=lambda found: len(found[0]))[1]


def _checked_axes(array: Any, axes: str) -> str:
    shape = tuple(np.shape(array))
    known = set(axes) <= set(_KNOWN_AXES) and len(set(axes)) == len(axes)
    if len(axes) != len(shape) or not known or not {"Y", "X"} <= set(axes):
        raise LabelsError(
            f"The axes {axes!r} do not describe labels of shape {shape}.",
            remedy="Give one letter of T, C, Z, Y, X per axis, Y and X among them.",
        )
    if 0 in shape:
        raise LabelsError(
            f"The labels of shape {shape} hold no pixels.", remedy="Write labels of a real stack."
        )
    return axes


def _checked_sizes(
    scale: Sequence[float] | None, units: Sequence[str] | None, axes: str
) -> dict[str, PixelSize]:
    if scale is None:
        return {}
    sizes = positive_sizes(scale, len(axes))
    if sizes is None:
        raise LabelsError(
            f"The scale {scale!r} does not fit the axes {axes}.",
            remedy="Give one positive pixel size per axis.",
        )
    named = [UNITS.get(letter, "") for letter in axes] if units is None else list(units)
    if len(named) != len(axes) or not set(named) <= {"", *UNITS.values()}:
        raise LabelsError(
            f"The units {tuple(named)} do not fit the axes {axes}.",
            remedy='Give "micrometer", "second" or "" (unknown) for each axis.',
        )
    return {
        letter: PixelSize(size, unit) for letter, size, unit in zip(axes, sizes, named, strict=True)
    }
