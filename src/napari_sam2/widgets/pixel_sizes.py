"""Axes and pixel sizes of an image layer, as files of labels carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.widgets.geometry import spatial_shape
from napari_sam2.widgets.image_choice import axis_names

if TYPE_CHECKING:
    from napari.layers import Image

_UNITS = {"Z": "micrometer", "Y": "micrometer", "X": "micrometer", "T": "second"}
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

    A layer that says nothing of units has sizes of 1; others without units are taken as said.

    Returns
    -------
    tuple of float, or None
        None where nothing is known.
    """
    scale = [abs(float(size)) for size in image.scale[-len(axes) :]]
    units = tuple(image.units)[-len(axes) :]
    sizes = tuple(
        _in_unit(size, unit, _UNITS.get(letter))
        for size, unit, letter in zip(scale, units, axes, strict=True)
    )
    plain = all(size == 1 for size in scale) and all(_is_plain(unit) for unit in units)
    return None if plain or not all(size > 0 for size in sizes) else sizes


def _in_unit(size: float, unit: Any, wanted: str | None) -> float:
    if wanted is None or _is_plain(unit):
        return size
    quantity = size * unit
    return float(quantity.to(wanted).magnitude) if quantity.is_compatible_with(wanted) else size


def _is_plain(unit: Any) -> bool:
    return str(unit) in ("pixel", "dimensionless", "")
