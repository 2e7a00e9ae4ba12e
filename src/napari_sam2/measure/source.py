"""Labels and images as frames or volumes to measure, and what one step along each axis is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import MeasurementError
from napari_sam2.labels.array_storage import Labels, view_frame
from napari_sam2.labels.pixel_sizes import positive_sizes

_USUAL_AXES = {2: "YX", 3: "TYX", 4: "TZYX"}


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredStack:
    """The frames, or volumes, that are measured one by one.

    Attributes
    ----------
    labels : array of int, shape (T, Y, X) or (T, Z, Y, X)
        numpy, dask or zarr.
    images : tuple of array, each of the shape of the labels
        One per channel.
    channels : tuple of str
        Name of each channel; empty text where it has none.
    axes : str
        Letters of the labels' axes, such as "TYX"; the first leads from frame to frame.
    step : float or None
        Length of a step along the first axis; None if it is not known.
    spacing : tuple of float or None
        Size of a pixel along the other axes; None if it is not known.
    step_unit, unit : str
        Units of the two.
    """

    labels: Any
    images: tuple[Any, ...]
    channels: tuple[str, ...]
    axes: str
    step: float | None
    spacing: tuple[float, ...] | None
    step_unit: str
    unit: str

    @classmethod
    def of(
        cls,
        labels: Any,
        images: Any,
        *,
        scale: Sequence[float] | None,
        units: str | Sequence[str] | None,
        channels: Sequence[str] | None,
        axes: str | None,
        volumes: bool,
    ) -> MeasuredStack:
        """Check what a user gives; see `measure` for the parameters."""
        labels = _checked_labels(labels)
        axes = _checked_axes(axes, labels.ndim)
        sizes = _checked_scale(scale, labels.ndim)
        names = _checked_units(units, axes, known=sizes is not None)
        given = _channels_of(images, tuple(labels.shape))
        if channels is not None and len(channels) != len(given):
            raise MeasurementError(
                f"There are {len(channels)} channel name(s) for {len(given)} channel(s).",
                remedy="Give one name per channel of the image.",
            )
        # A channel without a name is called by its number.
        called = [name or str(at) for at, name in enumerate(channels or ())]
        if len(set(called)) < len(called):
            raise MeasurementError(
                f"Two channels have one name: {', '.join(called)}.",
                remedy="Give each channel a name of its own.",
            )
        if labels.ndim == 2 or (labels.ndim == 3 and volumes):
            labels = _Single(labels)
            given = tuple(_Single(image) for image in given)
            axes, names = "T" + axes, ("frame", *names)
            sizes = None if sizes is None else (1.0, *sizes)
            step = None
        else:
            step = None if sizes is None else sizes[0]
        return cls(
            labels,
            given,
            tuple(channels) if channels is not None else ("",) * len(given),
            axes,
            step,
            None if sizes is None else sizes[1:],
            names[0],
            names[-1],
        )

    @property
    def n_frames(self) -> int:
        """Number of frames or volumes."""
        return int(self.labels.shape[0])

    @property
    def in_time(self) -> bool:
        """Whether the first axis is time."""
        return self.axes[0] == "T"

    def frame(self, number: int) -> Labels:
        """Return the labels of a frame, (Y, X), or volume, (Z, Y, X)."""
        return view_frame(self.labels, number)

    def image(self, number: int) -> NDArray[Any] | None:
        """Return the intensities of a frame, its shape and (C,); None without images.

        Raises
        ------
        Exception
            Whatever the storage of the image raises.
        """
        if not self.images:
            return None
        return np.stack([np.asarray(image[number]) for image in self.images], axis=-1)


class _Single:
    """An array as the only frame of a stack."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape = (1, *array.shape)
        self.dtype = array.dtype

    def __getitem__(self, frame: int) -> Any:
        return self._array[...]


