"""`Layout`: the roles of an array's axes, and the index of one frame."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import StackError
from napari_sam2.stack.validation import (
    COLOUR_SIZES,
    MAX_CHANNELS,
    check_channels,
    check_region,
    check_shape,
    has_colour_axis,
    normalise_axis,
)
from napari_sam2.types import Region

ChannelAxis = int | Literal["auto"] | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The role of every axis of an array.

    Attributes
    ----------
    shape : tuple of int
        Shape of the array.
    video : int or None
        The axis of the frames; None for a single frame.
    y, x : int
        Rows and columns of a frame.
    channel : int or None
        The axis of the channels.
    channels : tuple of int
        Channels that are composed, one to three, in this order; (0,) without a channel axis.
    region : Region
        Rows and columns that make a frame.
    held : tuple of (int, int)
        The other axes and the position at which each is held.
    """

    shape: tuple[int, ...]
    video: int | None
    y: int
    x: int
    channel: int | None
    channels: tuple[int, ...]
    region: Region
    held: tuple[tuple[int, int], ...]

    @property
    def n_frames(self) -> int:
        """Frames along the video axis."""
        return 1 if self.video is None else self.shape[self.video]

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.region.shape

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the array, of which a frame may be a part."""
        return self.shape[self.y], self.shape[self.x]

    @property
    def n_channels(self) -> int:
        """Channels that are composed, 1 to 3."""
        return len(self.channels)

    @property
    def is_colour(self) -> bool:
        """Return whether the channels are colours of a pixel: a last axis of length 3 or 4."""
        last = len(self.shape) - 1
        return self.channel == last and self.shape[last] in COLOUR_SIZES

    def index(self, frame: int, steps: tuple[int, int] = (1, 1)) -> tuple[int | slice, ...]:
        """Return the array index of a frame, or of every n-th row and column of it."""
        where: list[int | slice] = [slice(None)] * len(self.shape)
        for axis, position in self.held:
            where[axis] = position
        if self.video is not None:
            where[self.video] = frame
        if self.channel is not None:
            where[self.channel] = slice(min(self.channels), max(self.channels) + 1)
        for axis, part, step in zip((self.y, self.x), self.region.slices, steps, strict=True):
            where[axis] = slice(part.start, part.stop, step)
        return tuple(where)

    def compose(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels (Y, X, channels) of an array that was read with `index`."""
        if self.channel is None:
            return (pixels.T if self.y > self.x else pixels)[..., np.newaxis]
        last = np.moveaxis(pixels, self.read_axes.index(self.channel), -1)
        if self.y > self.x:
            last = last.swapaxes(0, 1)
        first, count = min(self.channels), last.shape[-1]
        order = [channel - first for channel in self.channels]
        return last if order == list(range(count)) else last[..., order]

    @property
    def read_axes(self) -> tuple[int, ...]:
        """The axes that an indexed frame keeps, in their order: Y, X and the channels."""
        kept = (self.y, self.x) if self.channel is None else (self.y, self.x, self.channel)
        return tuple(sorted(kept))


def find_layout(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    axis: int | None,
    channel_axis: ChannelAxis,
    at: Mapping[int, int],
    channels: Sequence[int] | None = None,
    region: Region | Sequence[int] | None = None,
    transposed: bool = False,
) -> Layout:
    """Assign a role to every axis of an array.

    Of the axes that are neither channels nor named in `at`, `axis` is the video and the last two
    others are Y and X, or X and Y if `transposed`. Any more must be of length 1. Where only two
    are left there is one frame.

    Raises
    ------
    StackError
        When the shape or the choice of axes leaves no frames, or leaves open where a further axis
        is held.
    """
    sizes = check_shape(shape)
    held = _held_axes(at, sizes)
    video = None if axis is None else normalise_axis(axis, len(sizes), what="video axis")
    channel = _find_channel(
        sizes, dtype, channel_axis, taken={video, *held}, chosen=channels is not None
    )
    free = [a for a in range(len(sizes)) if a != channel and a not in held]
    if len(free) == 2 and axis == 0:
        video = None  # nobody means the default where there are just Y and X
    _check_roles(sizes, video=video, channel=channel, held=held, free=free)
    y, x = [a for a in free if a != video][-2:]
    further = [a for a in free if a not in (video, y, x)]
    _check_further(sizes, further)
    held |= dict.fromkeys(further, 0)
    if transposed:
        y, x = x, y
    return Layout(
        shape=sizes,
        video=video,
        y=y,
        x=x,
        channel=channel,
        channels=check_channels(channels, None if channel is None else sizes[channel]),
        region=check_region(region, (sizes[y], sizes[x])),
        held=tuple(sorted(held.items())),
    )


