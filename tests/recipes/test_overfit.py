"""The region that a fresh network is overfitted on."""

from __future__ import annotations

import numpy as np
import pytest

from bundled_model.compare import probe_around
from bundled_model.overfit import RegionClips, cells_of, choose_region


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """320 x 640 pixels, squares of 10 pixels: few on the left, many on the right."""
    labels = np.zeros((320, 640), np.int32)
    corners = [(y, x) for y in range(4, 300, 60) for x in range(4, 300, 60)]
    corners += [(y, x) for y in range(4, 300, 20) for x in range(320, 620, 20)]
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + 10, x : x + 10] = number
    return labels


def test_cells_are_whole_and_not_too_small(labels):
    piece = labels[:100, :100].copy()
    piece[50:55, 50:55] = 999
    assert set(cells_of(piece)) == set(np.unique(labels[4:74, 4:74])) - {0}


@pytest.mark.parametrize("cells", [20, 150])
def test_the_region_holds_about_so_many_cells(labels, cells):
    region = choose_region(labels, cells)
    rows, columns = region
    assert (rows.stop - rows.start, columns.stop - columns.start) == (256, 512)
    found = len(cells_of(labels[region]))
    others = [
        len(cells_of(labels[y : y + 256, x : x + 512])) for y in (0, 64) for x in (0, 64, 128)
    ]
    assert abs(found - cells) == min(abs(each - cells) for each in others)


def test_clips_show_one_cell_as_it_is_and_click_inside_it(labels):
    image = (100 * (labels > 0)).astype(np.uint8)
    clips = RegionClips([probe_around(image, labels == number) for number in (1, 30)])
    clip = clips.draw(np.random.default_rng(0))
    assert clip.image.shape == clip.labels.shape == (1, 128, 128)
    bright = clip.image[0] > clip.image.max() / 2
    assert np.mean(bright == (clip.labels[0] == 1)) > 0.99
    x, y = clip.prompts.points[0].astype(int)
    assert clip.labels[0, y, x] == 1
