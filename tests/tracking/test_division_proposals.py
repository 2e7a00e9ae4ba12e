"""Proposals of divisions from masks, without a network."""

from __future__ import annotations

import numpy as np
import pytest
from lineages import DIVISIONS, dividing

from napari_sam2.tracking.division_proposals import propose_divisions
from napari_sam2.types import Division


def propose(labels, *, drift=(0, 0), divisions=(), frames_back=3):
    """Follow objects backward by standing still, or by moving by `drift` a frame."""
    numbers = np.unique(labels[labels > 0]).tolist()
    spans = {n: np.flatnonzero((labels == n).any(axis=(1, 2))).tolist() for n in numbers}

    def follow(child, first, count):
        mask = labels[first] == child
        for frame in range(first - 1, max(-1, first - 1 - count), -1):
            mask = np.roll(mask, drift, axis=(0, 1))
            yield frame, mask

    return propose_divisions(
        spans, lambda n, frame: labels[frame] == n, follow, divisions, frames_back
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
