"""Opening of the image that a command names, or that a session file names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_sam2.errors import StackError
from napari_sam2.labels import LabelsVolume
from napari_sam2.prompts import (
    PromptBook,
    SessionFile,
    TablePlaces,
    moved_book,
    read_prompts,
    read_session,
)
from napari_sam2.segmentation.label_layout import LabelLayout
from napari_sam2.segmentation.label_prompts import holds_labels, prompts_of_labels
from napari_sam2.stack import (
    AxisGuess,
    FrameStack,
    OpenedStack,
    StackKind,
    axis_letter,
    guess_axes,
    kind_along,
    open_stack,
)
from napari_sam2.types import Region


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The frames of a file, and how to describe labels of them.

    Attributes
    ----------
    opened : OpenedStack
        The file.
    stack : FrameStack
    layout : LabelLayout
        Of labels of the whole image: letters, sizes, and the order of the image's axes.
    through : int or None
        Axis along which objects go on from one stack of frames, a volume, to the next.
    volumes : int
        Number of positions along it.
    colours : bool
        Whether the channels are the colours of a pixel.
    """

    opened: OpenedStack
    stack: FrameStack
    layout: LabelLayout
    through: int | None = None
    volumes: int = 1
    colours: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns of the image, of which the frames may be a part."""
        return (self.stack.n_frames, *self.stack.image_shape)

    @property
    def labels_shape(self) -> tuple[int, ...]:
        """Shape of the labels of the whole image, all volumes included."""
        return self.shape if self.through is None else (self.volumes, *self.shape)

    @property
    def axes(self) -> str:
        """Letters of labels in the order of the frames: "ZYX", "TYX", "TZYX" and so on."""
        return self.layout.letters

    @property
    def volume(self) -> int:
        """Number of the volume that the frames belong to."""
        return 0 if self.through is None else self.stack.at[self.through]

    def empty_labels(self, largest_id: int = 0) -> Any:
        """Return labels of background of `labels_shape`, of a type that holds the ids."""
        frames, rows, columns = self.shape
        dtype = np.promote_types(np.uint16, np.min_scalar_type(largest_id))
        planes = LabelsVolume((self.volumes * frames, rows, columns), dtype=dtype).array
        return planes.reshape(self.labels_shape)

    def part(self, labels: Any, volume: int | None = None) -> Any:
        """Return the view (T, Y, X) of labels of the whole image that belongs to these frames."""
        if self.through is not None:
            labels = labels[self.volume if volume is None else volume]
        region = self.stack.region
        return labels if region is None else labels[:, *region.slices]


@dataclass(frozen=True, slots=True)
class ImageSelection:
    """The part of an image that a command works on; missing values come from the file.

    Attributes
    ----------
    axis : str
        The video axis: "auto", its number or its letter in the file's axes.
    at : tuple of str
        Positions on other axes, each as AXIS=INDEX; the first by default.
    saved : SessionFile or None
        A session file. If `axis` is "auto" and the image has the session's axes, the video axis and
        the positions on other axes are the session's.
    channels : str
        Numbers of the channels to compose, such as "0,2"; by default the colours, or else the first
        channel.
    region : Region or None
        The part of every frame to work on; None is all of it.
    contrast : tuple of (low, high)
        Intensities of black and white of each channel; percentiles of the stack by default.
    through : str
        Number or letter of another axis, along which the volumes follow each other.
    series : str
        The image of a file with several: its number or its name.
    level : int
        The resolution of an image with several; 0 is the finest.
    kind : StackKind or None
        What the frames are; by default as in `saved`, or else by the file's axes.
    """

    axis: str = "auto"
    at: tuple[str, ...] = ()
    saved: SessionFile | None = None
    channels: str = ""
    region: Region | None = None
    contrast: tuple[tuple[float, float], ...] = ()
    through: str = ""
    series: str = ""
    level: int = 0
    kind: StackKind | None = None


def open_frames(path: Path, selection: ImageSelection | None = None) -> Frames:
    """Open an image file as frames.

    Parameters
    ----------
    path : Path
        See `open_stack`.
    selection : ImageSelection, optional

    Raises
    ------
    StackError
        If the file cannot be read or has no such axis.
    """
    selection = selection or ImageSelection()
    opened = open_stack(path, series=selection.series or None, level=selection.level)
    shape = tuple(opened.data.shape)
    guess = guess_axes(shape, labels=tuple(opened.axes))
    given = dict(axis_position(text, opened.axes) for text in selection.at)
    video, others = _video_axis(selection, shape, guess)
    if selection.axis != "auto":
        video = axis_number(selection.axis, opened.axes)
    channel = guess.channel if not selection.channels else _channel_axis(opened, guess)
    if selection.channels and selection.axis == "auto" and video == channel:
        video = None  # slices that are called channels, but the user says that they are channels
    if not selection.channels and (channel == video or channel in given or channel in others):
        channel = None
    others = {axis: index for axis, index in others.items() if axis != channel}
    held = others | given
    rows, columns = _frame_axes(guess, opened.axes, taken={video, channel, *held})
    free = set(range(len(shape))) - {video, channel, rows, columns}
    stack = FrameStack(
        opened.data,
        axis=video,
        channel_axis=channel,
        at=dict.fromkeys(free, 0) | held,
        contrast=selection.contrast or None,
        channels=_channels(selection, guess, channel),
        region=selection.region,
        transposed=_is_transposed(selection.saved, opened.axes, rows, columns),
        kind=_kind(selection, opened.axes, video),
    )
    through = axis_number(selection.through, opened.axes) if selection.through else None
    if through is not None and (through not in stack.at or video is None):
        raise StackError(
            f"Axis {selection.through} cannot lead from volume to volume.",
            remedy=f"Choose one of {opened.axes} that is neither the video (--axis) nor Y, X or "
            "channels.",
        )
    layout = LabelLayout.of(opened, stack, through)
    volumes = 1 if through is None else shape[through]
    colours = guess.colours and channel == guess.channel
    return Frames(opened, stack, layout, through, volumes, colours)


def read_region(text: str) -> Region:
    """Read a region from Y0:Y1,X0:X1.

    Raises
    ------
    StackError
        The text has another form.
    """
    try:
        (y0, y1), (x0, x1) = (map(int, part.split(":")) for part in text.split(","))
    except ValueError as error:
        raise StackError(
            f"{text!r} does not say which part of the frames is meant.",
            remedy="Write Y0:Y1,X0:X1 in pixels, such as 100:400,50:350.",
        ) from error
    return Region(y0, x0, y1, x1)


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


def axis_position(text: str, axes: str) -> tuple[int, int]:
    """Read AXIS=INDEX as the number of an axis and a position on it.

    Raises
    ------
    StackError
        The text has another form, or there is no such axis.
    """
    axis, _, index = text.partition("=")
    try:
        where = int(index)
    except ValueError as error:
        raise StackError(
            f"{text!r} does not say where an axis is held.",
            remedy="Write AXIS=INDEX, such as T=3.",
        ) from error
    return axis_number(axis.strip(), axes), where


def _video_axis(
    selection: ImageSelection, shape: tuple[int, ...], guess: AxisGuess
) -> tuple[int | None, dict[int, int]]:
    """Choose the video axis and the positions on other axes, as in a session file if it fits."""
    saved = selection.saved
    if saved is None or saved.axis is None or selection.axis != "auto":
        return guess.video, {}
    # A session of one channel holds the channel axis like any other.
    named = {saved.axis, *saved.at}
    fits = len(set(range(len(shape))) - named - {guess.channel}) == 2
    fits = fits and saved.axis < len(shape) and shape[saved.axis] == saved.book.shape[0]
    fits = fits and all(
        axis < len(shape) and index < shape[axis] for axis, index in saved.at.items()
    )
    return (saved.axis, dict(saved.at)) if fits else (guess.video, {})


def _kind(selection: ImageSelection, axes: str, video: int | None) -> StackKind:
    """Return what the frames are: as given, as in a session of the same axis, or by the axis."""
    if selection.kind is not None:
        return selection.kind
    saved = selection.saved
    if saved is not None and saved.axis == video and saved.kind is not StackKind.UNKNOWN:
        return saved.kind
    return StackKind.UNKNOWN if video is None else kind_along(axes[video])


def _channels(
    selection: ImageSelection, guess: AxisGuess, channel: int | None
) -> tuple[int, ...] | None:
    """Return the channels to compose: as given, or the first one, or None for all."""
    if selection.channels:
        return _numbers(selection.channels)
    saved = selection.saved
    composed = saved is not None and isinstance(saved.settings.get("channel_axis"), int)
    return None if channel is None or guess.colours or composed else (0,)


def _frame_axes(guess: AxisGuess, axes: str, taken: set[int | None]) -> tuple[int, int]:
    """Return the axes of a frame, in the order of the array: Y and X, unless one is the video.

    Raises
    ------
    StackError
        No two axes are left.
    """
    free = [axis for axis in range(len(axes)) if axis not in taken]
    wanted = [axis for axis in (guess.y, guess.x) if axis in free]
    others = [axis for axis in reversed(free) if axis not in wanted]
    others.sort(key=lambda axis: axes[axis].upper() != "Z")
    chosen = sorted([*wanted, *others][:2])
    if len(chosen) < 2:
        raise StackError(
            f"Of the axes {axes} no two are left for Y and X.",
            remedy="Choose fewer axes with --at, --axis and --channels.",
        )
    return chosen[0], chosen[1]


def _is_transposed(saved: SessionFile | None, axes: str, rows: int, columns: int) -> bool:
    """Return whether frames are transposed: as in the session, or if X comes before Y."""
    if saved is not None and saved.axis is not None:
        return saved.settings.get("transposed") is True
    first, second = ("ZYX".find(axes[axis].upper()) for axis in (rows, columns))
    return first > second >= 0


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError as error:
        raise StackError(
            f"{text!r} does not say which channels are composed.",
            remedy="Write up to three of their numbers, such as 0,2.",
        ) from error


def _channel_axis(opened: OpenedStack, guess: AxisGuess) -> int:
    """Find the channel axis, also where it has too many channels to be guessed."""
    if guess.channel is not None:
        return guess.channel
    found = opened.axes.upper().find("C")
    if found < 0:
        raise StackError(
            f"The image has no channel axis: its axes are {opened.axes}.",
            remedy="Leave the channels out, or save the image with its axes named.",
        )
    return found


def select_image(
    saved: SessionFile | None,
    *,
    axis: str,
    kind: StackKind | None = None,
    at: Sequence[str],
    channels: str,
    region: str,
    through: str,
    series: str = "",
    level: int = 0,
) -> ImageSelection:
    """Return the selection of the options; a session file decides what they leave open."""
    asked = read_region(region) if region else None
    if saved is None:
        return ImageSelection(
            axis,
            tuple(at),
            None,
            channels,
            asked,
            through=through,
            series=series,
            level=level,
            kind=kind,
        )
    known = str(saved.settings.get("channels", ""))
    same_channels = not channels or channels == known
    return ImageSelection(
        axis,
        tuple(at),
        saved,
        channels or known,
        asked or saved.region,
        saved.contrast if same_channels else (),
        through,
        series,
        level,
        kind,
    )


def replays_on(saved: SessionFile | None, frames: Frames) -> bool:
    """Return whether a session has the shape and region of these frames."""
    stack = frames.stack
    return (
        saved is not None
        and saved.book.shape == stack.shape
        and _corner(saved) == _at(stack.region)
    )


def given_prompts(path: Path, saved: SessionFile | None, frames: Frames) -> PromptBook:
    """Read prompts for frames that may be a part of the image.

    Raises
    ------
    PromptError
        The file cannot be read, or a prompt is not inside the frames.
    """
    stack = frames.stack
    if saved is None:
        if holds_labels(path):
            book = prompts_of_labels(path, frames.opened, stack, frames.layout)
        else:
            book = read_prompts(path, frames.shape, _table_places(frames))
        return book if stack.region is None else moved_book(book, _at(stack.region), stack.shape)
    if saved.region is None and stack.region is None:
        return read_session(path, stack.shape, at=saved.at).elsewhere()
    (y, x), (before_y, before_x) = _at(stack.region), _corner(saved)
    return moved_book(saved.elsewhere(), (y - before_y, x - before_x), stack.shape)


def _table_places(frames: Frames) -> dict[int, TablePlaces]:
    """Return which columns of napari's tables are frame, row and column, by their number.

    napari has a slider for each axis but the colours of a pixel, which it knows at the end only.
    """
    opened, stack = frames.opened, frames.stack
    last = len(opened.axes) - 1
    sliders = [
        axis
        for axis in range(len(opened.axes))
        if not (frames.colours and axis == stack.channel_axis == last)
    ]
    rows, columns = stack.frame_axes
    held = tuple(
        (sliders.index(axis), position)
        for axis, position in stack.at.items()
        if axis_letter(opened.axes[axis]) != "c"
    )
    video = None if stack.axis is None else sliders.index(stack.axis)
    found = {len(sliders): TablePlaces(video, sliders.index(rows), sliders.index(columns), held)}
    # Frame, row and column alone, in the order of the image.
    order = [axis for axis in frames.layout.order if frames.through is None or axis > 0]
    first = 0 if frames.through is None else 1
    place = {axis - first: number for number, axis in enumerate(order)}
    found.setdefault(3, TablePlaces(place[0], place[1], place[2]))
    if stack.n_frames == 1:
        plane = sorted((place[1], place[2]))
        found.setdefault(2, TablePlaces(None, plane.index(place[1]), plane.index(place[2])))
    return found


def _corner(saved: SessionFile) -> tuple[int, int]:
    return _at(saved.region)


def _at(region: Region | None) -> tuple[int, int]:
    return (0, 0) if region is None else (region.y0, region.x0)
