"""TIFF, OME-TIFF and ImageJ TIFF as lazy arrays."""

from __future__ import annotations

import struct
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import zarr
from tifffile import RESUNIT, TIFF, TiffFile, TiffPageSeries

from napari_sam2.errors import StackError
from napari_sam2.stack.file_pixels import FilePixels
from napari_sam2.stack.opened_stack import (
    DAMAGED_REMEDY,
    AxisStep,
    FileChoice,
    OpenedStack,
    check_choice,
    chosen_series,
    short_reason,
    step_of,
)

_INCHES = ("in", "inch", "inches")
_DESCRIPTION = 270  # the tag ImageDescription


def open_tiff(path: Path, *, series: int | str | None, level: int) -> OpenedStack:
    """Open one series of a TIFF file.

    Uncompressed contiguous pixels are read from their place; others are decoded page by page (tile
    by tile in tiled files) when they are indexed.

    Parameters
    ----------
    path : Path
        Path of the file.
    series : int, str or None
        The image in the file, by number or name; None: the first.
    level : int
        Number of its resolution.

    Raises
    ------
    StackError
        For a damaged or truncated file, or a series or level that it does not have.
    """
    file: Any = None
    try:
        file = TiffFile(path)
        if not (_chain_is_whole(file) and _description_is_whole(file)):
            raise _truncated(path)
        names = [str(each.name or "") for each in file.series]
        series = chosen_series(series, names, path)
        finest = file.series[series]
        check_choice(level, len(finest.levels), what="level", path=path)
        chosen = finest.levels[level]
        _check_pixels(chosen, path)
        _check_compression(chosen, path)
        axes, steps = chosen.axes, _steps(file, series, finest, chosen)
        about: dict[str, Any] = {
            "units": tuple(step.unit for step in steps),
            "series": FileChoice.among(names, series),
            "level": FileChoice(level, len(finest.levels)),
        }
        scale = tuple(step.size for step in steps)
        if chosen.dataoffset is not None:
            dtype = np.dtype(file.byteorder + chosen.dtype.char)
            data = FilePixels(path, dtype, chosen.dataoffset, chosen.shape)
            return OpenedStack(data, axes, scale, path, data.close, **about)
        store = finest.aszarr(level=level, chunkmode=0 if chosen.keyframe.is_tiled else "page")
        array = zarr.open_array(store, mode="r")
        closing = weakref.finalize(array, file.close)
        file = None
        return OpenedStack(array, axes, scale, path, closing, **about)
    except StackError:
        raise
    except Exception as error:  # damaged files make tifffile raise errors of many kinds
        raise StackError(
            f"{path} cannot be opened as TIFF: {type(error).__name__}: {short_reason(error)}.",
            remedy=DAMAGED_REMEDY,
        ) from error
    finally:
        if file is not None:
            file.close()


def _truncated(path: Path) -> StackError:
    return StackError(f"{path} is truncated: it ends before its last page.", remedy=DAMAGED_REMEDY)


def _chain_is_whole(file: TiffFile) -> bool:
    """Return whether the list of pages ends as it should.

    tifffile only logs a list that is broken off, and takes the pages before the break for all.
    """
    position = file.pages.next_page_offset
    if position is None:
        return False
    file.filehandle.seek(position)
    pointer = file.filehandle.read(file.tiff.offsetsize)
    return len(pointer) == file.tiff.offsetsize and not any(pointer)


def _description_is_whole(file: TiffFile) -> bool:
    """Return whether the file contains the text with its axes, which OME-TIFF writes at the end.

    tifffile leaves out a tag whose value is beyond the end of the file, so it is looked for in
    the page's own list.
    """
    page, tiff = file.pages.first, file.tiff
    file.filehandle.seek(page.offset)
    (count,) = struct.unpack(tiff.tagnoformat, file.filehandle.read(tiff.tagnosize))
    entries = file.filehandle.read(count * tiff.tagsize)
    codes = struct.iter_unpack(f"{tiff.byteorder}H{tiff.tagsize - 2}x", entries)
    return _DESCRIPTION in page.tags or (_DESCRIPTION,) not in codes


def _check_pixels(series: TiffPageSeries, path: Path) -> None:
    """Check that the file holds the pixels that its list of pages promises."""
    if series.dataoffset is not None:
        if series.dataoffset + series.nbytes > series.keyframe.parent.filehandle.size:
            raise _truncated(path)
        return
    pages = [page for page in series.pages if page is not None]
    missing = len(series.pages) - len(pages)
    if missing:
        # Acquisitions that were stopped leave such files; what there is can be used.
        warnings.warn(
            f"{path}: {missing} of {len(series.pages)} planes are not in the file and read as 0.",
            stacklevel=4,
        )
    for page in pages:
        size = page.parent.filehandle.size
        chunks = zip(page.dataoffsets, page.databytecounts, strict=True)
        if any(offset + count > size for offset, count in chunks):
            raise _truncated(path)


