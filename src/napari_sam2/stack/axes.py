"""The choice of the video axis from the axis labels and the shape of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_sam2.errors import StackError
from napari_sam2.stack.validation import COLOUR_SIZES, check_shape
from napari_sam2.types import StackKind

# What people and file formats call the axes, to the letter that tifffile and OME use.
_LETTERS = {
    **dict.fromkeys(("t", "time", "times", "timepoint", "timepoints", "frame", "frames"), "t"),
    **dict.fromkeys(("z", "depth", "plane", "planes", "slice", "slices", "section"), "z"),
    **dict.fromkeys(("c", "ch", "channel", "channels", "s", "sample", "samples"), "c"),
    **dict.fromkeys(("rgb", "rgba", "colour", "color"), "c"),
    **dict.fromkeys(("y", "row", "rows"), "y"),
    **dict.fromkeys(("x", "col", "cols", "column", "columns"), "x"),
}


_COLOURS = {"s", "sample", "samples", "rgb", "rgba", "colour", "color"}
_CHANNELS = 4  # more of them, and nothing else along which there is a video, are slices


def _names_colours(name: object) -> bool:
    return str(name).strip().lower() in _COLOURS


def axis_letter(name: object) -> str:
    """Return the letter of "tzcyx" that the name of an axis stands for, or ""."""
    return _LETTERS.get(str(name).strip().lower(), "")


_KINDS = dict.fromkeys("zyx", StackKind.Z_STACK) | {"t": StackKind.TIME_LAPSE}


def kind_along(name: object) -> StackKind:
    """Return the kind of frames along an axis of this name: along z, y or x, slices of a volume."""
    return _KINDS.get(axis_letter(name), StackKind.UNKNOWN)


@dataclass(frozen=True, slots=True)
class AxisGuess:
    """The roles of the axes of an image.

    Attributes
    ----------
    video : int or None
        The axis along which objects are followed; None where the image is a single frame.
    y, x : int
        Rows and columns of a frame, in the order of the array.
    channel : int or None
        The axis whose channels are composed to one picture.
    other : tuple of int
        The axes that are held at one position (`FrameStack`'s `at`).
    colours : bool
        Whether the channels are the colours of a pixel.
    """

    video: int | None
    y: int
    x: int
    channel: int | None
    other: tuple[int, ...]
    colours: bool = False


def guess_axes(
    shape: Sequence[int], *, labels: Sequence[str] | None = None, rgb: bool = False
) -> AxisGuess:
    """Guess the video axis of an image.

    The video is the time axis, else the z axis, else the longest of the leading axes (the first
    of equals); an axis of length 1 comes after all longer ones. Y and X are the axes with these
    labels, else the last two. An axis labelled as channels is composed when it has up to three
    channels, or is the last and has four (RGBA); longer ones are held at one channel. If nothing
    else can be the video, more than four channels are: some programs call slices so.

    Parameters
    ----------
    shape : sequence of int
        Shape of the whole array.
    labels : sequence of str, optional
        A name per axis ("z", "time", "TCYX" ...); unknown names count as none. With `rgb` the
        name of the last axis may be left out, as napari does.
    rgb : bool
        Whether the last axis holds the colours of each pixel.

    Raises
    ------
    StackError
        For fewer than two axes, a zero-size axis, or labels that do not fit the shape.
    """
    sizes = check_shape(shape)
    letters = _letters(labels, sizes, rgb=rgb)
    channel = _composed_channel(letters, sizes)
    y, x = _frame_axes(letters, channel)
    leading = [axis for axis in range(len(sizes)) if axis not in (y, x, channel)]
    video = _video_axis(leading, letters, sizes)
    other = tuple(axis for axis in leading if axis != video)
    colours = channel is not None and (
        (labels is not None and channel < len(labels) and _names_colours(labels[channel]))
        or (channel == len(sizes) - 1 and sizes[channel] in COLOUR_SIZES)
    )
    return AxisGuess(video=video, y=y, x=x, channel=channel, other=other, colours=colours)


def _letters(labels: Sequence[str] | None, sizes: tuple[int, ...], *, rgb: bool) -> list[str]:
    """Return one letter of "tzcyx" per axis, or "" for an unknown axis."""
    ndim = len(sizes)
    names = [""] * ndim if labels is None else list(labels)
    if rgb and len(names) == ndim - 1:
        names.append("c")
    if len(names) != ndim:
        raise StackError(
            f"{len(names)} axis labels do not fit an image of {ndim} axes (shape {sizes}).",
            remedy="Give one label per axis.",
        )
    letters = [axis_letter(name) for name in names]
    if rgb:
        if ndim < 3 or sizes[-1] not in COLOUR_SIZES:
            raise StackError(
                f"An RGB image needs a last axis of 3 or 4 colours, this one has shape {sizes}.",
                remedy="Choose the image as a grey one.",
            )
        letters[-1] = "c"
    return letters


def _composed_channel(letters: list[str], sizes: tuple[int, ...]) -> int | None:
    """Return the axis of channels to compose; a last axis of colours has precedence."""
    channels = [axis for axis, letter in enumerate(letters) if letter == "c"]
    if len(letters) - len(channels[-1:]) < 2:
        return None
    last = len(letters) - 1
    for axis in reversed(channels):
        if sizes[axis] <= 3 or (axis == last and sizes[axis] in COLOUR_SIZES):
            return axis
    return None


def _frame_axes(letters: list[str], channel: int | None) -> tuple[int, int]:
    """Return rows and columns: labelled ones, else the last two not labelled otherwise."""
    labelled = sorted(letters.index(letter) for letter in "yx" if letter in letters)
    if len(labelled) == 2:
        return labelled[0], labelled[1]
    free = [axis for axis in range(len(letters)) if axis != channel]
    unnamed = [axis for axis in free if letters[axis] not in ("t", "z", "c")]
    y, x = (unnamed if len(unnamed) >= 2 else free)[-2:]
    return y, x


def _video_axis(leading: list[int], letters: list[str], sizes: tuple[int, ...]) -> int | None:
    rank = {"t": 0, "z": 1}
    candidates = [axis for axis in leading if letters[axis] != "c"]
    if all(sizes[axis] == 1 for axis in candidates):
        slices = [axis for axis in leading if letters[axis] == "c" and sizes[axis] > _CHANNELS]
        candidates = slices if len(slices) == 1 else candidates
    if not candidates:
        return None
    return min(
        candidates,
        key=lambda axis: (sizes[axis] == 1, rank.get(letters[axis], 2), -sizes[axis], axis),
    )
