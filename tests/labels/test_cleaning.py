from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label

from napari_sam2.errors import LabelsError
from napari_sam2.labels import clean_mask


def drawn(*rows):
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def test_small_holes_are_filled_and_large_ones_stay():
    mask = np.ones((12, 12), bool)
    mask[2, 2] = False
    mask[5:8, 5:8] = False
    cleaned = clean_mask(mask, max_hole=8, min_island=0)
    assert cleaned[2, 2]
    assert not cleaned[5:8, 5:8].any()
    assert clean_mask(mask, max_hole=9, min_island=0).all()


def test_the_sizes_are_inclusive():
    mask = drawn("##....", "##.##.", "......")
    np.testing.assert_array_equal(clean_mask(mask, 0, 2), drawn("##....", "##....", "......"))
    np.testing.assert_array_equal(clean_mask(mask, 0, 1), mask)


def test_a_bay_at_the_edge_of_the_frame_is_no_hole():
    mask = np.ones((5, 5), bool)
    mask[0, 2] = False
    mask[2, 2] = False
    cleaned = clean_mask(mask, 4, 0)
    assert not cleaned[0, 2]
    assert cleaned[2, 2]


def test_a_closed_diagonal_line_encloses_a_hole():
    mask = drawn(".....", "..#..", ".#.#.", "..#..", ".....")
    assert clean_mask(mask, 1, 0)[2, 2]


def test_pixels_that_touch_at_a_corner_are_one_island():
    mask = drawn("###..", "###..", "...#.", ".....", "....#")
    np.testing.assert_array_equal(
        clean_mask(mask, 0, 1), drawn("###..", "###..", "...#.", ".....", ".....")
    )


def test_the_largest_component_is_never_dropped():
    mask = drawn("##..", "....", "...#")
    np.testing.assert_array_equal(clean_mask(mask, 0, 99), drawn("##..", "....", "...."))


def test_an_island_in_a_small_hole_is_filled_over():
    mask = np.ones((7, 7), bool)
    mask[2:5, 2:5] = False
    mask[3, 3] = True
    assert clean_mask(mask, 8, 1).all()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_what_cleaning_promises(mask, max_hole, min_island):
    before = mask.copy()
    cleaned = clean_mask(mask, max_hole, min_island)
    np.testing.assert_array_equal(mask, before)
    np.testing.assert_array_equal(clean_mask(cleaned, max_hole, min_island), cleaned)
    assert cleaned.any() == mask.any()
    islands = np.bincount(label(cleaned, connectivity=2).ravel())[1:]
    assert (islands > min_island).all() or len(islands) == 1
    # One ring of background around the frame joins all that reaches its edge.
    patches = label(np.pad(~cleaned, 1, constant_values=True), connectivity=1)
    holes = np.delete(np.bincount(patches.ravel()), [0, patches[0, 0]])
    assert (holes > max_hole).all()
    np.testing.assert_array_equal(clean_mask(mask, 0, 0), mask)


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(bool, (9, 9)), st.integers(1, 5), st.integers(1, 5))
def test_the_place_in_the_frame_does_not_matter(mask, top, left):
    larger = np.zeros((20, 20), bool)
    larger[top : top + 9, left : left + 9] = mask
    inside = np.pad(mask, 1)
    np.testing.assert_array_equal(
        clean_mask(larger, 4, 3)[top - 1 : top + 10, left - 1 : left + 10], clean_mask(inside, 4, 3)
    )


@pytest.mark.parametrize(
    ("mask", "sizes", "says"),
    [
        (np.ones((2, 3, 3), bool), (1, 1), "3D"),
        (np.ones((3, 3), np.uint8), (1, 1), "uint8"),
        (np.ones((3, 3), bool), (-1, 1), "negative"),
        (np.ones((3, 3), bool), (1, -1), "negative"),
    ],
)
def test_bad_input(mask, sizes, says):
    with pytest.raises(LabelsError, match=says):
        clean_mask(mask, *sizes)
