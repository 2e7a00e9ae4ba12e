"""Opening of image files and folders as lazy arrays, by their content."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_sam2._atomic import recover
from napari_sam2._limits import check_file
from napari_sam2.errors import StackError
from napari_sam2.stack.array_view import ArrayView
from napari_sam2.stack.file_pixels import FilePixels
from napari_sam2.stack.opened_stack import (
    ZARR_FILES,
    OpenedStack,
    axes_of_shape,
    check_choice,
    chosen_series,
    short_reason,
)

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NUMPY_START = b"\x93NUMPY"
_PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_DOUBLE_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.zarr", ".nii.gz")
_LONGEST_SUFFIX = 6
_FORMATS = "TIFF, OME-TIFF, zarr, OME-Zarr, NIfTI, PNG, JPEG or a numpy .npy file"


def stem_of(name: str) -> str:
    """Return the name of an image or labels file without its suffix: cells of cells.ome.tif.

    What follows a dot and is longer than any suffix belongs to the name.
    """
    for suffix in _DOUBLE_SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and len(suffix) <= _LONGEST_SUFFIX else name


def open_stack(
    path: str | os.PathLike[str], *, series: int | str | None = None, level: int = 0
) -> OpenedStack:
    """Open an image file without reading its pixels.

    The content decides the format, not the name. Compressed TIFF pages and zarr chunks are
    decoded when they are indexed, and no others with them.

    Parameters
    ----------
    path : path-like
        A TIFF, OME-TIFF, .npy, PNG, JPEG, NIfTI or DICOM file; the folder of a zarr array or
        OME-Zarr image; a folder of TIFF, PNG or JPEG slices, in natural order, or of DICOM files.
    series : int, str or None
        The image of a file with several (TIFF series, OME-Zarr images and plates, DICOM series),
        by number or name. None: the first, except in a plate, where one has to be chosen.
    level : int
        Level of a pyramid; 0 is the finest.

    Raises
    ------
    SeriesError
        For a plate of several images of which none is chosen, and for several DICOM series of
        which the first is no stack.
    StackError
        For a file that is missing, of another format, truncated or damaged, and for a series or
        level that it does not have.
    """
    place = Path(path)
    recover(place)  # a labels folder that a killed run was about to replace
    try:
        if place.is_dir():
            return _open_folder(place, series=series, level=level)
        check_file(place)
        with place.open("rb") as file:
            start = file.read(8)
    except FileNotFoundError as error:
        raise StackError(
            f"There is no file {place}.", remedy="Check the path and its spelling."
        ) from error
    except OSError as error:
        raise StackError(
            f"{place} cannot be read: {error.strerror or error}.",
            remedy="Check that you may read it.",
        ) from error
    if start.startswith(_TIFF_STARTS):
        return _open_tiff(place, series=series, level=level)
    if start.startswith(_NUMPY_START):
        return _open_numpy(place, series=series, level=level)
    opened = _open_by_other_signs(place, start, series=series, level=level)
    if opened is not None:
        return opened
    raise StackError(
        f"{place} is {'empty' if not start else 'not an image that can be opened'}.",
        remedy=f"Save the image as {_FORMATS}.",
    )


def open_labels(path: str | os.PathLike[str]) -> OpenedStack:
    """Open a file of labels as `open_stack` does; of PNG files with a palette, its numbers.

    Raises
    ------
    StackError
        As `open_stack`.
    """
    opened = open_stack(path)
    if opened.indices is None:
        return opened
    return replace(
        opened,
        data=opened.indices,
        axes=opened.axes[:-1],
        scale=opened.scale[:-1],
        units=opened.units[:-1],
        indices=None,
    )


def _open_tiff(path: Path, *, series: int | str | None, level: int) -> OpenedStack:
    """Open a TIFF, or a DICOM file that begins as one: its preamble may hold anything.

    Scanners write the beginning of a TIFF without its pages there, and slide scanners a whole one.
    """
    from napari_sam2.stack.dicom import is_dicom, open_dicom
    from napari_sam2.stack.tiff import open_tiff

    if not is_dicom(path):
        return open_tiff(path, series=series, level=level)
    with suppress(StackError):
        opened = open_tiff(path, series=series, level=level)
        if len(opened.axes) > 1:
            return opened
    return open_dicom(path, [path], series=series, level=level)


def _open_folder(path: Path, *, series: int | str | None, level: int) -> OpenedStack:
    """Open a zarr, or else a folder of slices or of DICOM files."""
    from napari_sam2.stack.ome_zarr import open_zarr

    if any((path / name).is_file() for name in ZARR_FILES):
        return open_zarr(path, series=series, level=level)
    from napari_sam2.stack.slice_folder import open_slices, slices_in

    slices = slices_in(path)
    if slices:
        return open_slices(path, slices, series=series, level=level)
    from napari_sam2.stack.dicom import dicom_files_in, open_dicom

    files = dicom_files_in(path)
    if files:
        return open_dicom(path, files, series=series, level=level)
    if path.suffix.lower() == ".zarr":
        return open_zarr(path, series=series, level=level)  # says what is missing
    raise StackError(
        f"The folder {path} holds no image: no zarr, no TIFF, PNG or JPEG slices and no DICOM "
        "files.",
        remedy="Choose the folder that they are in: folders inside it are not searched.",
    )


def _open_by_other_signs(
    path: Path, start: bytes, *, series: int | str | None, level: int
) -> OpenedStack | None:
    """Open a picture, a NIfTI or a DICOM file; None if it is none."""
    if start.startswith(_PICTURE_STARTS):
        from napari_sam2.stack.slice_folder import open_picture

        return open_picture(path, series=series, level=level)
    from napari_sam2.stack.nifti import SUFFIXES, open_nifti

    if start and path.name.lower().endswith(SUFFIXES):
        return open_nifti(path, series=series, level=level)
    from napari_sam2.stack.dicom import is_dicom, open_dicom

    if is_dicom(path):
        return open_dicom(path, [path], series=series, level=level)
    return None


def _open_numpy(path: Path, *, series: int | str | None, level: int) -> OpenedStack:
    chosen_series(series, [""], path)
    check_choice(level, 1, what="level", path=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about text in a damaged header
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        backwards = mapped.flags.f_contiguous and not mapped.flags.c_contiguous
        shape = mapped.shape[::-1] if backwards else mapped.shape
        pixels = FilePixels(path, mapped.dtype, mapped.offset, shape)
    except Exception as error:  # from a damaged header whatever comes
        raise StackError(
            f"{path} cannot be opened as a numpy array: {short_reason(error)}.",
            remedy="If the file was copied, copy it again; arrays of objects must be saved as "
            "numbers.",
        ) from error
    axes = axes_of_shape(mapped.shape)
    data = ArrayView(pixels, range(pixels.ndim)[::-1]) if backwards else pixels
    return OpenedStack(data, axes, (1.0,) * pixels.ndim, path, pixels.close)
