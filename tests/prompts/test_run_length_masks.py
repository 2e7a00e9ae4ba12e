from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from napari_sam2.errors import PromptError
from napari_sam2.prompts import decode_run_lengths, encode_run_lengths


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9)))
def test_round_trip_is_exact(mask):
    lengths = encode_run_lengths(mask)
    np.testing.assert_array_equal(decode_run_lengths(lengths, mask.shape), mask)
    assert sum(lengths) == mask.size
    assert all(length > 0 for length in lengths[1:])


def test_the_first_run_is_background():
    assert encode_run_lengths(np.array([[True, True, False]])) == [0, 2, 1]
    assert encode_run_lengths(np.array([[False, True], [True, False]])) == [1, 2, 1]


def test_transposed_masks_are_read_row_by_row():
    mask = np.zeros((3, 5), bool)
    mask[1, 2:4] = True
    np.testing.assert_array_equal(decode_run_lengths(encode_run_lengths(mask.T), (5, 3)), mask.T)


@pytest.mark.parametrize(
    "lengths", [[], [5], [2, 5], [-1, 10], [4, -1, 6], [4.0, 5], [True, 8], ["4", 5], [10**30]]
)
def test_damaged_lengths_are_an_error(lengths):
    with pytest.raises(PromptError) as caught:
        decode_run_lengths(lengths, (3, 3))
    assert caught.value.remedy
