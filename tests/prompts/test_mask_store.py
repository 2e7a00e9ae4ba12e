"""Many masks by frame and object: exact, small, and unpacked one at a time."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.prompts import MaskStore, encode_run_lengths

masks = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(1, 5)), hnp.arrays(bool, (6, 7)), max_size=5
)


@given(masks)
@settings(deadline=None)
def test_masks_come_back_to_the_pixel(given_masks):
    store = MaskStore(given_masks.items())
    assert store.keys() == given_masks.keys()
    assert len(store) == len(given_masks)
    for pair, mask in store.items():
        np.testing.assert_array_equal(mask, given_masks[pair])
        assert store.lengths(pair) == encode_run_lengths(given_masks[pair])
        assert store.shape(pair) == (6, 7)


def test_masks_are_read_only_and_missing_ones_are_missing():
    store = MaskStore([((0, 1), np.ones((2, 2), bool))])
    with pytest.raises(ValueError, match="read-only"):
        store[0, 1][:] = False
    assert (1, 1) not in store
    with pytest.raises(KeyError):
        store[1, 1]


def test_never_more_than_a_mask_or_two_are_whole():
    def cell(frame: int) -> np.ndarray:
        mask = np.zeros((500, 500), bool)
        mask[100:160, frame : frame + 50] = True
        return mask

    tracemalloc.start()
    try:
        store = MaskStore(((frame, 1), cell(frame)) for frame in range(200))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store) == 200
    assert peak < 20 * 500 * 500, "a tenth of all masks"
