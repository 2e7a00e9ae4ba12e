"""The pixels that the model sees: channels, contrast, region. Frozen values, any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_sam2.stack import FrameStack
from napari_sam2.types import Region, StackKind

Limits = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ImageSource:
    """Pixels and how they are looked at; free of layers, so that any thread may look.

    Attributes
    ----------
    channels : tuple of array-like
        The arrays of the channels, as they lie; one RGB array counts as one.
    data : array-like
        All of them as one array.
    channel_axis : int or None
        Of `data`; None for one grey channel.
    picked : tuple of int, or None
        Which channels along this axis are seen, of one layer that holds them all; None: all.
    contrast : tuple of (low, high), or None
        Intensities shown as black and white, for each channel. None for RGB, and for channels
        of one layer, which has but one contrast: each has its own, measured over the stack.
    region : Region or None
        The part of the frames that is seen; None for all.
    further : tuple of str
        Names of the layers that the channels after the first are of.
    kind : StackKind
        What the frames along the video axis are.
    """

    channels: tuple[Any, ...]
    data: Any
    channel_axis: int | None
    contrast: Limits | None
    region: Region | None
    picked: tuple[int, ...] | None = None
    further: tuple[str, ...] = ()
    kind: StackKind = StackKind.UNKNOWN

    @property
    def composed(self) -> int | None:
        """The slider of the image whose channels are composed; None where none is."""
        return None if self.picked is None else self.channel_axis

    def stack(self, axis: int | None, at: Mapping[int, int]) -> FrameStack:
        """Return the frames along an axis, with others held (see `FrameStack`)."""
        return FrameStack(
            self.data,
            axis,
            channel_axis=self.channel_axis,
            contrast=self.contrast,
            at={axis: index for axis, index in at.items() if axis != self.composed},
            channels=self.picked,
            region=self.region,
            kind=self.kind,
        )

    def same_as(self, other: ImageSource) -> bool:
        """Tell whether the same pixels are seen in the same way."""
        same = len(self.channels) == len(other.channels)
        same = same and all(a is b for a, b in zip(self.channels, other.channels, strict=True))
        same = same and (self.composed, self.picked) == (other.composed, other.picked)
        same = same and self.kind is other.kind
        return same and (self.contrast, self.region) == (other.contrast, other.region)


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    """Channels of one layer that are composed.

    Attributes
    ----------
    axis : int
        The slider that they are along.
    channels : tuple of int
        One to three: red, green and blue.
    """

    axis: int
    channels: tuple[int, ...]
