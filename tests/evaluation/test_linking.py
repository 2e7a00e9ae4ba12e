"""SEG and links against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from lineages import DIVISIONS, dividing

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.linking import score_tracks


def test_a_result_against_itself_is_perfect():
    labels = dividing()
    found = score_tracks(labels, labels, DIVISIONS, DIVISIONS)
    assert found.seg == 1
    assert found.link_accuracy == 1
    assert found.wrong_links == 0
    assert (found.found_divisions, found.true_divisions) == (4, 4)


def test_ids_do_not_matter():
    labels = dividing()
    found = score_tracks(labels, labels * 7)
    assert (found.seg, found.link_accuracy) == (1, 1)


def test_seg_is_the_mean_jaccard_index_of_true_objects():
    truth = np.zeros((1, 20, 20), np.uint8)
    truth[0, :10, :10], truth[0, 12:18, 12:18], truth[0, :4, 12:16] = 1, 2, 3
    made = np.zeros_like(truth)
    made[0, :10, :8] = 5  # 80 of 100
    made[0, 12:18, 12:15] = 6  # a half is too little
    made[0, :4, 10:18] = 7  # 16 of 32
    assert score_tracks(truth, made).seg == pytest.approx((0.8 + 0 + 0.5) / 3)


def test_a_switch_costs_a_link_and_makes_a_wrong_one():
    truth = np.zeros((3, 10, 20), np.uint8)
    truth[:, 2:6, 2:6], truth[:, 2:6, 12:16] = 1, 2
    made = truth.copy()
    made[2] = np.where(truth[2] > 0, 3 - truth[2], 0)
    found = score_tracks(truth, made)
    assert (found.true_links, found.found_links, found.wrong_links) == (4, 2, 2)
    assert found.link_accuracy == pytest.approx(2 / 6)


def test_a_missing_division_costs_its_links():
    labels = dividing()
    found = score_tracks(labels, labels, DIVISIONS, ())
    assert (found.found_divisions, found.true_divisions) == (0, 4)
    assert found.found_links == found.true_links - 4


def test_segmentations_of_some_frames():
    labels = dividing()
    found = score_tracks(labels, labels, segmented={2: np.roll(labels[2], 100, axis=1)})
    assert found.seg == 1
    assert score_tracks(labels, labels, segmented={2: labels[2, ::-1].copy()}).seg < 1


def test_nothing_has_no_score():
    empty = np.zeros((2, 4, 4), np.uint8)
    found = score_tracks(empty, empty)
    assert found.seg is None
    assert found.link_accuracy is None


def test_other_shapes_are_a_clear_error():
    with pytest.raises(EvaluationError, match="shape"):
        score_tracks(dividing(), dividing()[:3])
