"""The computed stack is what its shape says, and its discs are where it says."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.benchmarking import DriftingDiscs
from napari_sam2.stack import FrameStack


@pytest.mark.parametrize("objects", [1, 2, 3, 10, 50])
def test_discs_are_apart_and_at_their_stated_centres(objects):
    discs = DriftingDiscs(400, 256, objects)
    for frame in (0, 79, 399):
        image = discs[frame]
        assert image.shape == (256, 256)
        centres = np.array([discs.centre(index, frame) for index in range(objects)])
        rows, columns = np.rint(centres).astype(int).T
        assert (image[rows, columns] == 180).all()
        gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2)
        assert (gaps[~np.eye(objects, dtype=bool)] > 2 * discs.radius).all()
        bright = (image == 180).sum()
        assert bright == pytest.approx(objects * np.pi * discs.radius**2, rel=0.1)


def test_it_is_a_stack_of_frames():
    stack = FrameStack(DriftingDiscs(5, 64, 1))
    assert stack.shape == (5, 64, 64)
    frames = [stack.read(index) for index in range(5)]
    assert not np.array_equal(frames[0], frames[4])
    np.testing.assert_array_equal(frames[3], stack.read(3))
