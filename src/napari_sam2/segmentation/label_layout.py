"""`LabelLayout`: axes of labels in the frames' order, and in the order of the image file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels import write_labels
from napari_sam2.stack import ArrayView, FrameStack, OpenedStack, StackKind

_LETTERS = "TZYX"
_SPARE = {"through": "TZC", "video": "ZTC", "rows": "YZXTC", "columns": "XYZTC"}


@dataclass(frozen=True, slots=True, eq=False)
class LabelLayout:
    """The axes of labels of a file.

    Labels are computed frame by frame, and written with their axes in the order of the image, so
    that they lie on it in every viewer.

    Attributes
    ----------
    letters : str
        Letters of computed labels: volumes (if there are several), frames, rows, columns.
    scale : tuple of float
        Size of a step along each axis of `letters`.
    units : tuple of str
        "micrometer", "second", or "" where the file names no unit that is known.
    order : tuple of int
        The same axes in the order of the image.
    affine : ndarray of float, shape (4, 4), optional
        Affine of the file, if the labels have all spatial axes; see `OpenedStack`.
    """

    letters: str
    scale: tuple[float, ...]
    units: tuple[str, ...]
    order: tuple[int, ...]
    affine: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, opened: OpenedStack, stack: FrameStack, through: int | None) -> LabelLayout:
        """Return the layout of labels of a stack of a file.

        Parameters
        ----------
        opened : OpenedStack
        stack : FrameStack
        through : int or None
            Axis that leads from volume to volume.
        """
        rows, columns = stack.frame_axes
        axes: dict[str, int | None] = {} if through is None else {"through": through}
        axes |= {"video": stack.axis, "rows": rows, "columns": columns}
        numbers = list(axes.values())
        letters = _letters(opened, axes, stack.kind)
        if not {"Y", "X"} <= set(letters):  # no file of labels has such frames
            letters = "TZYX"[-len(numbers) :]
            unknown = ("",) * len(numbers)
            return cls(letters, (1.0,) * len(numbers), unknown, tuple(range(len(numbers))))
        places = [-1 if number is None else number for number in numbers]
        return cls(
            letters,
            tuple(1.0 if number is None else opened.scale[number] for number in numbers),
            tuple("" if number is None else opened.units[number] for number in numbers),
            tuple(sorted(range(len(places)), key=places.__getitem__)),
            opened.affine if _is_whole(opened, letters) else None,
        )

    @property
    def written(self) -> str:
        """The letters in the order of the image."""
        return "".join(self.letters[axis] for axis in self.order)

    def as_written(self, labels: Any) -> Any:
        """Return a view of computed labels with their axes in the order of the image."""
        return labels.transpose(self.order)

    def as_frames(
        self, labels: Any, axes: str, opened: OpenedStack, stack: FrameStack
    ) -> ArrayView | None:
        """Return a view of a file's labels as frames of this layout's image.

        If the letters of the labels are those of the frames, they give the order of axes. Otherwise
        the axes are those of the image, without its channels.

        Parameters
        ----------
        labels : array of int
            Axes that are held in the image may be left out. 2D labels are a single frame.
        axes : str
            A letter per axis, as of `OpenedStack`; may be empty.
        opened : OpenedStack
            The image.
        stack : FrameStack
            Its frames; a region has no influence.

        Returns
        -------
        ArrayView of shape (frames, rows, columns), or None
            None if the labels do not fit the frames.
        """
        wanted = (stack.n_frames, *stack.image_shape)
        shape, single = tuple(labels.shape), self.letters[-3:]
        views: list[tuple[Sequence[int | None], Mapping[int, int]]] = []
        if sorted(axes.upper()) == sorted(single):
            views.append(([axes.upper().index(letter) for letter in single], {}))
        if len(shape) == 3:
            offset = len(self.letters) - 3
            views.append((np.argsort([at for at in self.order if at >= offset]).tolist(), {}))
        if len(shape) == 2 and wanted[0] == 1:
            views.append(((None, 1, 0) if stack.transposed else (None, 0, 1), {}))
        # All axes of the image but its channels: the held ones are read where they are held.
        kept = [axis for axis in range(len(opened.axes)) if axis != stack.channel_axis]
        if shape == tuple(opened.data.shape[axis] for axis in kept):
            held = {kept.index(axis): at for axis, at in stack.at.items()}
            order = [
                None if axis is None else kept.index(axis)
                for axis in (stack.axis, *stack.frame_axes)
            ]
            views.append((order, held))
        if len(shape) == 3 and not {"T", "Z"} & set(axes.upper()):
            views.append((range(3), {}))  # nameless, and in the order of the frames
        found = (ArrayView(labels, order, held) for order, held in views)
        return next((view for view in found if view.shape == wanted), None)

    def write(self, path: Path, labels: Any) -> None:
        """Write computed labels; see `write_labels`."""
        write_labels(
            path,
            self.as_written(labels),
            axes=self.written,
            scale=[self.scale[axis] for axis in self.order],
            units=[self.units[axis] for axis in self.order],
            affine=self.affine,
        )


def _is_whole(opened: OpenedStack, letters: str) -> bool:
    """Return whether labels have all spatial axes of the image, so that its affine applies to them.

    Without all of them, labels of one slice would lie in the first slice.
    """
    sides = zip(opened.axes.upper(), opened.data.shape, strict=True)
    return all(letter in letters for letter, side in sides if letter in "XYZ" and side > 1)


def _letters(opened: OpenedStack, axes: dict[str, int | None], kind: StackKind) -> str:
    """Return a letter for every axis: the file's, or else a free one."""
    found: dict[str, str] = {}
    for role in ("rows", "columns", "video", "through"):
        number = axes.get(role)
        letter = "" if number is None else opened.axes[number].upper()
        if letter and letter in _LETTERS and letter not in found.values():
            found[role] = letter
    for role in ("rows", "columns", "video", "through"):
        if role in axes and role not in found:
            timed = role == "video" and kind is StackKind.TIME_LAPSE
            spare = ("T" if timed else "") + _SPARE[role]
            found[role] = next(each for each in spare if each not in found.values())
    return "".join(found[role] for role in axes)
