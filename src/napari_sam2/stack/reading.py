"""Opening image files as lazy arrays: TIFF, OME-TIFF, zarr, OME-Zarr and numpy files."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from napari_sam2._atomic import recover
from napari_sam2._limits import check_file
from napari_sam2.errors import StackError
from napari_sam2.stack.opened_stack import OpenedStack, axes_of_shape, check_choice, short_reason

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NUMPY_START = b"\x93NUMPY"
_FORMATS = "TIFF, OME-TIFF, zarr, OME-Zarr or a numpy .npy file"


def open_stack(path: str | os.PathLike[str], *, series: int = 0, level: int = 0) -> OpenedStack:
    """Open an image file without reading its pixels.

    The content decides the format, not the name. Compressed TIFF pages and zarr chunks are
    decoded when they are indexed, and no others with them.

    Parameters
    ----------
    path : path-like
        A TIFF, OME-TIFF or .npy file, or the folder of a zarr array or OME-Zarr image.
    series : int
        Number of the image in a file with several (TIFF series, OME-Zarr multiscales).
    level : int
        Level of a pyramid; 0 is the finest.

    Raises
    ------
    StackError
        For a file that is missing, of another format, truncated or damaged, and for a series or
        level that it does not have.
    """
    place = Path(path)
    recover(place)  # a labels folder that a killed run was about to replace
    try:
        if place.is_dir():
            from napari_sam2.stack.ome_zarr import open_zarr

            return open_zarr(place, series=series, level=level)
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
        from napari_sam2.stack.tiff import open_tiff

        return open_tiff(place, series=series, level=level)
    if start.startswith(_NUMPY_START):
        return _open_numpy(place, series=series, level=level)
    raise StackError(
        f"{place} is {'empty' if not start else 'not an image that can be opened'}.",
        remedy=f"Save the image as {_FORMATS}.",
    )


def _open_numpy(path: Path, *, series: int, level: int) -> OpenedStack:
    check_choice(series, 1, what="series", path=path)
    check_choice(level, 1, what="level", path=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about text in a damaged header
            data = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # from a damaged header whatever comes
        raise StackError(
            f"{path} cannot be opened as a numpy array: {short_reason(error)}.",
            remedy="If the file was copied, copy it again; arrays of objects must be saved as "
            "numbers.",
        ) from error
    return OpenedStack(data, axes_of_shape(data.shape), (1.0,) * data.ndim, path)
