"""Checks of an array's shape and axis numbers that the whole room shares."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from napari_sam2.errors import StackError

COLOUR_SIZES = (3, 4)
"""Lengths of a trailing axis that may hold the colours of a pixel: RGB and RGBA."""


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple of positive ints with two axes or more.

    Raises
    ------
    StackError
        For fewer than two axes, an axis of length zero or of unknown length.
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
    """Say whether the last axis looks like the colours of pixels.

    It does when it has length 3 or 4 and both axes before it are longer than it.
    """
    return (
        len(shape) >= 3
        and shape[-1] in COLOUR_SIZES
        and all(size > shape[-1] for size in shape[-3:-1])
    )
