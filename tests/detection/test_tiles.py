"""Tiles cover a frame; those of an enlarged frame are cut out of it, which is never held."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_sam2.detection.tiles import Tiles
from napari_sam2.network.image_encoder import normalise

CPU = torch.device("cpu")


def picture(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).random((rows, columns, 1)).astype(np.float32)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(20, 31), (70, 45), (130, 97)])
def test_tiles_are_what_they_would_be_of_the_whole_resized_frame(shape, scale):
    pixels, side = picture(*shape), 64
    tiles = Tiles(pixels, scale, side, 16, CPU)
    size = tuple(round(length * scale) for length in shape)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    whole = F.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    whole = F.pad(whole, (0, max(0, side - size[1]), 0, max(0, side - size[0])), mode="replicate")
    covered = np.zeros(tiles.shape, bool)
    for corners, images in tiles.batches(2):
        for (top, left), tile in zip(corners, images, strict=True):
            covered[top : top + side, left : left + side] = True
            expected = normalise(whole[:, :, top : top + side, left : left + side])[0]
            assert torch.allclose(tile, expected, atol=1e-4)
    assert covered.all()


def test_an_enlarged_frame_is_not_held():
    tiles = Tiles(picture(300, 300), 2.0, 64, 16, CPU)
    assert tiles._image.numel() < 1.1 * 300 * 300
