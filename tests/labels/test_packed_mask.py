"""Masks kept small: exact, and cheap even in large frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.labels import PackedMask

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(shapes.flatmap(lambda shape: hnp.arrays(bool, shape)))
@settings(deadline=None)
def test_a_mask_comes_back_to_the_pixel(mask):
    packed = PackedMask.of(mask)
    np.testing.assert_array_equal(packed.unpack(), mask)
    assert packed.any() == mask.any()
    assert packed.shape == mask.shape


def test_what_is_given_out_is_a_copy():
    packed = PackedMask.of(np.ones((3, 4), bool))
    packed.unpack()[:] = False
    assert packed.unpack().all()


def test_a_cell_in_a_large_frame_takes_next_to_nothing():
    yy, xx = np.ogrid[:2048, :2048]
    cell = (yy - 700) ** 2 + (xx - 900) ** 2 < 60**2
    assert len(PackedMask.of(cell).bits) < 1000
    assert len(PackedMask.of((yy + xx) % 4096 > 1000).bits) < 2048 * 2048 / 100
    assert PackedMask.of(np.zeros((2048, 2048), bool)).bits == b""


@pytest.mark.parametrize("mask", [np.zeros((5, 7), bool), np.eye(7, dtype=bool)[:5]])
def test_the_part_in_the_box_is_all_of_the_mask(mask):
    box, part = PackedMask.of(mask).part()
    pasted = np.zeros_like(mask)
    pasted[box] = part
    assert np.array_equal(pasted, mask)
    assert part.sum() == mask.sum()