def _check_compression(series: TiffPageSeries, path: Path) -> None:
    page = series.keyframe
    try:
        TIFF.DECOMPRESSORS[page.compression]
        TIFF.UNPREDICTORS[page.predictor]
    except KeyError as error:
        raise StackError(
            f"{path} cannot be decoded: {error.args[0]}.",
            remedy="Install more codecs (python -m pip install imagecodecs), or save the image "
            "without compression or with Deflate (zlib).",
        ) from error


def _steps(
    file: TiffFile, series: int, finest: TiffPageSeries, chosen: TiffPageSeries
) -> tuple[AxisStep, ...]:
    if file.is_ome and file.ome_metadata:
        steps = _ome_steps(file.ome_metadata, series)
    elif file.is_imagej and file.imagej_metadata:
        steps = _imagej_steps(finest, file.imagej_metadata)
    else:
        steps = _resolution_steps(finest, None) | _named_steps(file)
    coarser = dict(
        zip(
            finest.axes,
            (a / b for a, b in zip(finest.shape, chosen.shape, strict=True)),
            strict=True,
        )
    )
    known = [steps.get(axis, AxisStep()) for axis in chosen.axes]
    return tuple(
        AxisStep(step.size * coarser[axis], step.unit)
        for axis, step in zip(chosen.axes, known, strict=True)
    )


def _ome_steps(xml: str, series: int) -> dict[str, AxisStep]:
    """Physical sizes of OME-XML, http://www.openmicroscopy.org/Schemas/OME/2016-06."""
    try:
        images = ElementTree.fromstring(xml).findall("{*}Image/{*}Pixels")
    except ElementTree.ParseError:
        # Pixels and shape come from the pages then; only the scale is unknown.
        warnings.warn("The OME metadata is damaged; the scale is unknown.", stacklevel=5)
        return {}
    if series >= len(images):
        return {}
    pixels = images[series].attrib
    return _steps_in(pixels, default_length="µm", default_time="s")


def _named_steps(file: TiffFile) -> dict[str, AxisStep]:
    """Sizes that `write_labels` puts beside the names of the axes, where these are unusual."""
    metadata = file.shaped_metadata[0] if file.shaped_metadata else {}
    return _steps_in(metadata, default_length="", default_time="")


def _steps_in(
    named: Mapping[str, Any], *, default_length: str, default_time: str
) -> dict[str, AxisStep]:
    """Return the steps that metadata give under OME's names, by axis letter."""
    steps = {}
    for axis, name, default in (
        ("X", "PhysicalSizeX", default_length),
        ("Y", "PhysicalSizeY", default_length),
        ("Z", "PhysicalSizeZ", default_length),
        ("T", "TimeIncrement", default_time),
    ):
        if name in named:
            steps[axis] = step_of(named[name], named.get(f"{name}Unit", default))
    return steps


def _imagej_steps(series: TiffPageSeries, metadata: dict[str, Any]) -> dict[str, AxisStep]:
    """Pixel sizes as ImageJ keeps them: X and Y in resolution tags, the rest as text.

    ImageJ takes inches over from files of others: see `_resolution_steps`.
    """
    tags, unit = series.keyframe.tags, str(metadata.get("unit", "")).replace("\\u00B5", "µ")
    if not unit and tags.valueof("ResolutionUnit") == RESUNIT.CENTIMETER:
        unit = "cm"
    in_inches = unit.strip().lower() in _INCHES
    steps = {} if in_inches else _resolution_steps(series, unit)
    if "spacing" in metadata and not in_inches:
        # ImageJ writes a negative spacing for stacks that were taken upside down.
        steps["Z"] = step_of(str(metadata["spacing"]).lstrip("-"), unit)
    if "finterval" in metadata:
        steps["T"] = step_of(metadata["finterval"], metadata.get("tunit", "s"))
    return steps


def _resolution_steps(series: TiffPageSeries, unit: str | None) -> dict[str, AxisStep]:
    """Pixel sizes of the resolution tags, in the given unit, or, without one, in centimetres.

    Inches are left out: programs that know nothing of the pixels write 72 or 300 of them per inch.
    """
    tags = series.keyframe.tags
    centimetres = tags.valueof("ResolutionUnit") == RESUNIT.CENTIMETER
    steps = {}
    for axis, name in (("X", "XResolution"), ("Y", "YResolution")):
        pixels, per = tags.valueof(name) or (0, 1)
        if pixels > 0 and (unit is not None or centimetres):
            steps[axis] = step_of(per / pixels, "cm" if unit is None else unit)
    return steps
