"""What the model sees of an image: its channels, their contrast, a part of its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.stack import ChannelStack, FrameStack
from napari_sam2.types import Region
from napari_sam2.widgets.geometry import full_resolution, spatial_shape

if TYPE_CHECKING:
    from napari.layers import Image

Limits = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
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
    """

    channels: tuple[Any, ...]
    data: Any
    channel_axis: int | None
    contrast: Limits | None
    region: Region | None
    picked: tuple[int, ...] | None = None
    further: tuple[str, ...] = ()

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
        )

    def same_as(self, other: Sight) -> bool:
        """Tell whether the same pixels are seen in the same way."""
        same = len(self.channels) == len(other.channels)
        same = same and all(a is b for a, b in zip(self.channels, other.channels, strict=True))
        same = same and (self.composed, self.picked) == (other.composed, other.picked)
        return same and (self.contrast, self.region) == (other.contrast, other.region)


@dataclass(frozen=True, slots=True)
class Picked:
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


def look(
    image: Image,
    others: Sequence[Image] = (),
    region: Region | None = None,
    picked: Picked | None = None,
) -> Sight:
    """Say what is to be seen of image layers, in their contrast of now. Main thread only.

    Parameters
    ----------
    image : Image
    others : sequence of Image
        Up to two further channels; see `may_join`.
    region : Region, optional
    picked : Picked, optional
        Channels of `image` to compose instead of `others`.
    """
    if picked is not None:
        data = full_resolution(image)
        return Sight((data,), data, picked.axis, None, region, picked.channels)
    layers = (image, *others)
    channels = tuple(full_resolution(layer) for layer in layers)
    if image.rgb:
        return Sight(channels, channels[0], image.ndim, None, region)
    limits = tuple((float(low), float(high)) for low, high in (x.contrast_limits for x in layers))
    if len(channels) == 1:
        return Sight(channels, channels[0], None, limits, region)
    composed = ChannelStack(*channels)
    further = tuple(layer.name for layer in others)
    return Sight(channels, composed, composed.channel_axis, limits, region, further=further)


def may_join(image: Image, other: Image) -> bool:
    """Tell whether a layer can be another channel of an image: it lies pixel on pixel over it."""
    if other is image or image.rgb or other.rgb or spatial_shape(image) != spatial_shape(other):
        return False
    # Both transforms are affine: the first pixel and one step along each axis tell them apart.
    corners = (np.zeros(image.ndim), *np.eye(image.ndim))
    return all(np.allclose(image.data_to_world(c), other.data_to_world(c)) for c in corners)
