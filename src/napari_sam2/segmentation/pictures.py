"""Contact sheets as PNG files: frames of a stack, and below them the same with labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2._atomic import writing
from napari_sam2.errors import FrameError, LabelsError
from napari_sam2.labels.rendering.contact_sheet import contact_sheet, evenly_spaced
from napari_sam2.stack import FrameStack

_SMALL, _LARGE = 320, 512
_GAP, _DARK = 6, 20

Picture = NDArray[np.uint8]


def write_sheet(
    path: Path,
    stack: FrameStack,
    labels: NDArray[np.integer[Any]],
    *,
    frames: Sequence[int] = (),
    columns: int = 6,
) -> None:
    """Draw a contact sheet into a PNG file.

    Parameters
    ----------
    path : Path
        Path of the file; an existing file is replaced.
    stack : FrameStack
    labels : ndarray of int, shape (T, Y, X)
    frames : sequence of int
        Frames to show; by default one per column, evenly spaced.
    columns : int
        Frames side by side.

    Raises
    ------
    LabelsError
        If the file is not named .png or cannot be written.
    """
    from skimage.io import imsave

    check_picture(path)
    chosen = list(frames) or evenly_spaced(stack.n_frames, columns)
    sheet = draw_sheet(stack, labels, frames=chosen, columns=columns)
    with writing(path, "The picture", LabelsError, "The labels are not affected.") as temporary:
        imsave(temporary, sheet, check_contrast=False)


def check_picture(path: Path) -> None:
    """Check that a picture's file is named .png.

    Raises
    ------
    LabelsError
        If it is not.
    """
    if path.suffix.lower() != ".png":
        raise LabelsError(
            f"A picture is written as PNG, not as {path.name}.", remedy="Name it .png."
        )


def draw_sheet(
    stack: FrameStack,
    labels: NDArray[np.integer[Any]],
    *,
    frames: Sequence[int],
    columns: int,
) -> Picture:
    """Draw rows of frames, each followed by the same frames with their labels.

    Small frames are enlarged and large ones reduced to tiles of about the same size.

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
    """
    zoom = _zoom(max(stack.frame_shape))
    images = {frame: _picture(stack, frame) for frame in frames}
    planes = {frame: np.asarray(labels[frame]) for frame in frames}
    nothing = {frame: np.zeros_like(plane) for frame, plane in planes.items()}
    width = min(columns, len(frames))
    rows = [frames[start : start + width] for start in range(0, len(frames), width)]
    strips = [
        contact_sheet(images, shown, row, width, zoom=zoom, caption=caption)
        for row in rows
        for shown, caption in ((nothing, "{frame}"), (planes, ""))
    ]
    gap = np.full((_GAP, *strips[0].shape[1:]), _DARK, dtype=np.uint8)
    return np.concatenate([part for strip in strips for part in (strip, gap)][:-1])


def _picture(stack: FrameStack, frame: int) -> NDArray[np.float32]:
    """Read a frame; one that cannot be read is black."""
    try:
        return stack.read(frame)
    except FrameError:
        return np.zeros((*stack.frame_shape, stack.n_channels), np.float32)


def _zoom(side: int) -> float:
    return _SMALL // side if side < _SMALL else 1 / max(1, round(side / _LARGE))
