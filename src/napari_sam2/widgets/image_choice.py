"""Which image layers can be segmented, and along which axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_sam2.stack import axis_letter, guess_axes
from napari_sam2.widgets.geometry import spatial_shape

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
    return [(_title(axis_name(image, axis), shape[axis]), axis) for axis in axes]


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
    """Return the name of an axis: the user's, or which one it is."""
    return axis_names(image)[axis] or f"axis {axis}"


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

    Where the user has named any axis there is none: it would have been called so. A slider of
    more positions than there are usually channels is none either.
    """
    if any(axis_names(image)):
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


def _title(name: str, size: int) -> str:
    unit = _UNITS.get(axis_letter(name), "frames")
    return f"{name} ({size} {unit})"
