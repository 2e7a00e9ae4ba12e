"""What results are made of: labels, intensities, pixel sizes and frames of the stack in view.

Made on the main thread; the arrays may then be read from any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.stack import axis_letter
from napari_sam2.widgets.layers.geometry import full_resolution, spatial_shape, stack_view
from napari_sam2.widgets.layers.image_axes import (
    axis_names,
    file_axes,
    pixel_sizes,
    pixel_units,
)

if TYPE_CHECKING:
    from napari_sam2.stack import FrameStack
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.state.positions import StackPosition


class PixelFrames:
    """One channel of an image, read frame by frame in the axes of the labels.

    Parameters
    ----------
    array : array-like
        numpy, dask or zarr.
    first : int or None
        Axis of the array that leads from frame to frame; None for a single frame.
    held : mapping of int to int
        Index along each axis that is held.
    """

    def __init__(self, array: Any, first: int | None, held: dict[int, int]) -> None:
        self._array, self._first, self._held = array, first, held
        rest = [n for i, n in enumerate(array.shape) if i != first and i not in held]
        self.shape = (1 if first is None else int(array.shape[first]), *map(int, rest))
        self.dtype = np.dtype(array.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, frame: int) -> NDArray[Any]:
        index: list[Any] = [slice(None)] * len(self._array.shape)
        for axis, at in self._held.items():
            index[axis] = at
        if self._first is not None:
            index[self._first] = frame
        return np.asarray(self._array[tuple(index)])


@dataclass(frozen=True, slots=True, eq=False)
class StackResult:
    """The labels of a stack, or of all volumes of a time-lapse, and what belongs to them.

    Attributes
    ----------
    labels : array of int, shape (T, Y, X) or (T, Z, Y, X)
        A view of the layer's array; the first axis is the video axis, or time.
    images : tuple of PixelFrames
        Intensities as they are stored, one per channel.
    channels : tuple of str
        A name per channel.
    axes : str
        Letters of the labels' axes.
    letters : str
        Letters of the axes of the layer, in their order.
    scale : tuple of float or None
        Micrometres and seconds; None where the image does not name its units.
    units : tuple of str or None
    volumes : bool
        Whether the labels are volumes over time: more than the stack in view.
    frames : FrameStack
        What the model sees of the stack in view.
    frame_labels : array of int, shape (T, Y, X)
        The labels of these frames.
    """

    labels: Any
    images: tuple[PixelFrames, ...]
    channels: tuple[str, ...]
    axes: str
    letters: str
    scale: tuple[float, ...] | None
    units: tuple[str, ...] | None
    volumes: bool
    frames: FrameStack
    frame_labels: Any

    @property
    def pixel_size(self) -> float | None:
        """Micrometres per pixel; None where it is not known."""
        return None if self.scale is None else self.scale[-1]

    @property
    def interval(self) -> float | None:
        """Seconds per frame; None where the frames are not over time, or it is not known."""
        timed = self.scale is not None and self.units is not None and self.units[0] == "s"
        return self.scale[0] if timed and self.scale is not None else None


def stack_result(workspace: Workspace, position: StackPosition) -> StackResult:
    """Gather what results are made of. Main thread only.

    Where the image is a time-lapse of volumes, all volumes count; else the stack at `position`.
    """
    image, axis = workspace.image, workspace.axis
    labels, letters = workspace.labels.data, file_axes(image, axis)
    composed = workspace.composed
    kept = [i for i in range(len(letters)) if i != composed]
    volumes = "".join(sorted(letters[i] for i in kept)) == "TXYZ" and labels.ndim == len(letters)
    if volumes:
        first: int | None = letters.index("T")
        held = {} if composed is None else {composed: 0}
        order = [letters.index("T"), *(i for i in kept if letters[i] != "T")]
        view = (
            np.moveaxis(labels, order, range(4))
            if composed is None
            else np.moveaxis(
                labels.take(0, composed), [i - (i > composed) for i in order], range(4)
            )
        )
        axes = "T" + "".join(letters[i] for i in order[1:])
    else:
        first, held = axis, dict(position)
        view = stack_view(labels, axis, position)
        named = "" if axis is None else axis_letter(axis_names(image)[axis])
        axes = ("Z" if named == "z" else "T") + "YX"
    sizes, units = _known_scale(workspace, letters, axes, first)
    channels, names = _channels(workspace, first, held)
    return StackResult(
        view,
        channels,
        names,
        axes,
        letters,
        sizes,
        units,
        volumes,
        workspace.source.stack(axis, dict(position)),
        workspace.labels_at(position),
    )


def _known_scale(
    workspace: Workspace, letters: str, axes: str, first: int | None
) -> tuple[tuple[float, ...] | None, tuple[str, ...] | None]:
    """Return pixel sizes and units along `axes`, if all lengths have a unit."""
    sizes, units = pixel_sizes(workspace.image, letters), pixel_units(workspace.image, letters)
    if sizes is None:
        return None, None
    at = {letter: i for i, letter in enumerate(letters)}
    chosen = [first, *(at[letter] for letter in axes[1:])]
    lengths = [i for i, letter in zip(chosen, axes, strict=True) if letter != "T"]
    if not all(i is not None and units[i] for i in lengths):
        return None, None
    timed = first is not None and units[first] == "second"
    names = tuple(("s" if timed else "frame") if each == "T" else "µm" for each in axes)
    # A step without a known unit is one frame.
    known = tuple(
        1.0 if i is None or (each == "T" and not timed) else sizes[i]
        for i, each in zip(chosen, axes, strict=True)
    )
    return known, names


def _channels(
    workspace: Workspace, first: int | None, held: dict[int, int]
) -> tuple[tuple[PixelFrames, ...], tuple[str, ...]]:
    """Return all channels that the model sees, in their stored values, and their names."""
    image, source = workspace.image, workspace.source
    data = full_resolution(image)
    ndim = len(spatial_shape(image))
    if image.rgb:
        frames = tuple(PixelFrames(data, first, {**held, ndim: i}) for i in range(3))
        return frames, ("red", "green", "blue")
    composed, picked = source.composed, source.picked
    if composed is not None and picked is not None:
        names = tuple(f"channel {i}" for i in picked)
        return tuple(PixelFrames(data, first, {**held, composed: i}) for i in picked), names
    arrays = source.channels
    names = ("",) if len(arrays) == 1 else (image.name, *source.further)
    return tuple(PixelFrames(array, first, held) for array in arrays), names
