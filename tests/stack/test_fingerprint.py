"""Images are told apart by a few of their pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_sam2.stack import FrameStack
from napari_sam2.stack.fingerprint import fingerprint_of, same_fingerprint

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


@pytest.mark.parametrize("leading", [(3, 3), (2, 2), (5, 2, 5), (3, 3, 3), (1, 3, 3)])
def test_equally_long_axes_that_change_places_are_another_image(leading):
    image = np.random.default_rng(2).integers(0, 99, (*leading, 8, 9)).astype(np.uint8)
    found = fingerprint_of(image)
    for a, b in itertools.combinations(range(len(leading)), 2):
        if leading[a] == leading[b]:
            other = fingerprint_of(image.swapaxes(a, b))
            assert not same_fingerprint(found, other)
            assert not same_fingerprint(other, found)


def test_earlier_versions_kept_the_first_part_of_a_fingerprint():
    found = fingerprint_of(np.zeros((3, 3, 8, 9)))
    first, _, rest = found.partition("-")
    assert rest
    assert same_fingerprint(found, found)
    assert same_fingerprint(first, found)
    assert not same_fingerprint(rest, found)
    assert "-" not in fingerprint_of(np.zeros((1, 1, 3, 8, 9)))


def test_byte_order_is_no_difference():
    assert fingerprint_of(NOISE.astype(">u2")) == fingerprint_of(NOISE)


def test_large_planes_colours_and_single_images_are_read():
    colours = np.random.default_rng(1).integers(0, 255, (3, 300, 400, 3)).astype(np.uint8)
    assert fingerprint_of(colours) != fingerprint_of(colours[::-1])
    assert fingerprint_of(NOISE[0]) != fingerprint_of(NOISE[1])


def test_what_cannot_be_read_has_no_fingerprint():
    assert fingerprint_of(Broken()) is None
    assert FrameStack(Broken()).fingerprint() == (None, None, None)
