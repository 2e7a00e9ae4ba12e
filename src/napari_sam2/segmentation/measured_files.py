"""`MeasuredFiles`: files of labels and of their image, with their axes brought together by letters.

Runs on the caller's thread; no pixels are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from napari_sam2.errors import MeasurementError
from napari_sam2.prompts import SessionFile
from napari_sam2.segmentation.image_source import axis_position
from napari_sam2.segmentation.result_files import known_scale
from napari_sam2.stack import OpenedStack, open_labels, open_stack

_NAMES = "TZYX"
_CHANNELS = "CS"


@dataclass(frozen=True, slots=True, eq=False)
class ImagePart:
    """The part of an image that is measured.

    Attributes
    ----------
    file : OpenedStack
        All of it.
    stack : OpenedStack
        The axes that are not held.
    held : mapping of int to int
        Position along each other axis of the file.
    """

    file: OpenedStack
    stack: OpenedStack
    held: Mapping[int, int]

    @classmethod
    def of(cls, file: OpenedStack, at: Sequence[str]) -> ImagePart:
        """Hold axes of a file, each written as AXIS=INDEX.

        Raises
        ------
        StackError, MeasurementError
            There is no such axis or position.
        """
        file = replace(file, axes=file.axes.upper())
        held = dict(axis_position(text, file.axes) for text in at)
        for axis, position in held.items():
            if not 0 <= position < file.data.shape[axis]:
                raise MeasurementError(
                    f"There is no position {position} along axis {file.axes[axis]} of "
                    f"{file.path.name}.",
                    remedy=f"Choose one of 0 to {file.data.shape[axis] - 1}.",
                )
        kept = [axis for axis in range(len(file.axes)) if axis not in held]
        return cls(file, file.with_axes(kept, held), held)

    @property
    def axes(self) -> str:
        """Letters of all axes of the file, with the names that those of `stack` have got."""
        names = iter(self.stack.axes)
        return "".join(
            letter if axis in self.held else next(names)
            for axis, letter in enumerate(self.file.axes)
        )


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredFiles:
    """Labels and their image.

    Attributes
    ----------
    written : OpenedStack
        The labels as their file has them, with every axis named.
    labels : OpenedStack
        The labels with the axes T, Z, Y, X, as far as they have them, in this order.
    image : ImagePart or None
    volumes : bool
        Whether labels of three axes are one volume.
    """

    written: OpenedStack
    labels: OpenedStack
    image: ImagePart | None
    volumes: bool

    @classmethod
    def open(
        cls,
        labels: Path,
        image: Path | None = None,
        *,
        axes: str = "",
        scale: Sequence[float] | None = None,
        at: Sequence[str] = (),
        series: str = "",
        volumes: bool = False,
    ) -> MeasuredFiles:
        """Open the files and name the axes of the labels.

        An axis without a name has that of the axis at its place in the other file; else the last
        two are Y and X, and those before are T and Z.

        Parameters
        ----------
        labels, image : Path
        axes : str
            Letters of the labels' axes; by default as the file says.
        scale : sequence of float, optional
            Size of a step along each of these; by default as the file says.
        at : sequence of str
            Positions along further axes of the image, each as AXIS=INDEX.
        series : str
            Number or name of the image, in a file with several.
        volumes : bool

        Raises
        ------
        StackError
            A file cannot be read, or has no such axis.
        MeasurementError
            The axes are not those of labels, or letters or sizes do not fit them.
        """
        written = open_labels(labels)
        for what, given in (("letters", axes), ("sizes", scale)):
            if given and len(given) != len(written.axes):
                raise MeasurementError(
                    f"{len(given)} {what} do not fit the axes of {labels.name}, "
                    f"{written.axes} of shape {tuple(written.data.shape)}.",
                    remedy="Give one per axis, in the order of the file.",
                )
        written = replace(
            written, axes=(axes or written.axes).upper(), scale=tuple(scale or written.scale)
        )
        if image is None and (at or series):
            raise MeasurementError(
                "--at and --series choose a part of the image.", remedy="Give the image too."
            )
        if image is None:
            written = _with_usual_names(written, volumes=volumes)
            return cls(written, _turned(written), None, volumes)
        part = ImagePart.of(open_stack(image, series=series or None), at)
        written = _with_usual_names(_named_like(written, part.stack), volumes=volumes)
        part = replace(part, stack=_named_like(part.stack, written))
        return cls(written, _turned(written), part, volumes)

    @property
    def by_volume(self) -> bool:
        """Whether the rows of a table are about volumes."""
        return len(self.labels.axes) == 4 or (len(self.labels.axes) == 3 and self.volumes)

    def known_scale(self) -> tuple[tuple[float, ...] | None, tuple[str, ...] | None]:
        """Return `known_scale` of the labels, from the first file that knows it."""
        axes = self.labels.axes
        leading = len(axes) - (3 if self.by_volume else 2)
        for each in (self.labels, None if self.image is None else self.image.stack):
            if each is None or not set(axes) <= set(each.axes):
                continue
            order = [each.axes.index(letter) for letter in axes]
            scale, units = known_scale(
                axes,
                [each.scale[at] for at in order],
                [each.units[at] for at in order],
                leading=leading,
            )
            if scale is not None:
                return scale, units
        return None, None

    def check_session(self, saved: SessionFile, name: str) -> None:
        """Check that a session is about the frames that are measured.

        Parameters
        ----------
        saved : SessionFile
        name : str
            Of its file.

        Raises
        ------
        MeasurementError
            It is about others: of another shape, along another axis, or of another position.
        """
        if self.by_volume:
            raise MeasurementError(
                f"{name} is about single frames, and the rows of the table are about volumes.",
                remedy="Measure without --session.",
            )
        sizes = dict(zip(self.labels.axes, map(int, self.labels.data.shape), strict=True))
        rows = self.labels.axes[0] if len(sizes) == 3 else ""
        fitting = {axis for axis in ("", *sizes) if _fits(saved, axis, sizes)}
        if rows not in fitting:
            region = "" if saved.region is None else f" in the region {astuple(saved.region)}"
            raise MeasurementError(
                f"{name} is about frames of the shape {saved.book.shape}{region}, and those of the "
                f"labels are {(sizes.get(rows, 1), sizes['Y'], sizes['X'])}.",
                remedy="Give the session of these labels, or measure without --session.",
            )
        part, axis = self.image, None
        if part is not None:
            axis = _session_axis(saved, part.axes, part.file)
        if part is not None and axis is not None:
            given = {number: part.held.get(number, at) for number, at in saved.at.items()}
            if given != dict(saved.at):
                raise MeasurementError(
                    f"{name} holds the image at other positions than --at.",
                    remedy="Choose those of the session, or measure without --session.",
                )
        if axis is None and len(fitting) > 1:
            axis = _session_axis(saved, self.written.axes, self.written)
        if axis is not None and axis != rows:
            raise MeasurementError(
                f"The frames of {name} are along axis {axis}, and those of the table along "
                f"{rows or 'none'}.",
                remedy="Measure without --session. Where labels have their axes in another order "
                "than their image, give the image too.",
            )


def _named_like(stack: OpenedStack, other: OpenedStack) -> OpenedStack:
    """Name unnamed axes after the axes at the same positions in another file.

    Channels are left out, unless both files have the same number of axes: then these are slices
    that one of them calls channels. Nothing is named where the files have axes in another order.
    """
    skipped = "" if len(stack.axes) == len(other.axes) else _CHANNELS
    places = [at for at, letter in enumerate(stack.axes) if letter not in skipped]
    names = [letter for letter in other.axes if letter not in skipped]
    pairs = [(stack.axes[at], name) for at, name in zip(places, names, strict=False)]
    known = [(own, name) for own, name in pairs if own in _NAMES and name in _NAMES]
    if len(places) != len(names) or any(own != name for own, name in known):
        return stack
    letters = list(stack.axes)
    for at, name in zip(places, names, strict=True):
        if letters[at] not in _NAMES and name in _NAMES and name not in letters:
            letters[at] = name
    return replace(stack, axes="".join(letters))


def _with_usual_names(labels: OpenedStack, *, volumes: bool) -> OpenedStack:
    """Name the nameless axes of labels: rows and columns are the last ones, and time is before."""
    letters, shape = list(labels.axes), labels.data.shape
    nameless = [
        at
        for at, letter in enumerate(letters)
        if letter not in _NAMES + _CHANNELS and (shape[at] > 1 or len(letters) <= 2)
    ]
    for name in "XY":
        if name not in letters and nameless:
            letters[nameless.pop()] = name
    for name in "ZT" if volumes and len(nameless) == 1 else "TZ":
        if name not in letters and nameless:
            letters[nameless.pop(0)] = name
    return replace(labels, axes="".join(letters))


def _turned(labels: OpenedStack) -> OpenedStack:
    """Return labels with the axes T, Z, Y, X, as far as they have them, in this order.

    Raises
    ------
    MeasurementError
        They have others, longer than 1, or no rows and columns.
    """
    axes, shape, name = labels.axes, labels.data.shape, labels.path.name
    order = [axes.index(letter) for letter in _NAMES if letter in axes]
    others = [at for at in range(len(axes)) if at not in order]
    longer = [at for at in others if shape[at] > 1]
    channels = [at for at in longer if axes[at] in _CHANNELS]
    if channels:
        what = "colours" if axes[channels[0]] == "S" else "channels"
        raise MeasurementError(
            f"{name} has {shape[channels[0]]} {what} along axis {axes[channels[0]]}, and labels "
            "are one number per pixel.",
            remedy="Save the labels as a grey image of whole numbers; the intensities are the "
            "second image. If the axis is none of channels, name it with --axes.",
        )
    if longer or not {"Y", "X"} <= set(axes):
        raise MeasurementError(
            f"{name} has the axes {axes} of shape {tuple(shape)}, which are not those of labels.",
            remedy="Name them with --axes: Y, X, and T and Z if there are more.",
        )
    return labels.with_axes(order, dict.fromkeys(others, 0))


def _fits(saved: SessionFile, axis: str, sizes: Mapping[str, int]) -> bool:
    """Return whether a session can have frames along an axis; "" stands for a single frame."""
    across = [size for letter, size in sizes.items() if letter != axis]
    if len(across) != 2 or saved.book.shape[0] != sizes.get(axis, 1):
        return False
    orders, region = (across, across[::-1]), saved.region  # X may come before Y in the image
    if region is None:
        return list(saved.book.shape[1:]) in orders
    return any(region.y1 <= rows and region.x1 <= columns for rows, columns in orders)


def _session_axis(saved: SessionFile, axes: str, file: OpenedStack) -> str | None:
    """Return the letter of a session's axis in a file; None if it is about another array.

    A session knows its axes by number; layers may have other ones than the file.
    """
    shape, composed = file.data.shape, saved.settings.get("channel_axis")
    left = [
        at
        for at, letter in enumerate(axes)
        if at == saved.axis
        or not (at in saved.at or at == composed or letter in _CHANNELS or shape[at] == 1)
    ]
    if saved.axis is None or saved.axis not in left or len(left) != 3:
        return None
    return axes[saved.axis]
