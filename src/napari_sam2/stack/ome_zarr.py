"""Zarr arrays and OME-Zarr images (metadata 0.1 to 0.5) as lazy arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_sam2._limits import (
    MOST_CHUNK_BYTES,
    MOST_CHUNKS,
    MOST_METADATA_BYTES,
    MOST_SMALL_CHUNKS,
    SMALL_CHUNK_PIXELS,
    read_note,
)
from napari_sam2.errors import SeriesError, StackError
from napari_sam2.stack.axes import axis_letter
from napari_sam2.stack.opened_stack import (
    ZARR_FILES,
    FileChoice,
    OpenedStack,
    axes_of_shape,
    check_choice,
    chosen_series,
    listed,
    short_reason,
    step_of,
)

_TYPES = {"time": "T", "channel": "C"}


def open_zarr(path: Path, *, series: int | str | None, level: int) -> OpenedStack:
    """Open a zarr array, or one resolution of an OME-Zarr image.

    Zarr formats 2 and 3; OME-Zarr as in https://ngff.openmicroscopy.org/0.5/ and before it.

    Parameters
    ----------
    path : Path
        Path of the folder.
    series : int, str or None
        The image in an OME-Zarr group, by number or name ("A/1/0" in a plate). None: the first,
        except in a plate or well, where one has to be chosen.
    level : int
        Number of its resolution.

    Raises
    ------
    StackError
        For a folder that is no zarr, groups without an image, damaged metadata, or a series or
        level that it does not have.
    """
    node = _open_node(path)
    if isinstance(node, zarr.Array):
        chosen_series(series, [""], path)
        check_choice(level, 1, what="level", path=path)
        try:
            _check_chunks(node, path)
            axes = _array_axes(node)
        except StackError:
            raise
        except Exception as error:  # names that are no text, say
            raise _damaged(path, error) from error
        return OpenedStack(node, axes, (1.0,) * node.ndim, path)
    try:
        return _open_group(node, path, series=series, level=level)
    except StackError:
        raise
    except Exception as error:  # from damaged metadata whatever comes
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StackError:
    return StackError(
        f"The OME-Zarr metadata of {path} is damaged: {type(error).__name__}: "
        f"{short_reason(error)}.",
        remedy="Pass the folder of the array itself, usually the one named 0.",
    )


def _open_node(path: Path) -> Any:
    for name in ZARR_FILES:
        if (path / name).exists():
            _check_metadata(path, path / name)
    try:
        return zarr.open(path, mode="r")
    except Exception as error:  # zarr and its codecs raise errors of many kinds
        raise StackError(
            f"{path} cannot be opened as zarr: {type(error).__name__}: {short_reason(error)}.",
            remedy="Pass the folder of a zarr array or OME-Zarr image (it holds zarr.json, .zarray "
            "or .zgroup).",
        ) from error


def _check_metadata(path: Path, file: Path) -> None:
    """Read a metadata file before zarr does, which would read a device for ever."""
    try:
        read_note(file, MOST_METADATA_BYTES)
    except (OSError, ValueError) as error:
        raise StackError(
            f"{path} cannot be opened as zarr: {file.name}: {short_reason(error)}.",
            remedy="If the folder was copied or downloaded, do that again.",
        ) from error


def _check_chunks(array: Any, path: Path) -> None:
    """Raise an error for chunks too large for memory, or too many to read a frame in time.

    A chunk is decoded whole, whatever its size on the disk.
    """
    shape, chunks = tuple(array.shape), tuple(array.chunks)
    # Chunks may be larger than the array, and are decoded as large as they are.
    nbytes = math.prod(chunks) * np.dtype(array.dtype).itemsize
    if nbytes > MOST_CHUNK_BYTES:
        raise StackError(
            f"{path} has chunks of {chunks}, {nbytes / 1e9:.1f} GB each: to read one pixel, one "
            "of them must be in memory whole.",
            remedy="Save it with smaller chunks, one frame each or less.",
        )
    per_frame = math.prod(
        -(-size // chunk) for size, chunk in zip(shape[-2:], chunks[-2:], strict=True)
    )
    most = MOST_SMALL_CHUNKS if math.prod(chunks[-2:]) < SMALL_CHUNK_PIXELS else MOST_CHUNKS
    if per_frame > most:
        raise StackError(
            f"{path} has chunks of {chunks}: a frame of {shape[-2:]} pixels is in {per_frame} of "
            "them, and each is a file of its own.",
            remedy="Save it with larger chunks, one frame each, say.",
        )


def _open_group(group: Any, path: Path, *, series: int | str | None, level: int) -> OpenedStack:
    attributes = dict(group.attrs)
    metadata: Mapping[str, Any] = attributes.get("ome", attributes)
    if "multiscales" in metadata:
        images = metadata["multiscales"]
        names = [str(image.get("name", "")) for image in images]
        number = chosen_series(series, names, path)
        choice = FileChoice.among(names, number)
        return _open_multiscale(group, images[number], path, choice, level=level)
    inside = _images_inside(group, metadata, path, wanted=series)
    if inside:
        number = chosen_series(series, inside, path)
        opened = open_zarr(path / inside[number], series=None, level=level)
        return replace(opened, series=FileChoice.among(inside, number))
    arrays = sorted(group.array_keys())
    if len(arrays) == 1:
        return open_zarr(path / arrays[0], series=series, level=level)
    others = ", ".join((*arrays, *sorted(group.group_keys()))) or "nothing"
    raise StackError(
        f"{path} is a zarr group without an image of its own; it holds {others}.",
        remedy="Pass the folder of one of the arrays or images in it.",
    )


def _images_inside(
    group: Any, metadata: Mapping[str, Any], path: Path, *, wanted: int | str | None
) -> list[str]:
    """List the images of a group that holds several: a plate, a well, a converted file.

    Raises
    ------
    SeriesError
        It is a plate or well of several images and none is chosen.
    """
    if "plate" in metadata:
        kind = "plate"
        wells = [str(well["path"]) for well in metadata["plate"]["wells"]]
        inside = [f"{well}/{field}" for well in wells for field in _fields_of(group, well)]
    elif "well" in metadata:
        kind = "well"
        inside = [str(image["path"]) for image in metadata["well"]["images"]]
    elif "bioformats2raw.layout" in metadata:
        return sorted((name for name in group.group_keys() if name.isdigit()), key=int)
    else:
        return []
    if wanted is None and len(inside) > 1:
        raise SeriesError(
            f"{path} is a {kind} of {len(inside)} images: {listed(inside)}.",
            names=tuple(inside),
            remedy=f"Choose one by its name, such as --series {inside[0]} or "
            f"open_stack(path, series={inside[0]!r}), or pass its folder, {path / inside[0]}.",
        )
    return inside


def _fields_of(plate: Any, well: str) -> list[str]:
    """List the fields of a well; none where its folder is missing."""
    group = plate.get(well)
    if group is None:
        return []
    attributes = dict(group.attrs)
    described = attributes.get("ome", attributes)["well"]["images"]
    return [str(image["path"]) for image in described]


def _open_multiscale(
    group: Any, image: Mapping[str, Any], path: Path, series: FileChoice, *, level: int
) -> OpenedStack:
    datasets = image["datasets"]
    check_choice(level, len(datasets), what="level", path=path)
    name = str(datasets[level]["path"])
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise StackError(
            f"{path} names {name!r} as its level {level}, but there is no such array.",
            remedy="If the folder was copied or downloaded, do that again.",
        )
    _check_chunks(array, path)
    # Before metadata 0.4 there were no scales, before 0.3 no axes: always TCZYX.
    described = image.get("axes", ["t", "c", "z", "y", "x"][-array.ndim :])
    axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in described]
    if len(axes) != array.ndim:
        raise StackError(
            f"{path} describes {len(axes)} axes, but its level {level} has shape {array.shape}.",
            remedy="Pass the folder of the array itself.",
        )
    sizes = zip(_scale_of(datasets[level], array.ndim), _scale_of(image, array.ndim), strict=True)
    steps = [step_of(a * b, axis.get("unit")) for (a, b), axis in zip(sizes, axes, strict=True)]
    return OpenedStack(
        array,
        "".join(_letter(axis) for axis in axes),
        tuple(step.size for step in steps),
        path,
        units=tuple(step.unit for step in steps),
        series=series,
        level=FileChoice(level, len(datasets)),
    )


def _scale_of(described: Mapping[str, Any], ndim: int) -> list[float]:
    """Multiply the scale transformations of a level or of a whole image."""
    scale = [1.0] * ndim
    for transformation in described.get("coordinateTransformations") or ():
        if transformation["type"] == "scale":
            factors = transformation["scale"]
            scale = [a * float(b) for a, b in zip(scale, factors, strict=True)]
    return scale


def _letter(axis: Mapping[str, Any]) -> str:
    return axis_letter(axis["name"]).upper() or _TYPES.get(str(axis.get("type")), "Q")


def _array_axes(array: Any) -> str:
    """Return the axis letters of a bare array, from its dimension names if all are known."""
    names: Sequence[Any] | None = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS")
    if names is None or len(names) != array.ndim:
        return axes_of_shape(array.shape)
    letters = "".join(_letter({"name": name}) for name in names)
    return letters if {"Y", "X"} <= set(letters) else axes_of_shape(array.shape)
