from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.errors import PromptError
from napari_sam2.prompts import decode_run_lengths, encode_run_lengths
from napari_sam2.prompts.run_length_masks import run_lengths_of_labels, run_lengths_within


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


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)), st.data())
def test_a_mask_is_encoded_from_the_part_that_holds_it(mask, data):
    height, width = mask.shape
    y0, x0 = data.draw(st.integers(0, height)), data.draw(st.integers(0, width))
    y1, x1 = data.draw(st.integers(y0, height)), data.draw(st.integers(x0, width))
    whole = np.zeros_like(mask)
    whole[y0:y1, x0:x1] = mask[y0:y1, x0:x1]
    lengths = run_lengths_within(mask[y0:y1, x0:x1], (y0, x0), mask.shape)
    assert lengths.tolist() == encode_run_lengths(whole)


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        np.uint64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.sampled_from([0, 1, 7, 2**40, 2**64 - 1]),
    )
)
def test_all_masks_of_a_plane_are_encoded_in_one_pass(labels):
    found = run_lengths_of_labels(labels, [2**40, 7, 1, 5])
    assert {number: lengths.tolist() for number, lengths in found.items()} == {
        number: encode_run_lengths(labels == number) for number in (1, 5, 7, 2**40)
    }
