"""Proposals of divisions from masks, without a network."""

from __future__ import annotations

import numpy as np
import pytest
from lineages import DIVISIONS, dividing

from napari_sam2.tracking.division_proposals import propose_divisions
from napari_sam2.types import Division


def propose(labels, *, drift=(0, 0), divisions=(), frames_back=3, **options):
    """Follow objects backward by standing still, or by moving by `drift` a frame."""
    numbers = np.unique(labels[labels > 0]).tolist()
    spans = {n: np.flatnonzero((labels == n).any(axis=(1, 2))).tolist() for n in numbers}

    def follow(child, first, count):
        mask = labels[first] == child
        for frame in range(first - 1, max(-1, first - 1 - count), -1):
            mask = np.roll(mask, drift, axis=(0, 1))
            yield frame, mask

    return propose_divisions(
        spans, lambda n, frame: labels[frame] == n, follow, divisions, frames_back, **options
    )


def test_parents_that_end_are_found():
    found = propose(dividing())
    assert [each.division for each in found] == list(DIVISIONS)
    assert all(each.new_id is None for each in found)


def test_a_parent_that_goes_on_gets_a_new_id_for_its_later_part():
    labels = dividing()
    labels[(labels == 3) | (labels == 5)] = 1
    found = propose(labels)
    assert [each.division for each in found] == [Division(1, (2, 7), 3)]
    assert found[0].new_id == 7
    assert found[0].key == (1, frozenset({2}))


@pytest.mark.parametrize("left", [1, 6])
def test_a_parent_that_was_tracked_too_far_does_not_hide_its_two_children(left):
    """What is left of it lies between them, or has taken pixels of one."""
    labels = np.zeros((6, 40, 40), np.uint16)
    labels[:3, 10:30, 10:30] = 1
    labels[3:, 10:30, 10:19], labels[3:, 10:30, 21:30] = 2, 3
    labels[3:, 12:26, 20 - left : 20] = 1
    (found,) = propose(labels)
    assert found.division == Division(1, (2, 3), 3)
    assert found.new_id is None


def test_known_divisions_are_not_proposed():
    assert propose(dividing(), divisions=DIVISIONS) == ()
    (left,) = propose(dividing(), divisions=DIVISIONS[:1])
    assert left.division == DIVISIONS[1]


def test_a_cell_that_enters_or_appears_elsewhere_has_no_parent():
    labels = np.zeros((4, 40, 40), np.uint8)
    labels[:, 5:15, 5:15] = 1
    labels[2:, 25:35, 25:35] = 2  # out of nothing
    labels[3:, 0:8, 30:38] = 3  # over the edge
    assert propose(labels) == ()


@pytest.mark.parametrize("size", [2, 20])
def test_children_of_implausible_size_are_not_proposed(size):
    labels = np.zeros((4, 40, 40), np.uint8)
    labels[:2, 5:25, 5:25] = 1
    labels[2:, 5 : 5 + size, 5 : 5 + size] = 2
    assert propose(labels) == ()


def test_a_parent_that_stays_whole_does_not_divide():
    """Something else appears over it, such as debris."""
    labels = np.zeros((4, 40, 40), np.uint8)
    labels[:, 5:25, 5:25] = 1
    labels[2:, 5:12, 18:25] = 2
    assert propose(labels) == ()


def test_a_parent_that_the_edge_cuts_has_no_area_to_compare():
    """It comes in while it divides: its children are larger than what was seen of it."""
    labels = np.zeros((4, 40, 40), np.uint8)
    labels[:2, 8:32, 0:4] = 1
    labels[2:, 7:20, 0:7], labels[2:, 20:33, 0:7] = 2, 3
    (found,) = propose(labels)
    assert found.division == Division(1, (2, 3), 2)
    assert found.area_ratio > 1.8
    assert propose(np.pad(labels, ((0, 0), (1, 1), (1, 1)))) == (), "the same away from the edge"
    assert propose(np.where(labels == 3, 0, labels)) == (), "a single one is not plausible there"


