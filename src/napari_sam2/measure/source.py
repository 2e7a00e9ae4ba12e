"""Labels and images as frames or volumes to measure, and what one step along each axis is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import MeasurementError
from napari_sam2.labels.array_storage import Labels, view_ids
from napari_sam2.labels.pixel_sizes import positive_sizes
from napari_sam2.stack import ArrayView

_CHANNELS = "CS"
_USUAL_AXES = {2: "YX", 3: "TYX", 4: "TZYX"}


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredStack:
    """The frames, or volumes, that are measured one by one.

    Attributes
    ----------
    labels : array of int, shape (frames, rows, columns) or (T, Z, Y, X)
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
        image_axes: str | None,
        volumes: bool,
    ) -> MeasuredStack:
        """Check the arguments of `measure`."""
        labels = _checked_labels(labels)
        axes = _checked_axes(axes, labels.ndim, volumes=volumes)
        single = labels.ndim == 2 or (labels.ndim == 3 and volumes)
        sizes = _checked_scale(scale, labels.ndim)
        names = _checked_units(units, axes, 0 if single else 1, known=sizes is not None)
        given = _channels_of(images, tuple(labels.shape), axes, image_axes)
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
        if single:
            order = (None, *range(labels.ndim))
            labels = ArrayView(labels, order)
            given = tuple(ArrayView(image, order) for image in given)
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
        """Return the labels of a frame, (Y, X), or volume, (Z, Y, X).

        Raises
        ------
        LabelsError
            They cannot be read, or an id does not fit into 64 bit with a sign.
        """
        return view_ids(self.labels, number)

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


def _checked_axes(axes: str | None, ndim: int, *, volumes: bool) -> str:
    usual = "ZYX" if volumes and ndim == 3 else _USUAL_AXES[ndim]
    letters = usual if axes is None else axes.upper()
    known = set(letters) <= set("TZYX") and len(set(letters)) == len(letters) == ndim
    if not known or "T" in letters[1:]:
        raise MeasurementError(
            f"The axes {axes!r} do not describe labels of {ndim} axes.",
            remedy="Give one letter of T, Z, Y, X per axis; the first one leads from frame to "
            "frame, and T can only be the first.",
        )
    if volumes and ndim == 3 and letters[0] == "T":
        raise MeasurementError(
            f"Labels of the axes {letters} are no volume: they have no axis Z.",
            remedy="Measure them frame by frame, or name the axes Z, Y, X.",
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


def _checked_units(
    units: str | Sequence[str] | None, axes: str, leading: int, *, known: bool
) -> tuple[str, ...]:
    """Return a unit per axis; those after the leading ones, of a frame or volume, are the same."""
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
    if len(set(names[leading:])) > 1:
        raise MeasurementError(
            f"Lengths in the units {', '.join(names)} cannot be combined.",
            remedy="Give the scale of all axes in space in the same unit.",
        )
    return names


def _channels_of(
    images: Any, shape: tuple[int, ...], axes: str, image_axes: str | None
) -> tuple[Any, ...]:
    if images is None:
        return ()
    if isinstance(images, list | tuple):
        return tuple(
            channel for image in images for channel in _channels_of(image, shape, axes, image_axes)
        )
    image = images if hasattr(images, "dtype") and hasattr(images, "ndim") else np.asarray(images)
    if np.dtype(image.dtype).kind not in "biuf":
        raise MeasurementError(
            f"Intensities of {image.dtype} cannot be measured.",
            remedy="Give an image of real numbers.",
        )
    if image_axes is not None:
        return _named_channels(image, shape, axes, image_axes.upper())
    found = tuple(image.shape)
    if found == shape:
        return (image,)
    fitting = [
        axis
        for axis in range(len(found))
        if len(found) == len(shape) + 1 and found[:axis] + found[axis + 1 :] == shape
    ]
    if len(fitting) > 1:
        raise MeasurementError(
            f"Each of the axes {', '.join(map(str, fitting))} of an image of shape {found} could "
            f"be its channels: the labels have the shape {shape}.",
            remedy="Name its axes with image_axes, such as image_axes='CTYX'.",
        )
    if fitting:
        return _split(image, fitting[0], [at for at in range(len(found)) if at != fitting[0]])
    raise MeasurementError(
        f"The image has the shape {found}, the labels {shape}.",
        remedy="Give an image of the labels' shape, with an axis of channels at most.",
    )


def _named_channels(
    image: Any, shape: tuple[int, ...], axes: str, image_axes: str
) -> tuple[Any, ...]:
    """Return the channels of an image whose axes have letters, each in the axes of the labels."""
    found = tuple(image.shape)
    if len(image_axes) != len(found):
        raise MeasurementError(
            f"The axes {image_axes!r} do not describe an image of {len(found)} axes.",
            remedy="Give one letter per axis of the image.",
        )
    missing = [letter for letter in axes if image_axes.count(letter) != 1]
    order = [] if missing else [image_axes.index(letter) for letter in axes]
    further = [at for at in range(len(found)) if at not in order and found[at] > 1]
    channels = [at for at in further if image_axes[at] in _CHANNELS]
    if missing or further != channels or len(channels) > 1:
        raise MeasurementError(
            f"The image has the axes {image_axes} of shape {found}, the labels {axes} of shape "
            f"{shape}: besides axes of channels, C or S, both must have the same ones.",
            remedy="Hold other axes at one position (in the command: --at T=0), or name the axes "
            "as they are (--axes names those of the labels).",
        )
    if tuple(found[at] for at in order) != shape:
        raise MeasurementError(
            f"Along {axes}, the image has the shape {tuple(found[at] for at in order)}, the "
            f"labels {shape}.",
            remedy="Give the image that the labels belong to.",
        )
    rest = [at for at in range(len(found)) if at not in order and at not in channels]
    if not channels and not rest and order == sorted(order):
        return (image,)
    return _split(image, channels[0] if channels else None, order)


def _split(image: Any, channel: int | None, order: Sequence[int]) -> tuple[ArrayView, ...]:
    """View every channel of an image with its axes in this order; other axes are of length 1."""
    others = dict.fromkeys((at for at in range(len(image.shape)) if at not in order), 0)
    if channel is None:
        return (ArrayView(image, order, others),)
    count = image.shape[channel]
    return tuple(ArrayView(image, order, others | {channel: at}) for at in range(count))
