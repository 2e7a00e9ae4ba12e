"""Axes, channels and pixel sizes of image layers.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_sam2.stack import ChannelStack, axis_letter, guess_axes, kind_along
from napari_sam2.types import Region, StackKind
from napari_sam2.widgets.layers.geometry import full_resolution, spatial_shape, unit_factors
from napari_sam2.widgets.state.image_source import ChannelChoice, ImageSource

if TYPE_CHECKING:
    from napari import Viewer


_USUAL_CHANNELS = 6
_UNITS = {"t": "frames", "z": "slices"}


def image_layers(viewer: Viewer) -> list[Image]:
    """Return the image layers of a viewer in the order of its list, topmost first."""
    return [layer for layer in reversed(viewer.layers) if isinstance(layer, Image)]


def preferred_image(viewer: Viewer, current: Image | None) -> Image | None:
    """Choose an image layer: the current one if it is still there, else active, else topmost."""
    images = image_layers(viewer)
    active = viewer.layers.selection.active
    for wanted in (current, active):
        if wanted is not None and any(image is wanted for image in images):
            return wanted
    return images[0] if images else None


def video_axes(image: Image, composed: int | None = None) -> list[tuple[str, int | None]]:
    """List the axes of an image that can be the video, each with a title.

    The axis whose channels are composed is none of them.
    """
    shape = spatial_shape(image)
    axes = [axis for axis in range(len(shape) - 2) if axis != composed]
    if not axes:
        return [("none: a single image", None)]
    return [(_title(image, axis, shape[axis]), axis) for axis in axes]


def other_axes(
    image: Image, axis: int | None, composed: int | None = None
) -> list[tuple[str, int]]:
    """List the axes of an image that are neither the video nor rows and columns: name and number.

    Those of length 1 lead nowhere, and channels are no volumes of one another.
    """
    shape = spatial_shape(image)
    if axis is None:
        return []
    found = [i for i in range(len(shape) - 2) if i not in (axis, composed) and shape[i] > 1]
    return [(axis_name(image, i), i) for i in found if axis_letter(axis_names(image)[i]) != "c"]


def own_channels(image: Image, axis: int | None) -> list[tuple[str, int]]:
    """List the channels along a slider of an image, each with a title."""
    count = 0 if axis is None else spatial_shape(image)[axis]
    return [(f"channel {channel}", channel) for channel in range(count)]


def axis_name(image: Image, axis: int) -> str:
    """Return the name of an axis: the user's, or which one it is, with napari's name of it."""
    return axis_names(image)[axis] or f"axis {axis} (slider {image.axis_labels[axis]})"


def frame_word(image: Image, axis: int | None) -> str:
    """Return what the positions along an axis are called: slices or frames."""
    name = "" if axis is None else axis_names(image)[axis]
    return _UNITS.get(axis_letter(name), "frames")


def kind_of_frames(image: Image, axis: int | None) -> StackKind:
    """Tell what frames along an axis are, where its name or its unit says so."""
    if axis is None:
        return StackKind.UNKNOWN
    kind = kind_along(axis_names(image)[axis])
    timed = kind is StackKind.UNKNOWN and (1 * image.units[axis]).is_compatible_with("second")
    return StackKind.TIME_LAPSE if timed else kind


def guess_video_axis(image: Image, composed: int | None = None) -> int | None:
    """Guess the video axis of an image from its axis labels and shape; None for a single image.

    It is not the axis whose channels are composed.
    """
    shape = spatial_shape(image)
    # A frame is what napari shows: the last two axes, whatever they are called.
    leading = [axis for axis in range(len(shape) - 2) if axis != composed]
    if not leading:
        return None
    video = guess_axes(shape, labels=axis_names(image)).video
    return video if video in leading else leading[0]


def channel_axis(image: Image) -> int | None:
    """Return which slider of an image is called channels; None if none is."""
    names = axis_names(image)
    called = [axis for axis in _sliders(image) if axis_letter(names[axis]) == "c"]
    return called[-1] if called else None


def nameless_sliders(image: Image) -> list[tuple[str, int]]:
    """List the sliders of an image that may hold channels, as far as can be told: name and number.

    Where any slider has a name there is none: it would have been called so. A slider of more
    positions than there are usually channels is none either.
    """
    if any(axis_names(image)[:-2]):
        return []
    shape = spatial_shape(image)
    return [(axis_name(image, i), i) for i in _sliders(image) if shape[i] <= _USUAL_CHANNELS]


def axis_names(image: Image) -> list[str]:
    """Return the user's axis labels; empty where napari only counts the axes."""
    labels: tuple[Any, ...] = image.axis_labels
    return ["" if str(label).lstrip("-").isdigit() else str(label) for label in labels]