def test_a_child_that_the_edge_cuts_may_be_small():
    labels = np.zeros((4, 40, 40), np.uint8)
    labels[:2, 10:30, 0:20] = 1
    labels[2:, 10:30, 10:20], labels[2:, 15:20, 0:2] = 2, 3
    (found,) = propose(labels)
    assert found.division == Division(1, (2, 3), 2)
    (inside,) = propose(np.pad(labels, ((0, 0), (1, 1), (1, 1))))
    assert inside.division == Division(1, (2,), 2), "away from the edge it is debris"


def test_what_comes_in_beside_an_object_is_no_child():
    labels = np.zeros((4, 40, 40), np.uint8)
    labels[:, 10:30, 0:20] = 1
    labels[2:, 15:20, 0:2] = 2
    assert propose(labels) == ()


def test_an_object_that_was_hidden_in_its_neighbour_has_no_parent():
    """2 and 3 are one: in frame 2 the labels gave it to 1, which goes on."""
    labels = np.zeros((5, 40, 40), np.uint8)
    labels[:, 10:30, 5:20] = 1
    labels[:2, 10:30, 21:32] = 2
    labels[2, 10:30, 5:32] = 1
    labels[3:, 10:30, 21:32] = 3
    assert propose(labels) == ()
    labels[:2][labels[:2] == 2] = 0
    (found,) = propose(labels)
    assert found.division == Division(1, (3, 4), 3)


def test_a_grandparent_does_not_hide_a_division():
    """Followed back three frames, 4 and 5 lead through 2 into 1, which has ended too."""
    labels = np.zeros((6, 60, 60), np.uint8)
    labels[:2, 10:40, 10:40] = 1
    labels[2:4, 10:24, 10:40], labels[2:, 26:40, 10:40] = 2, 3
    labels[4:, 10:24, 10:24], labels[4:, 10:24, 26:40] = 4, 5
    found = propose(labels)
    assert [each.division for each in found] == [Division(1, (2, 3), 2), Division(2, (4, 5), 4)]


def test_progress_is_told_and_a_cancelled_search_proposes_nothing():
    told = []
    assert len(propose(dividing(), progress=told.append)) == 2
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert propose(dividing(), cancelled=lambda: True) == ()
    assert propose(dividing(), cancelled=lambda: len(told) > 6, progress=told.append) == ()
    assert len(told) == 7


def test_what_enters_beside_the_parent_does_not_hide_its_division():
    labels = np.zeros((6, 40, 40), np.uint8)
    labels[:4, 10:30, 10:30] = 1
    labels[4:, 10:30, 10:19], labels[4:, 10:30, 21:30] = 2, 3
    labels[1:, 12:14, 29:31] = 4  # in a corner of 1, too small for a child
    (found,) = propose(labels)
    assert found.division == Division(1, (2, 3), 4)


def test_the_pass_may_reach_the_parent_some_frames_before():
    labels = np.zeros((6, 40, 40), np.uint8)
    labels[:3, 10:30, 10:30] = 1
    labels[5, 10:30, 10:19], labels[5, 10:30, 21:30] = 2, 3
    (found,) = propose(labels)
    assert found.division == Division(1, (2, 3), 3)
    assert propose(labels, frames_back=2) == ()


def test_an_empty_mask_leads_nowhere():
    labels = dividing()
    assert propose(labels, drift=(40, 0)) != ()  # around the edge and back
    numbers = {4: [3], 1: [0, 1, 2]}
    nothing = propose_divisions(
        numbers,
        lambda n, frame: labels[frame] == n,
        lambda *_: [(2, np.zeros(labels.shape[1:], bool))],
        (),
        3,
    )
    assert nothing == ()


def test_an_object_that_the_pass_finds_nowhere_is_compared_with_the_frame_before():
    labels = dividing()
    spans = {2: [3, 4, 5], 3: [3, 4], 1: [0, 1, 2]}
    (found,) = propose_divisions(
        spans,
        lambda n, frame: labels[frame] == n,
        lambda *_: [(2, np.zeros(labels.shape[1:], bool))],
        (),
        3,
    )
    assert found.division == DIVISIONS[0]
