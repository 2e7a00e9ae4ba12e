"""The stack that results are made of: labels, intensities, pixel sizes. Any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_sam2.stack import FrameStack


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
    held : mapping of int to int
        Index along each axis of the layer that the labels do not have.
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
    held: Mapping[int, int]
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
