"""Masks: their boxes; packed exactly, and cheap even in large frames; holes and islands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label

from napari_sam2.errors import LabelsError
from napari_sam2.labels import PackedMask, clean_mask
from napari_sam2.labels.masks import apart, box_of, placed, size_of, spanning, within

edges = st.tuples(st.integers(0, 12), st.integers(1, 5), st.integers(0, 12), st.integers(1, 5))
boxes = st.none() | edges.map(lambda e: (slice(e[0], e[0] + e[1]), slice(e[2], e[2] + e[3])))


def pixels(*given):
    plane = np.zeros((20, 20), bool)
    for box in given:
        if box is not None:
            plane[box] = True
    return plane


@given(hnp.arrays(np.uint16, (6, 7), elements=st.integers(0, 1)))
@settings(deadline=None)
def test_a_box_holds_all_pixels_and_no_empty_edge(plane):
    box = box_of(plane)
    if box is None:
        assert not plane.any()
        return
    part = plane[box]
    assert part.shape == size_of(box)
    assert part.sum() == plane.sum()
    assert all(edge.any() for edge in (part[0], part[-1], part[:, 0], part[:, -1]))


@given(st.lists(boxes, max_size=7))
@settings(deadline=None)
def test_a_span_is_the_box_of_all(given_boxes):
    assert spanning(given_boxes) == box_of(pixels(*given_boxes))


@given(st.lists(boxes, max_size=9))
@settings(deadline=None)
def test_groups_share_no_pixel_and_lose_nobody(given_boxes):
    groups = apart(given_boxes)
    members = [index for _, group in groups for index in group]
    assert sorted(members) == [i for i, box in enumerate(given_boxes) if box is not None]
    assert all(group == sorted(group) for _, group in groups)
    for span, group in groups:
        assert span == spanning([given_boxes[index] for index in group])
    covered = sum(pixels(span).astype(int) for span, _ in groups)
    assert np.max(covered) <= 1


def test_what_lies_apart_stays_apart():
    near, far = (slice(0, 3), slice(0, 3)), (slice(3, 6), slice(0, 3))
    assert apart([near, far]) == [(near, [0]), (far, [1])]


@pytest.mark.parametrize("outer", [(slice(2, 9), slice(3, 9)), (slice(0, 20), slice(0, 20))])
def test_a_box_is_found_again_from_within_another(outer):
    box = (slice(4, 6), slice(5, 9))
    assert placed(within(box, outer), outer) == box
    plane = np.arange(400).reshape(20, 20)
    np.testing.assert_array_equal(plane[outer][within(box, outer)], plane[box])


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


@given(hnp.arrays(bool, (2, 5, 6)))
@settings(deadline=None)
def test_what_two_masks_share_is_counted_in_pixels(masks):
    one, other = masks
    common, either = (one & other).sum(), (one | other).sum()
    smaller = min(one.sum(), other.sum())
    shared = PackedMask.of(one).shared_with(PackedMask.of(other))
    assert shared == ((common / smaller, common / either) if common else (0.0, 0.0))


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
