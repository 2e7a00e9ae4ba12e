"""Checks of what is chosen of an array: a part of its frames, some of its channels."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from napari_sam2.errors import StackError
from napari_sam2.types import Region

MAX_CHANNELS = 3
"""Channels that are composed to a picture, at most."""


def check_region(region: Region | Sequence[int] | None, shape: tuple[int, int]) -> Region:
    """Return which part of frames of `shape` (Y, X) is meant; None means all of it.

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
