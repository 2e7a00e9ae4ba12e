"""A file on disk to frames: which axis is the video, where the others are held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_sam2.errors import StackError
from napari_sam2.stack import AxisGuess, FrameStack, OpenedStack, guess_axes, open_stack


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of a file, and how to describe labels of them.

    Attributes
    ----------
    stack : FrameStack
    axes : str
        Of labels (T, Y, X), as a file names them: "ZYX" or "TYX".
    scale : tuple of float
        Of the same axes, as the file says, else 1.
    """

    stack: FrameStack
    axes: str
    scale: tuple[float, ...]


def open_frames(
    path: Path,
    *,
    axis: str = "auto",
    at: Sequence[str] = (),
    contrast: Sequence[tuple[float, float]] = (),
) -> Frames:
    """Open an image file as frames.

    Parameters
    ----------
    path : Path
        TIFF, OME-TIFF, zarr or npy.
    axis : str
        The video axis: "auto", its number or its letter in the file's axes.
    at : sequence of str
        Where other axes are held, each as AXIS=INDEX; the first position by default.
    contrast : sequence of (low, high)
        Intensities of black and white, for each channel; percentiles of the stack by default.

    Raises
    ------
    StackError
        If the file cannot be read or has no such axis.
    """
    opened = open_stack(path)
    shape = tuple(opened.data.shape)
    guess = guess_axes(shape, labels=tuple(opened.axes))
    video = guess.video if axis == "auto" else axis_number(axis, opened.axes)
    positions = dict(_position(text, opened.axes) for text in at)
    stack = FrameStack(
        opened.data,
        axis=video,
        channel_axis=None if video == guess.channel else guess.channel,
        at=positions,
        contrast=contrast or None,
    )
    return Frames(stack, _label_axes(opened, video), _label_scale(opened, video, guess))


def axis_number(axis: str, axes: str) -> int:
    """Find the number of an axis given by number or letter.

    Parameters
    ----------
    axis : str
        "0", "-3", "Z" or "z".
    axes : str
        One letter per axis, such as "TZYX".

    Raises
    ------
    StackError
        If there is no such axis.
    """
    if len(axis) == 1 and axis.upper() in axes.upper() and axis.isalpha():
        return axes.upper().index(axis.upper())
    try:
        number = int(axis)
    except ValueError:
        number = len(axes)
    if not -len(axes) <= number < len(axes):
        raise StackError(
            f"The image has the axes {axes}, not {axis!r}.",
            remedy="Give one of these letters, or the axis's number from 0.",
        )
    return number % len(axes)


def _position(text: str, axes: str) -> tuple[int, int]:
    axis, _, index = text.partition("=")
    try:
        return axis_number(axis.strip(), axes), int(index)
    except ValueError as error:
        raise StackError(
            f"{text!r} does not say where an axis is held.",
            remedy="Write AXIS=INDEX, such as T=3.",
        ) from error


def _label_axes(opened: OpenedStack, video: int | None) -> str:
    letter = opened.axes[video].upper() if video is not None else "Z"
    return f"{letter if letter in 'ZT' else 'Z'}YX"


def _label_scale(opened: OpenedStack, video: int | None, guess: AxisGuess) -> tuple[float, ...]:
    first = 1.0 if video is None else opened.scale[video]
    return first, opened.scale[guess.y], opened.scale[guess.x]
