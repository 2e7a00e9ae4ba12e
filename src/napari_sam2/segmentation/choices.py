"""The line that says what a command sees of an image, each choice with the option for it."""

from __future__ import annotations

from napari_sam2.errors import Sam2Error
from napari_sam2.segmentation.image_source import Frames
from napari_sam2.stack import StackKind, axis_letter

_FRAMES = {
    StackKind.Z_STACK: "slices of a z-stack",
    StackKind.TIME_LAPSE: "frames of a time-lapse",
    StackKind.UNKNOWN: "frames of an unknown kind",
}


def describe_choices(frames: Frames) -> str:
    """Return what is seen of a file: image, resolution, video, channels and held positions."""
    opened, stack = frames.opened, frames.stack
    parts = []
    if opened.series.available > 1:
        name = f" ({opened.series.name})" if opened.series.name else ""
        parts.append(
            f"image {opened.series.number}{name} of the {opened.series.available} in the file "
            "(--series)"
        )
    if opened.level.available > 1:
        parts.append(f"resolution {opened.level.number} of {opened.level.available} (--level)")
    parts.append(_video(frames))
    if stack.channel_axis is not None:
        parts.append(_channels(frames))
    parts += [
        _held(frames, axis, position)
        for axis, position in sorted(stack.at.items())
        if opened.data.shape[axis] > 1
    ]
    return f"{opened.path.name}: {', '.join(parts)}."


SAY_KIND = (
    "The kind of the frames is unknown: with --kind time-lapse a search through them also finds "
    "divisions, with --kind z-stack objects end earlier where others follow them."
)
"""Message for a search along an axis of an unknown kind."""


def name_choices(error: Sam2Error, frames: Frames) -> Sam2Error:
    """Add to an error about prompts which other images the file could be meant to give."""
    opened = frames.opened
    hints = []
    if opened.series.available > 1:
        hints.append(
            f"{opened.path.name} holds {opened.series.available} images; --series chooses another."
        )
    slices = _possible_slices(frames)
    if slices is not None:
        hints.append(
            f"If its {_called(frames, slices)} are slices, pass {_axis_option(frames, slices)}."
        )
    error.remedy = " ".join([error.remedy, *hints]).strip()
    return error


def _video(frames: Frames) -> str:
    stack, axis = frames.stack, frames.stack.axis
    if axis is None:
        slices = _possible_slices(frames)
        if slices is None:
            return "a single frame"
        return (
            f"a single frame ({_axis_option(frames, slices)} if its {_called(frames, slices)} "
            "are slices)"
        )
    called = ""
    if axis_letter(frames.opened.axes[axis]) == "c":
        colours = frames.opened.axes[axis].upper() == "S"
        called = f", which the file calls {'colours' if colours else 'channels'}"
    frames_are = f"{stack.n_frames} {_FRAMES[stack.kind]}"
    return f"{frames_are} along axis {_axis(frames, axis)}{called} (--axis, --kind)"


def _channels(frames: Frames) -> str:
    stack = frames.stack
    if frames.colours:
        return "in colour"
    chosen = " and ".join(map(str, stack.channels))
    word = "channel" if len(stack.channels) == 1 else "channels"
    if stack.channel_count == 1:
        return "one channel"
    return f"{word} {chosen} of {stack.channel_count} (--channels)"


def _held(frames: Frames, axis: int, position: int) -> str:
    letter, length = frames.opened.axes[axis], frames.opened.data.shape[axis]
    if axis_letter(letter) == "c":
        return f"channel {position} of {length} (--channels)"
    if axis == frames.through:
        return f"from position {position} of {length} along axis {_axis(frames, axis)} on (--at)"
    what = "time point" if letter.upper() == "T" else f"position along axis {_axis(frames, axis)}"
    return f"{what} {position} of {length} (--at {_axis(frames, axis)}={position})"


def _possible_slices(frames: Frames) -> int | None:
    """Return the axis of a single frame's channels or colours, which may be slices instead."""
    stack, axes = frames.stack, frames.opened.axes
    if stack.axis is not None:
        return None
    last = len(axes) - 1
    channels = [
        axis
        for axis in {stack.channel_axis, *stack.at}
        if axis is not None
        and axis_letter(axes[axis]) == "c"
        and frames.opened.data.shape[axis] > 1
        and not (axis == last and frames.colours)
    ]
    return channels[0] if channels else None


def _called(frames: Frames, axis: int) -> str:
    return "colours" if frames.colours and axis == frames.stack.channel_axis else "channels"


def _axis_option(frames: Frames, axis: int) -> str:
    return f"--axis {_axis(frames, axis)}"


def _axis(frames: Frames, axis: int) -> str:
    """Return the letter of an axis, or its number where the letter says nothing."""
    letter = frames.opened.axes[axis].upper()
    return letter if letter != "Q" and frames.opened.axes.upper().count(letter) == 1 else str(axis)
