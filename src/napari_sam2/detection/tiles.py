"""Tiles of a frame at one scale, as inputs of the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.network.normalisation import normalise


class Tiles:
    """A frame, resized to a scale and cut into square tiles that overlap.

    Parameters
    ----------
    pixels : ndarray of float32, shape (Y, X, C)
        Values in 0..1; C is 1 or 3.
    scale : float
        Pixels of the network's input per pixel of the frame.
    side : int
        Side of a tile in pixels of the input.
    overlap : int
        Least overlap of neighbours, likewise.
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
        # A copy of pixels that cannot be written to: torch warns of them.
        image = torch.from_numpy(pixels.astype(np.float32, copy=True)).permute(2, 0, 1)[None]
        rows, columns = (max(1, round(length * scale)) for length in pixels.shape[:2])
        if scale != 1.0:
            size = (rows, columns)
            image = F.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(0, 1)
        beyond = max(0, side - columns), max(0, side - rows)
        self._image = F.pad(image, (0, beyond[0], 0, beyond[1]), mode="replicate")
        self._device = device
        self.shape = (rows + beyond[1], columns + beyond[0])
        self.corners = [
            (top, left)
            for top in _starts(self.shape[0], side, overlap)
            for left in _starts(self.shape[1], side, overlap)
        ]

    def batches(self, size: int) -> Iterator[tuple[Sequence[tuple[int, int]], Tensor]]:
        """Give corners and normalised inputs (B, 3, side, side), so many at once at most."""
        for start in range(0, len(self.corners), size):
            corners = self.corners[start : start + size]
            cut = [self._image[:, :, y : y + self.side, x : x + self.side] for y, x in corners]
            yield corners, normalise(torch.cat(cut).to(self._device))


def _starts(length: int, side: int, overlap: int) -> list[int]:
    """Return where tiles begin so that they cover a length evenly."""
    count = max(1, math.ceil((length - overlap) / (side - overlap)))
    return [round(first) for first in np.linspace(0, length - side, count)]
