"""Masks that a search finds are those of objects that were followed, parts of them, or new."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.labels import PackedMask
from napari_sam2.tracking.followed_objects import FollowedMatch, match_followed

NOTHING = FollowedMatch({}, {}, {})


def box(y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    mask = np.zeros((40, 60), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def seen(labels: np.ndarray, *masks: np.ndarray, followed: set[int] | None = None) -> FollowedMatch:
    ids = set(np.unique(labels[labels > 0]).tolist()) if followed is None else followed
    return match_followed(labels, ids, [PackedMask.of(mask) for mask in masks])


ONE = np.where(box(10, 10, 30, 40), 7, 0)  # 20 x 30
TWO = np.where(box(10, 10, 30, 25), 3, np.where(box(10, 25, 30, 40), 4, 0))


def test_a_mask_that_is_as_good_says_nothing():
    assert seen(ONE, box(10, 10, 30, 40)) == NOTHING
    assert seen(ONE, box(8, 8, 31, 41)) == NOTHING


def test_a_mask_that_shrank_is_renewed():
    small = np.where(box(15, 18, 25, 30), 7, 0)
    assert seen(small, box(10, 10, 30, 40)) == FollowedMatch({0: 7}, {}, {})


def test_a_mask_of_less_than_the_object_renews_nothing():
    assert seen(ONE, box(10, 10, 30, 20)) == NOTHING


def test_an_object_that_is_found_as_two_has_become_both():
    assert seen(ONE, box(0, 50, 5, 55), box(10, 10, 30, 24), box(10, 26, 30, 40)) == FollowedMatch(
        {}, {7: (1, 2)}, {}
    )


@pytest.mark.parametrize(
    "parts",
    [
        [box(10, 10, 30, 19), box(10, 20, 30, 27)],
        [box(10, 10, 30, 38), box(10, 38, 30, 40)],
        [box(10, 10, 30, 20), box(10, 20, 30, 30), box(10, 30, 30, 40)],
        [box(0, 10, 30, 24), box(10, 26, 30, 40)],
    ],
    ids=["too little of it", "one is a rim", "three", "one lies outside"],
)
def test_other_parts_of_an_object_are_no_daughters(parts):
    assert not seen(ONE, *parts).divided


def test_a_part_that_is_a_daughter_renews_nothing():
    assert seen(ONE, box(10, 10, 30, 32), box(10, 33, 30, 40)) == FollowedMatch({}, {7: (0, 1)}, {})


def test_two_objects_that_are_found_as_one_are_not_apart_yet():
    assert seen(TWO, box(9, 9, 31, 41)) == FollowedMatch({}, {}, {0: (3, 4)})


def test_a_third_object_or_one_that_lies_elsewhere_is_no_half():
    three = np.where(box(10, 40, 30, 45), 5, TWO)
    assert seen(three, box(9, 9, 31, 46)) == NOTHING
    assert seen(TWO, box(9, 9, 31, 32)) == NOTHING


def test_objects_that_are_decided_or_looked_at_are_left_alone():
    small = np.where(box(15, 18, 25, 30), 7, 0)
    assert seen(small, box(10, 10, 30, 40), followed=set()) == NOTHING
    assert seen(TWO, box(9, 9, 31, 41), followed={3}) == NOTHING
    halves = box(10, 10, 30, 24), box(10, 26, 30, 40)
    assert seen(ONE, *halves, followed={8}) == NOTHING


corners = st.integers(0, 30), st.integers(0, 50), st.integers(1, 10), st.integers(1, 10)
boxes = st.tuples(*corners).map(lambda c: (c[0], c[1], c[0] + c[2], c[1] + c[3]))


@given(st.lists(boxes, min_size=1, max_size=5), st.lists(boxes, max_size=6))
def test_every_object_is_meant_in_one_way_by_masks_that_exist(objects, masks):
    labels = np.zeros((40, 60), dtype=int)
    for number, each in enumerate(objects, start=1):
        labels[box(*each)] = number
    free = np.ones(labels.shape, dtype=bool)
    disjoint = []
    for each in masks:  # as a search selects them
        mask = box(*each) & free
        if mask.any():
            disjoint.append(mask)
            free &= ~mask
    found = seen(labels, *disjoint)
    there = set(np.unique(labels).tolist()) - {0}
    assert set(found.divided) | set(found.renewed.values()) <= there
    assert not set(found.divided) & set(found.renewed.values())
    used = [*found.renewed, *found.joined, *(n for pair in found.divided.values() for n in pair)]
    assert len(used) == len(set(used))
    assert all(0 <= number < len(disjoint) for number in used)
    halves = [each for pair in found.joined.values() for each in pair]
    assert len(halves) == len(set(halves))
