"""Pictures (PNG, JPEG), and folders of TIFF, PNG or JPEG slices, as lazy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_sam2.errors import StackError
from napari_sam2.stack.opened_stack import OpenedStack, check_choice, chosen_series
from napari_sam2.stack.slice_files import SliceFiles, natural_order

TIFF_SUFFIXES = (".tif", ".tiff")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")

_READ_AS = {"1": "L", "LA": "L", "PA": "RGB", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_DTYPES = {"L": "u1", "I;16": "u2", "I;16B": ">u2", "I": "i4", "F": "f4"}


class SliceHeader(NamedTuple):
    """What a file says of its pixels before they are read."""

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: tuple[float, ...]
    units: tuple[str, ...]
    palette: bool = False


def slices_in(folder: Path) -> list[Path]:
    """List the slices of a folder in natural order; hidden files are none.

    Raises
    ------
    StackError
        It holds both TIFF files and other pictures.
    """
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    by_kind = [
        [path for path in files if path.suffix.lower() in suffixes and path.is_file()]
        for suffixes in (TIFF_SUFFIXES, PICTURE_SUFFIXES)
    ]
    if all(by_kind):
        raise StackError(
            f"The folder {folder} holds {len(by_kind[0])} TIFF and {len(by_kind[1])} PNG or JPEG "
            "files: which are the slices?",
            remedy="Move the others elsewhere.",
        )
    return natural_order([*by_kind[0], *by_kind[1]])


def open_slices(
    folder: Path, files: Sequence[Path], *, series: int | str | None, level: int
) -> OpenedStack:
    """Open files of one slice each as a stack, in the given order.

    Parameters
    ----------
    folder : Path
    files : sequence of Path
        At least one. All must have the same shape and dtype.
    series, level
        A folder of slices has one of each.

    Raises
    ------
    StackError
        A file is damaged, or of another shape or dtype than the first; the error names it.
    """
    chosen_series(series, [""], folder)
    check_choice(level, 1, what="level", path=folder)
    first = header_of(files[0])
    palette = first.palette
    for path in files[1:]:
        other = header_of(path)
        palette = palette and other.palette
        if (other.shape, other.dtype, other.axes) != (first.shape, first.dtype, first.axes):
            raise StackError(
                f"{path.name} is {other.dtype} of shape {other.shape}, but {files[0].name}, the "
                f"first slice in {folder}, is {first.dtype} of shape {first.shape}.",
                remedy="All slices must be alike: move the ones that are not slices elsewhere.",
            )
    data = SliceFiles(
        lambda number: read_slice(files[number]), (len(files),), first.shape, first.dtype
    )
    indices = SliceFiles(
        lambda number: _picture_pixels(files[number], indices=True),
        (len(files),),
        first.shape[:2],
        first.dtype,
    )
    leading = "T" if "Z" in first.axes else "Q"
    return OpenedStack(
        data,
        leading + first.axes,
        (1.0, *first.scale),
        folder,
        units=("", *first.units),
        indices=indices if palette else None,
    )


def open_picture(path: Path, *, series: int | str | None, level: int) -> OpenedStack:
    """Open a PNG or JPEG file.

    Raises
    ------
    StackError
        It is damaged.
    """
    chosen_series(series, [""], path)
    check_choice(level, 1, what="level", path=path)
    header = _picture_header(path)
    data = SliceFiles(lambda _: _picture_pixels(path), (), header.shape, header.dtype)
    indices = SliceFiles(
        lambda _: _picture_pixels(path, indices=True), (), header.shape[:2], header.dtype
    )
    return OpenedStack(
        data, header.axes, header.scale, path, indices=indices if header.palette else None
    )


def header_of(path: Path) -> SliceHeader:
    """Return axes, shape and dtype of a TIFF, PNG or JPEG file.

    Raises
    ------
    StackError
        It is damaged.
    """
    if path.suffix.lower() in TIFF_SUFFIXES:
        from napari_sam2.stack.tiff import open_tiff

        with open_tiff(path, series=None, level=0) as opened:
            dtype = np.dtype(opened.data.dtype)
            return SliceHeader(
                opened.axes, tuple(opened.data.shape), dtype, opened.scale, opened.units
            )
    return _picture_header(path)


def _picture_header(path: Path) -> SliceHeader:
    try:
        with Image.open(path) as picture:
            mode = _READ_AS.get(picture.mode, picture.mode)
            columns, rows = picture.size
            palette = picture.mode == "P"
    except Exception as error:  # damaged pictures make Pillow raise errors of many kinds
        raise _damaged(path, error) from error
    bands = {"RGB": 3, "RGBA": 4}.get(mode)
    if bands is None and mode not in _DTYPES:
        raise StackError(
            f"{path} holds pixels of a kind ({mode}) that is not read.",
            remedy="Save it as an 8- or 16-bit grey or RGB picture, or as TIFF.",
        )
    shape = (rows, columns) if bands is None else (rows, columns, bands)
    axes = "YX" if bands is None else "YXS"
    dtype = np.dtype(_DTYPES.get(mode, "u1"))
    return SliceHeader(axes, shape, dtype, (1.0,) * len(axes), ("",) * len(axes), palette)


def read_slice(path: Path) -> NDArray[Any]:
    """Read the pixels of a TIFF, PNG or JPEG file.

    Raises
    ------
    StackError
        It is damaged.
    """
    if path.suffix.lower() in TIFF_SUFFIXES:
        from napari_sam2.stack.tiff import open_tiff

        with open_tiff(path, series=None, level=0) as opened:
            return np.array(opened.data[...])
    return _picture_pixels(path)


def _picture_pixels(path: Path, *, indices: bool = False) -> NDArray[Any]:
    try:
        with Image.open(path) as picture:
            mode = picture.mode if indices else _READ_AS.get(picture.mode, picture.mode)
            return np.array(picture if mode == picture.mode else picture.convert(mode))
    except Exception as error:  # see above
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StackError:
    return StackError(
        f"{path} cannot be read as a picture: {type(error).__name__}: {error}.",
        remedy="If it was copied or downloaded, do that again; else save it anew, for example as "
        "TIFF or OME-TIFF.",
    )
