"""Checks of arrays, axes, regions and channels."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from os import PathLike
from typing import Any, Protocol

import numpy as np

from napari_sam2.errors import StackError
from napari_sam2.types import Region, StackKind


class ArrayLike(Protocol):
    """The array interface that stacks need; numpy, dask, zarr, h5py and others have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""

    @property
    def dtype(self) -> Any:
        """Anything that `numpy.dtype` understands."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return the indexed pixels as an object that `numpy.asarray` converts."""


def check_array(data: Any) -> np.dtype[Any]:
    """Return the dtype of `data` if its pixels can be shown.

    Raises
    ------
    StackError
        For lists (of resolution levels), things without shape, dtype or indexing, and dtypes that
        are not bool, integer or float.
    """
    if isinstance(data, str | PathLike):
        raise StackError(
            f"{str(data)!r} is the name of a file, not its pixels.",
            remedy="Pass open_stack(path).data, with open_stack from napari_sam2.stack.",
        )
    if isinstance(data, Sequence):
        raise StackError(
            "The image is a list, not one array: several resolution levels, or plain numbers.",
            remedy="Pass one level (data[0] is the finest), or numpy.asarray(data).",
        )
    if not all(hasattr(data, name) for name in ("shape", "dtype", "__getitem__")):
        raise StackError(
            f"A {type(data).__name__} is no array: it lacks shape, dtype or indexing.",
            remedy="Pass a numpy, dask or zarr array.",
        )
    try:
        dtype: np.dtype[Any] = np.dtype(data.dtype)
    except TypeError as error:
        raise StackError(
            f"numpy does not know the dtype {data.dtype}.", remedy="Pass a numpy array."
        ) from error
    if dtype.kind == "c":
        raise StackError(
            f"The image is complex ({dtype}).",
            remedy="Pass its magnitude, numpy.abs(image), or its phase, numpy.angle(image).",
        )
    if dtype.kind not in "biuf":
        raise StackError(
            f"The image holds no numbers that can be shown (dtype {dtype}).",
            remedy="Convert it to integers or floats: image.astype('float32').",
        )
    return dtype


COLOUR_SIZES = (3, 4)
"""Lengths of a trailing axis that may hold the colours of a pixel: RGB and RGBA."""


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple of positive ints with two axes or more.

    Raises
    ------
    StackError
        For fewer than two axes, an axis of length zero or of unknown length, or more pixels than
        any array can have.
    """
    try:
        sizes = tuple(operator.index(size) for size in shape)
    except TypeError as error:
        raise StackError(
            f"The image has an axis of unknown length: its shape is {tuple(shape)}.",
            remedy="Give it a known shape first (dask: array.compute_chunk_sizes()).",
        ) from error
    if len(sizes) < 2:
        raise StackError(
            f"An image needs a Y and an X axis, this one has shape {sizes}.",
            remedy="Pass a 2D image or a stack of them.",
        )
    empty = [axis for axis, size in enumerate(sizes) if size < 1]
    if empty:
        raise StackError(
            f"The image holds no pixels: axis {empty[0]} of its shape {sizes} has length 0.",
            remedy="Choose an image with at least one pixel along every axis.",
        )
    if math.prod(sizes) > sys.maxsize:
        raise StackError(
            f"The image claims a shape of {sizes}, more pixels than any array can have.",
            remedy="The file is probably damaged: save the image again.",
        )
    return sizes


def normalise_axis(axis: int, ndim: int, *, what: str) -> int:
    """Return `axis` counted from the front.

    Raises
    ------
    StackError
        When it is no integer or outside the axes that there are.
    """
    try:
        number = operator.index(axis)
    except TypeError as error:
        raise StackError(
            f"The {what} must be the number of an axis, not {axis!r}.",
            remedy=f"Choose one of 0 to {ndim - 1}.",
        ) from error
    if not -ndim <= number < ndim:
        raise StackError(
            f"There is no axis {number} to be the {what}: the image has {ndim} axes.",
            remedy=f"Choose one of 0 to {ndim - 1}.",
        )
    return number % ndim


def has_colour_axis(shape: Sequence[int]) -> bool:
    """Return whether the last axis is probably the colours of pixels.

    It does when it has length 3 or 4 and both axes before it are longer than it.
    """
    return (
        len(shape) >= 3
        and shape[-1] in COLOUR_SIZES
        and all(size > shape[-1] for size in shape[-3:-1])
    )


MAX_CHANNELS = 3
"""Channels that are composed to a picture, at most."""


def check_region(region: Region | Sequence[int] | None, shape: tuple[int, int]) -> Region:
    """Check a region of frames of `shape` (Y, X); None is the whole frame.

    Raises
    ------
    StackError
        It is no (y0, x0, y1, x1) in whole pixels, or not inside the frame.
    """
    rows, columns = shape
    if region is None:
        return Region(0, 0, rows, columns)
    if isinstance(region, Region):
        corners: Sequence[int] = (region.y0, region.x0, region.y1, region.x1)
    else:
        corners = region
    try:
        y0, x0, y1, x1 = (operator.index(corner) for corner in corners)
    except (TypeError, ValueError) as error:
        raise StackError(
            f"The region {region!r} is no (y0, x0, y1, x1) in whole pixels.",
            remedy="Give the first row and column, and the row and column to end before.",
        ) from error
    if not (0 <= y0 < y1 <= rows and 0 <= x0 < x1 <= columns):
        raise StackError(
            f"The region of rows {y0} to {y1} and columns {x0} to {x1} is not inside the frame of "
            f"{rows} x {columns} pixels.",
            remedy="Choose a part of the frame with at least one pixel.",
        )
    return Region(y0, x0, y1, x1)


def check_channels(channels: Sequence[int] | None, length: int | None) -> tuple[int, ...]:
    """Return which of `length` channels are composed; by default the first three.

    Raises
    ------
    StackError
        There are no channels (`length` None), not so many, or none or too many are chosen.
    """
    if channels is None:
        return tuple(range(min(length or 1, MAX_CHANNELS)))
    if length is None:
        raise StackError(
            "Channels are chosen of an image that has no channel axis.",
            remedy="Say which axis holds them (channel_axis), or choose none.",
        )
    try:
        chosen = tuple(operator.index(channel) for channel in channels)
    except TypeError as error:
        raise StackError(
            f"The channels {channels!r} are no whole numbers.",
            remedy=f"Choose up to three of 0 to {length - 1}.",
        ) from error
    outside = [channel for channel in chosen if not 0 <= channel < length]
    if outside or not 1 <= len(chosen) <= MAX_CHANNELS:
        raise StackError(
            f"The channels {chosen} cannot be composed: the image has {length}, and a picture is "
            f"made of one to {MAX_CHANNELS}.",
            remedy=f"Choose up to three of 0 to {length - 1}.",
        )
    return chosen


def check_kind(kind: StackKind | str) -> StackKind:
    """Return the kind of frames of a name.

    Raises
    ------
    StackError
        There is no such kind.
    """
    try:
        return StackKind(kind)
    except ValueError:
        raise StackError(
            f"{kind!r} is no kind of stack.", remedy=f"Choose one of: {', '.join(StackKind)}."
        ) from None
