"""Scores added up from masks equal those computed from whole stacks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_sam2.evaluation import EvaluationOptions, boundary_f, choose_prompts, iou
from napari_sam2.evaluation.scoreboard import Scoreboard

shape = (3, 6, 7)
labels = arrays.arrays(np.uint16, shape, elements=st.integers(0, 3))


def board_of(truth: np.ndarray) -> Scoreboard:
    return Scoreboard(truth, choose_prompts(truth, EvaluationOptions()))


@settings(max_examples=25, deadline=None)
@given(truth=labels, prediction=labels)
def test_streamed_scores_equal_those_of_whole_stacks(truth, prediction):
    board = board_of(truth)
    board.record_labels(prediction)
    for score in board.scores():
        true, predicted = truth == score.object_id, prediction == score.object_id
        seen = [t for t in range(len(truth)) if true[t].any() or predicted[t].any()]
        assert score.iou == pytest.approx(iou(predicted, true))
        assert score.j == pytest.approx(np.mean([iou(predicted[t], true[t]) for t in seen]))
        assert score.f == pytest.approx(np.mean([boundary_f(predicted[t], true[t]) for t in seen]))
        assert score.frames == sum(true[t].any() for t in range(len(truth)))


def test_the_truth_scores_one():
    truth = np.zeros(shape, dtype=np.uint16)
    truth[1:, 2:4] = 5
    board = board_of(truth)
    board.record_labels(truth)
    (score,) = board.scores()
    assert (score.object_id, score.prompt_frame, score.frames) == (5, 2, 2)
    assert (score.iou, score.j, score.f) == (1.0, 1.0, 1.0)


def test_frames_without_a_mask_count_as_absent_and_overshoot_counts_against():
    truth = np.zeros(shape, dtype=np.uint16)
    truth[:2, :2] = 1
    board = board_of(truth)
    board.record(1, (1,), [truth[1] == 1])
    board.record(2, (1, 9), [truth[0] == 1, truth[0] == 1])
    (score,) = board.scores()
    assert score.iou == pytest.approx(1 / 3)
    assert score.j == pytest.approx(1 / 3)


def test_a_mask_recorded_again_replaces_the_earlier():
    truth = np.zeros((1, 4, 4), dtype=np.uint16)
    truth[0, 1] = 1
    board = board_of(truth)
    board.record(0, (1,), [np.ones((4, 4), dtype=bool)])
    board.record(0, (1,), [truth[0] == 1])
    assert board.scores()[0].iou == 1.0
