"""The stack that results are made of: labels, intensities, pixel sizes. Any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sam2.stack import ArrayView, FrameStack


@dataclass(frozen=True, slots=True, eq=False)
class StackResult:
    """The labels of a stack, or of all volumes of a time-lapse, and what belongs to them.

    Attributes
    ----------
    labels : array of int, shape (T, Y, X) or (T, Z, Y, X)
        A view of the layer's array; the first axis is the video axis, or time.
    images : tuple of ArrayView
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
    images: tuple[ArrayView, ...]
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
