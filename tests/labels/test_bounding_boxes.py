"""Boxes of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.labels.bounding_boxes import apart, box_of, placed, size_of, spanning, within

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
