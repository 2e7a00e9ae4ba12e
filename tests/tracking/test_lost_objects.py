"""Which found masks are those of objects that were lost."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.labels import PackedMask
from napari_sam2.tracking.lost_objects import (
    REACH,
    LastMask,
    find_last_masks,
    find_remnants,
    match_lost,
)

SHAPE = (30, 40)


def box(y0: int, x0: int, y1: int, x1: int) -> PackedMask:
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return PackedMask.of(mask)


def always(frame: int, mask: PackedMask) -> float:
    return 0.9


def test_a_mask_on_where_an_object_was_lost_is_that_object():
    lost = [LastMask(3, 5, box(2, 2, 12, 12)), LastMask(4, 5, box(2, 20, 12, 30))]
    found = [box(20, 20, 28, 28), box(4, 3, 14, 13)]
    assert match_lost(7, found, lost, always) == {1: 3}


def test_every_object_goes_on_once_and_as_the_mask_that_shares_most():
    lost = [LastMask(3, 5, box(2, 2, 22, 12))]
    found = [box(2, 2, 9, 12), box(8, 2, 22, 12), box(9, 2, 21, 12)]
    assert match_lost(6, found, lost, always) == {1: 3}
    two = [LastMask(3, 5, box(2, 2, 12, 12)), LastMask(4, 5, box(3, 3, 12, 12))]
    assert len(match_lost(6, [box(2, 2, 12, 12)], two, always)) == 1


@pytest.mark.parametrize(("seen", "goes_on"), [(0.9, True), (0.1, False), (None, False)])
def test_an_object_that_nothing_was_seen_of_in_between_has_ended(seen, goes_on):
    asked: list[int] = []

    def look(frame: int, mask: PackedMask) -> float | None:
        asked.append(frame)
        return seen

    lost = [LastMask(3, 9, box(2, 2, 12, 12))]
    assert bool(match_lost(6, [box(2, 2, 12, 12)], lost, look)) is goes_on
    assert set(asked) == {7, 8}
    assert match_lost(8, [box(2, 2, 12, 12)], lost, look) == {0: 3}, "nothing lies in between"


def test_the_haze_where_an_object_has_ended_is_told_from_what_else_is_found():
    lost = [LastMask(3, 5, box(2, 2, 12, 12)), LastMask(4, 5, box(2, 20, 12, 30))]
    found = [box(3, 3, 10, 10), box(3, 21, 10, 29), box(20, 20, 28, 28)]
    assert find_remnants(found, lost, lambda object_id, mask: object_id == 4) == {1}
    assert find_remnants(found, lost, lambda object_id, mask: True) == {0, 1}
    assert find_remnants(found, [], lambda object_id, mask: True) == frozenset()


def test_the_nearest_masks_within_reach_are_found():
    labels = np.zeros((20, *SHAPE), int)
    labels[10, 1, 1] = 1  # it is there
    labels[[8, 9], 2, 2] = 2
    labels[9, 2, 3] = 2
    labels[10 + REACH, 3, 3] = 3
    labels[10 - REACH - 1, 4, 4] = 4  # too far away
    masks = {
        each.object_id: each
        for each in find_last_masks(10, frozenset({1, 2, 3, 4}), 20, lambda frame: labels[frame])
    }
    assert {number: each.frame for number, each in masks.items()} == {2: 9, 3: 10 + REACH}
    assert masks[2].mask.unpack().sum() == 2