def _check_further(sizes: tuple[int, ...], further: list[int]) -> None:
    """Raise StackError if an axis is longer than 1 and no position on it is given."""
    longer = [axis for axis in further if sizes[axis] > 1]
    if not longer:
        return
    positions = ", ".join(f"{axis}: 0" for axis in longer)
    raise StackError(
        f"Of the shape {sizes}, {'axis' if len(longer) == 1 else 'axes'} "
        f"{', '.join(map(str, longer))} must be held at one position each, and no position is "
        "given.",
        remedy=f"Choose where, such as at={{{positions}}}, or another video axis.",
    )


def _held_axes(at: Mapping[int, int], sizes: tuple[int, ...]) -> dict[int, int]:
    held: dict[int, int] = {}
    for given, position in at.items():
        axis = normalise_axis(given, len(sizes), what="axis in `at`")
        try:
            held[axis] = operator.index(position)
        except TypeError as error:
            raise StackError(
                f"The position {position!r} on axis {axis} is no whole number.",
                remedy=f"Choose one of 0 to {sizes[axis] - 1}.",
            ) from error
        if not 0 <= held[axis] < sizes[axis]:
            raise StackError(
                f"Position {position} is outside axis {axis}, which has length {sizes[axis]}.",
                remedy=f"Choose one of 0 to {sizes[axis] - 1}.",
            )
    return held


def _find_channel(
    sizes: tuple[int, ...],
    dtype: np.dtype[Any],
    channel_axis: ChannelAxis,
    *,
    taken: set[int | None],
    chosen: bool,
) -> int | None:
    if channel_axis is None:
        return None
    last = len(sizes) - 1
    if channel_axis == "auto":
        # Labels and differences have other dtypes; pictures in colour have these.
        pictured = dtype in (np.uint8, np.uint16) or dtype.kind == "f"
        return last if pictured and last not in taken and has_colour_axis(sizes) else None
    channel = normalise_axis(channel_axis, len(sizes), what="channel axis")
    colours = channel == last and sizes[channel] in COLOUR_SIZES
    if sizes[channel] > MAX_CHANNELS and not (chosen or colours):
        raise StackError(
            f"Axis {channel} has {sizes[channel]} channels; a frame is composed of three at most.",
            remedy="Choose the one to three channels to look at, such as channels=(0, 2).",
        )
    return channel


def _check_roles(
    sizes: tuple[int, ...],
    *,
    video: int | None,
    channel: int | None,
    held: Mapping[int, int],
    free: list[int],
) -> None:
    if channel is not None and channel in held:
        raise StackError(
            f"Axis {channel} cannot be both the channel axis and held at one position.",
            remedy="Leave it out of `at`, or pass channel_axis=None.",
        )
    if len(free) < 2:
        raise StackError(
            f"Of the shape {sizes} no two axes are left for Y and X.",
            remedy="Choose fewer axes as channels or fixed positions.",
        )
    if video is None or (video in free and len(free) > 2):
        return
    use = "one of Y and X" if video in free else "held at one position"
    raise StackError(
        f"Axis {video} of the shape {sizes} cannot be the video axis: it is "
        f"{'the channel axis' if video == channel else use}.",
        remedy="Choose another axis, axis=None for a single frame, or another channel_axis.",
    )
