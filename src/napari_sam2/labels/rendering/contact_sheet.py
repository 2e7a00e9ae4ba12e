"""Contact sheets: several labelled frames in one picture, as pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_sam2.errors import LabelsError
from napari_sam2.labels.rendering.overlay import overlay

_BACKGROUND = 20
_GAP = 6
_FRAMES_BY_DEFAULT = 12


def contact_sheet(
    images: Any,
    labels: Any,
    frames: Sequence[int] | None = None,
    columns: int | None = None,
    *,
    alpha: float = 0.3,
    outline: float = 1.5,
    zoom: float = 1,
    caption: str = "{frame}",
) -> NDArray[np.uint8]:
    """Draw chosen frames with their labels in a grid.

    Parameters
    ----------
    images : indexed by frame
        ``images[frame]`` is a frame as `overlay` takes it: an array (T, Y, X[, C]), or a mapping
        of frame to image when only some are at hand.
    labels : indexed by frame
        ``labels[frame]`` is an array of int, shape (Y, X).
    frames : sequence of int, optional
        Which frames, in this order; by default up to 12, evenly spaced over the labels.
    columns : int, optional
        Frames per row; by default such that the sheet is about 16:9 and full.
    alpha, outline, zoom
        As in `overlay`.
    caption : str
        Written into each frame, with ``{frame}`` replaced by its number; empty for none.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        RGB.
    """
    chosen = evenly_spaced(len(labels), _FRAMES_BY_DEFAULT) if frames is None else list(frames)
    if not chosen or (columns is not None and columns < 1):
        raise LabelsError(
            f"There is nothing to draw: {len(chosen)} frame(s) in {columns} column(s).",
            remedy="Choose at least one frame and one column.",
        )
    tiles = [
        _captioned(
            overlay(images[frame], np.asarray(labels[frame]), alpha, outline, zoom=zoom),
            caption.format(frame=frame),
        )
        for frame in chosen
    ]
    if len({tile.shape for tile in tiles}) > 1:
        raise LabelsError(
            "The frames differ in size.", remedy="Draw frames of one stack at a time."
        )
    return _grid(tiles, columns or _columns(len(tiles), *tiles[0].shape[:2]))


def evenly_spaced(n_frames: int, most: int) -> list[int]:
    """Choose at most so many frames, the first and the last among them."""
    return [round(at) for at in np.linspace(0, n_frames - 1, min(most, n_frames))]


def _columns(n_tiles: int, height: int, width: int) -> int:
    def cost(columns: int) -> float:
        rows = math.ceil(n_tiles / columns)
        shape = math.log(columns * width / (rows * height) * 9 / 16)
        return abs(shape) + (rows * columns - n_tiles) / n_tiles

    return min(range(1, n_tiles + 1), key=cost)


def _captioned(tile: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    if not text:
        return tile
    picture = Image.fromarray(tile)
    size = max(9, round(min(tile.shape[:2]) / 16))
    ImageDraw.Draw(picture).text(
        (size / 2, size / 3),
        text,
        fill="white",
        font=ImageFont.load_default(size),
        stroke_width=max(1, size // 10),
        stroke_fill="black",
    )
    return np.array(picture)


def _grid(tiles: list[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    from skimage.util import montage

    sheet: NDArray[np.uint8] = montage(
        np.stack(tiles),
        fill=[_BACKGROUND] * 3,
        grid_shape=(math.ceil(len(tiles) / columns), columns),
        padding_width=_GAP,
        channel_axis=-1,
    )
    return sheet[_GAP:-_GAP, _GAP:-_GAP]  # gaps between the tiles only