def _checked_labels(labels: Any) -> Any:
    labels = labels if hasattr(labels, "dtype") and hasattr(labels, "ndim") else np.asarray(labels)
    if np.dtype(labels.dtype).kind not in "biu":
        raise MeasurementError(
            f"Labels are whole numbers, not {labels.dtype}.",
            remedy="Give the label image; the intensities are the second image.",
        )
    if labels.ndim not in _USUAL_AXES or 0 in labels.shape:
        raise MeasurementError(
            f"Labels of shape {tuple(labels.shape)} cannot be measured.",
            remedy="Give labels (Y, X), (T, Y, X), (Z, Y, X) or (T, Z, Y, X).",
        )
    return labels


def _checked_axes(axes: str | None, ndim: int) -> str:
    letters = _USUAL_AXES[ndim] if axes is None else axes.upper()
    known = set(letters) <= set("TZYX") and len(set(letters)) == len(letters) == ndim
    if not known or not letters.endswith("YX"):
        raise MeasurementError(
            f"The axes {axes!r} do not describe labels of {ndim} axes.",
            remedy="Give one letter of T, Z, Y, X per axis, Y and X last.",
        )
    return letters


def _checked_scale(scale: Sequence[float] | None, ndim: int) -> tuple[float, ...] | None:
    if scale is None:
        return None
    sizes = positive_sizes(scale, ndim)
    if sizes is None:
        raise MeasurementError(
            f"The scale {scale!r} does not fit labels of {ndim} axes.",
            remedy="Give one positive size per axis, or none to measure in pixels.",
        )
    return sizes


def _checked_units(units: str | Sequence[str] | None, axes: str, *, known: bool) -> tuple[str, ...]:
    if not known:
        return tuple("frame" if letter == "T" else "pixel" for letter in axes)
    if units is None:
        return ("unit",) * len(axes)
    if isinstance(units, str):
        return tuple("time unit" if letter == "T" else units for letter in axes)
    names = tuple(str(unit) for unit in units)
    if len(names) != len(axes):
        raise MeasurementError(
            f"There are {len(names)} units for {len(axes)} axes.",
            remedy="Give one unit per axis of the labels, or one for all lengths.",
        )
    if len(set(names[-2:])) > 1 or (axes[-3:-2] == "Z" and names[-3] != names[-1]):
        raise MeasurementError(
            f"Lengths in the units {', '.join(names)} cannot be combined.",
            remedy="Give the scale of all axes in space in the same unit.",
        )
    return names


def _channels_of(images: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    if images is None:
        return ()
    if isinstance(images, list | tuple):
        return tuple(channel for image in images for channel in _channels_of(image, shape))
    image = images if hasattr(images, "dtype") and hasattr(images, "ndim") else np.asarray(images)
    if np.dtype(image.dtype).kind not in "biuf":
        raise MeasurementError(
            f"Intensities of {image.dtype} cannot be measured.",
            remedy="Give an image of real numbers.",
        )
    found = tuple(image.shape)
    if found == shape:
        return (image,)
    for axis in reversed(range(len(found))):
        if len(found) == len(shape) + 1 and found[:axis] + found[axis + 1 :] == shape:
            return tuple(_Channel(image, axis, number) for number in range(found[axis]))
    raise MeasurementError(
        f"The image has the shape {found}, the labels {shape}.",
        remedy="Give an image of the labels' shape, with an axis of channels at most.",
    )


class _Channel:
    """One channel of an image, read frame by frame."""

    def __init__(self, image: Any, axis: int, number: int) -> None:
        self._image, self._axis, self._number = image, axis, number
        self.shape = tuple(size for at, size in enumerate(image.shape) if at != axis)
        self.dtype = image.dtype

    def __getitem__(self, frame: Any) -> Any:
        place: list[Any] = [slice(None)] * (len(self.shape) + 1)
        place[self._axis] = self._number
        if frame is not Ellipsis:
            place[0 if self._axis else 1] = frame
        return self._image[tuple(place)]
