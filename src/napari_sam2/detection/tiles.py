"""Tiles of a frame at one scale, as inputs of the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.network.image_encoder import normalise

_MARGIN = 4  # pixels of the frame around an enlarged tile, for the interpolation


class Tiles:
    """A frame, resized to a scale and cut into square tiles that overlap.

    An enlarged frame is not kept as a whole: its tiles are enlarged one by one.

    Parameters
    ----------
    pixels : ndarray of float32, shape (Y, X, C)
        Values in 0..1; C is 1 or 3.
    scale : float
        Pixels of the network's input per pixel of the frame; a whole number above 1.
    side : int
        Side of a tile in pixels of the input.
    overlap : int
        Least overlap of neighbours, in pixels of the input.
    device : torch.device

    Attributes
    ----------
    corners : list of (int, int)
        First row and column of every tile in pixels of the input.
    shape : (int, int)
        Rows and columns of the resized frame, at least a tile.
    """

    def __init__(
        self,
        pixels: NDArray[np.float32],
        scale: float,
        side: int,
        overlap: int,
        device: torch.device,
    ) -> None:
        self.scale, self.side = scale, side
        # A copy: torch warns of arrays that are read-only.
        image = torch.from_numpy(pixels.astype(np.float32, copy=True)).permute(2, 0, 1)[None]
        self._times = times = max(1, round(scale))  # enlargement of a tile when it is cut
        if scale < 1.0:
            rows, columns = (max(1, round(length * scale)) for length in pixels.shape[:2])
            size = (rows, columns)
            image = F.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(0, 1)
        rows, columns = (length * times for length in image.shape[2:])
        self.shape = max(rows, side), max(columns, side)
        self._image = image if times > 1 else _padded(image, self.shape)
        self._device = device
        self.corners = [
            (top, left)
            for top in _starts(self.shape[0], side, overlap, times)
            for left in _starts(self.shape[1], side, overlap, times)
        ]

    def batches(self, size: int) -> Iterator[tuple[Sequence[tuple[int, int]], Tensor]]:
        """Yield corners and normalised inputs (B, 3, side, side); B is at most `size`."""
        for start in range(0, len(self.corners), size):
            corners = self.corners[start : start + size]
            cut = torch.cat([self._cut(*corner) for corner in corners])
            yield corners, normalise(cut.to(self._device))

    def _cut(self, top: int, left: int) -> Tensor:
        """Return one tile (1, C, side, side)."""
        times, side = self._times, self.side
        if times == 1:
            return self._image[:, :, top : top + side, left : left + side]
        y, x, length = top // times, left // times, -(-side // times)
        y0, x0 = max(0, y - _MARGIN), max(0, x - _MARGIN)
        around = self._image[:, :, y0 : y + length + _MARGIN, x0 : x + length + _MARGIN]
        enlarged = F.interpolate(around, scale_factor=times, mode="bicubic", antialias=True)
        row, column = (y - y0) * times, (x - x0) * times
        inside = enlarged[:, :, row : row + side, column : column + side]
        return _padded(inside.clamp(0, 1), (side, side))


def _padded(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """Pad an image (1, C, h, w) to a shape by repetition of its last row and column."""
    down, right = shape[0] - image.shape[2], shape[1] - image.shape[3]
    return F.pad(image, (0, right, 0, down), mode="replicate") if down or right else image


def _starts(length: int, side: int, overlap: int, step: int) -> list[int]:
    """Return first pixels of tiles that cover a length evenly, at multiples of a step."""
    count = max(1, math.ceil((length - overlap) / (side - overlap)))
    return [round(first / step) * step for first in np.linspace(0, length - side, count)]
