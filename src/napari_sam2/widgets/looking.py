"""Reads what is seen of image layers as an image source. Main thread only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.stack import ChannelStack
from napari_sam2.types import Region
from napari_sam2.widgets.geometry import full_resolution, spatial_shape
from napari_sam2.widgets.sight import Picked, Sight

if TYPE_CHECKING:
    from napari.layers import Image


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
