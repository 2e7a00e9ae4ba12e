"""Images are told apart by a few of their pixels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.stack import FrameStack
from napari_sam2.stack.fingerprint import fingerprint_of

NOISE = np.random.default_rng(0).integers(0, 1000, (5, 40, 50)).astype(np.uint16)


class Broken:
    shape, dtype, ndim = NOISE.shape, NOISE.dtype, 3

    def __getitem__(self, index):
        raise OSError("bad sector")


def test_equal_pixels_are_one_image():
    assert fingerprint_of(NOISE) == fingerprint_of(NOISE.copy())
    assert FrameStack(NOISE).fingerprint() == FrameStack(NOISE.copy()).fingerprint()


@pytest.mark.parametrize("frame", [0, 2, 4])
def test_other_pixels_are_another_image(frame):
    other = NOISE.copy()
    other[frame, 3, 3] += 1
    assert fingerprint_of(other) != fingerprint_of(NOISE)
    assert FrameStack(other).fingerprint() != FrameStack(NOISE).fingerprint()


def test_another_type_or_shape_is_another_image():
    assert fingerprint_of(NOISE.astype(np.int32)) != fingerprint_of(NOISE)
    assert fingerprint_of(NOISE[:4]) != fingerprint_of(NOISE)
    assert fingerprint_of(NOISE.reshape(1, 5, 40, 50)) != fingerprint_of(NOISE)


def test_byte_order_is_no_difference():
    assert fingerprint_of(NOISE.astype(">u2")) == fingerprint_of(NOISE)


def test_large_planes_colours_and_single_images_are_read():
    colours = np.random.default_rng(1).integers(0, 255, (3, 300, 400, 3)).astype(np.uint8)
    assert fingerprint_of(colours) != fingerprint_of(colours[::-1])
    assert fingerprint_of(NOISE[0]) != fingerprint_of(NOISE[1])


def test_what_cannot_be_read_has_no_fingerprint():
    assert fingerprint_of(Broken()) is None
    assert FrameStack(Broken()).fingerprint() == (None, None, None)
