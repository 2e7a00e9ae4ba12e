"""Contact sheets: some frames of a stack, bare above and with their labels below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import LabelsError
from napari_sam2.labels import overlay
from napari_sam2.stack import FrameStack

_TILE = 320
_LARGEST_TILE = 512
_GAP = 4
_WHITE = 255

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
        Of the file; one that is there is replaced.
    stack : FrameStack
    labels : ndarray of int, shape (T, Y, X)
    frames : sequence of int
        What to show; by default so many as there are columns, evenly spaced.
    columns : int
        Frames side by side.

    Raises
    ------
    LabelsError
        If the file cannot be written.
    """
    from skimage.io import imsave

    chosen = list(frames) or evenly_spaced(stack.n_frames, columns)
    sheet = draw_sheet(stack, labels, frames=chosen, columns=columns)
    try:
        imsave(path, sheet, check_contrast=False)
    except (OSError, ValueError) as error:
        raise LabelsError(
            f"The picture {path} cannot be written: {error}.",
            safe="The labels are not affected.",
            remedy="Name it .png, in a folder that you may write to.",
        ) from error


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
    rows: list[Picture] = []
    for start in range(0, len(frames), columns):
        shown = list(frames[start : start + columns])
        tiles = [_tiles(stack.read(frame), np.asarray(labels[frame])) for frame in shown]
        blank = np.full_like(tiles[0][0], _WHITE)
        missing = [blank] * (min(columns, len(frames)) - len(shown))
        rows += [_join([tile[part] for tile in tiles] + missing, axis=1) for part in (0, 1)]
    return _join(rows, axis=0)


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Choose `wanted` of `count` frames, the first and the last among them."""
    return sorted({round(frame) for frame in np.linspace(0, count - 1, min(wanted, count))})


def _tiles(image: NDArray[np.float32], plane: NDArray[np.integer[Any]]) -> tuple[Picture, Picture]:
    """Draw a frame bare and with its labels; outlines stay fine, as it grows before them."""
    side = max(plane.shape)
    grow = np.ones((max(1, _TILE // side),) * 2, dtype=np.uint8)
    shrink = max(1, round(side / _LARGEST_TILE))
    large_image, large_plane = np.kron(image, grow[..., np.newaxis]), np.kron(plane, grow)
    bare = overlay(large_image, np.zeros_like(large_plane))
    return _shrink(bare, shrink), _shrink(overlay(large_image, large_plane), shrink)


def _shrink(picture: Picture, factor: int) -> Picture:
    """Reduce by the mean of blocks; what does not fill a block is cut off."""
    rows, columns = (size // factor * factor for size in picture.shape[:2])
    blocks = picture[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor, 3)
    reduced: Picture = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    return reduced


def _join(pictures: Sequence[Picture], axis: int) -> Picture:
    shape = list(pictures[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, _WHITE, dtype=np.uint8)
    pieces = [piece for picture in pictures for piece in (picture, gap)]
    return np.concatenate(pieces[:-1], axis=axis)