def _sliders(image: Image) -> list[int]:
    """Return the axes of an image that have a slider; colours take the place of channels."""
    shape = spatial_shape(image)
    return [] if image.rgb else [axis for axis in range(len(shape) - 2) if shape[axis] > 1]


def _title(image: Image, axis: int, size: int) -> str:
    """Name an axis as napari's slider does, with its number and its length."""
    own, number, unit = image.axis_labels[axis], f"axis {axis}", frame_word(image, axis)
    name = f"{own}, {number}" if axis_names(image)[axis] else f"{number}, slider {own}"
    return f"{name} ({size} {unit})"


_LENGTH_UNITS = {"Z": "micrometer", "Y": "micrometer", "X": "micrometer", "T": "second"}
_SPARE = "ZTC"


def file_axes(image: Image, video: int | None) -> str:
    """Name every axis of an image by one letter of T, C and Z, then Y and X.

    The names of the layer's axes count where they are such letters. The video axis of a nameless
    image is Z, the next one T, then C.
    """
    names = axis_names(image)[: len(spatial_shape(image)) - 2]
    letters = [name[:1].upper() for name in names]
    letters = [
        letter if letter in _SPARE and letters.index(letter) == i else ""
        for i, letter in enumerate(letters)
    ]
    spare = [letter for letter in _SPARE if letter not in letters]
    nameless = [i for i, letter in enumerate(letters) if not letter]
    nameless.sort(key=lambda i: (i != video, -i))
    for i, letter in zip(nameless, spare, strict=False):
        letters[i] = letter
    return "".join(letters) + "YX"


def pixel_sizes(image: Image, axes: str) -> tuple[float, ...] | None:
    """Return the pixel size along each axis, micrometres in space and seconds in time.

    A layer without scale and units has sizes of 1; a scale without units is taken as it is, and
    `pixel_units` tells that its unit is unknown.

    Returns
    -------
    tuple of float, or None
        None where nothing is known.
    """
    scale = [abs(float(size)) for size in image.scale[-len(axes) :]]
    units = tuple(image.units)[-len(axes) :]
    sizes = tuple(
        _in_unit(size, unit, _LENGTH_UNITS.get(letter))
        for size, unit, letter in zip(scale, units, axes, strict=True)
    )
    plain = all(size == 1 for size in scale) and all(_is_plain(unit) for unit in units)
    return None if plain or not all(size > 0 for size in sizes) else sizes


def pixel_units(image: Image, axes: str) -> tuple[str, ...]:
    """Return the unit of each size of `pixel_sizes`; "" where the layer names none."""
    units = tuple(image.units)[-len(axes) :]
    wanted = [_LENGTH_UNITS.get(letter, "") for letter in axes]
    return tuple(
        name if name and not _is_plain(unit) and (1 * unit).is_compatible_with(name) else ""
        for name, unit in zip(wanted, units, strict=True)
    )


def _in_unit(size: float, unit: Any, wanted: str | None) -> float:
    if wanted is None or _is_plain(unit):
        return size
    quantity = size * unit
    return float(quantity.to(wanted).magnitude) if quantity.is_compatible_with(wanted) else size


def _is_plain(unit: Any) -> bool:
    return str(unit) in ("pixel", "dimensionless", "")


def image_source_of(
    image: Image,
    others: Sequence[Image] = (),
    region: Region | None = None,
    picked: ChannelChoice | None = None,
) -> ImageSource:
    """Return what the model sees of image layers, in their contrast of now. Main thread only.

    Parameters
    ----------
    image : Image
    others : sequence of Image
        Up to two further channels; see `may_join`.
    region : Region, optional
    picked : ChannelChoice, optional
        Channels of `image` to compose instead of `others`.
    """
    if picked is not None:
        data = full_resolution(image)
        return ImageSource((data,), data, picked.axis, None, region, picked.channels)
    layers = (image, *others)
    channels = tuple(full_resolution(layer) for layer in layers)
    if image.rgb:
        return ImageSource(channels, channels[0], image.ndim, None, region)
    limits = tuple((float(low), float(high)) for low, high in (x.contrast_limits for x in layers))
    if len(channels) == 1:
        return ImageSource(channels, channels[0], None, limits, region)
    composed = ChannelStack(*channels)
    further = tuple(layer.name for layer in others)
    return ImageSource(channels, composed, composed.channel_axis, limits, region, further=further)


def may_join(image: Image, other: Image) -> bool:
    """Tell whether a layer can be another channel of an image: it lies pixel on pixel over it."""
    if other is image or image.rgb or other.rgb or spatial_shape(image) != spatial_shape(other):
        return False
    # Both transforms are affine: the first pixel and one step along each axis tell them apart.
    corners = (np.zeros(image.ndim), *np.eye(image.ndim))
    factors = unit_factors(other.units, image.units)
    return all(
        np.allclose(image.data_to_world(c), factors * np.asarray(other.data_to_world(c)))
        for c in corners
    )
