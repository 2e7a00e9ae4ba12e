"""Scores counted frame by frame equal those computed from whole stacks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_sam2.evaluation import EvaluationOptions, boundary_f, choose_prompts, dice, iou
from napari_sam2.evaluation.label_masks import LabelMasks, StoredMasks
from napari_sam2.evaluation.scoreboard import Scoreboard
from napari_sam2.evaluation.scores import FrameScore

shape = (3, 6, 7)
labels = arrays.arrays(np.uint16, shape, elements=st.integers(0, 3))

ALONE = FrameScore((0.5,), 0.25, ())


def board_of(truth: np.ndarray) -> Scoreboard:
    return Scoreboard(truth, choose_prompts(truth, EvaluationOptions()))


@settings(max_examples=25, deadline=None)
@given(truth=labels, prediction=labels)
def test_counted_scores_equal_those_of_whole_stacks(truth, prediction):
    board, masks = board_of(truth), LabelMasks(prediction, [1, 2, 3])
    board.measure(masks)
    for score in board.scores(masks, [ALONE] * 3):
        true, predicted = truth == score.object_id, prediction == score.object_id
        seen = [t for t in range(len(truth)) if true[t].any() or predicted[t].any()]
        assert score.iou == pytest.approx(iou(predicted, true))
        assert score.dice == pytest.approx(dice(predicted, true))
        assert score.j == pytest.approx(np.mean([iou(predicted[t], true[t]) for t in seen]))
        assert score.f == pytest.approx(np.mean([boundary_f(predicted[t], true[t]) for t in seen]))
        alive = [t for t in range(len(truth)) if true[t].any()]
        assert score.life == pytest.approx(np.mean([iou(predicted[t], true[t]) for t in alive]))
        assert score.frames == sum(true[t].any() for t in range(len(truth)))
        assert score.curve == (score.iou,)
        assert score.in_frame is ALONE


@settings(max_examples=25, deadline=None)
@given(truth=labels, prediction=labels)
def test_the_worst_frame_has_the_most_wrong_pixels(truth, prediction):
    board = board_of(truth)
    board.measure(LabelMasks(prediction, [1, 2, 3]))
    prompts = choose_prompts(truth, EvaluationOptions())
    for prompt, worst in zip(prompts, board.worst_frames(), strict=True):
        wrong = np.sum((truth == prompt.object_id) ^ (prediction == prompt.object_id), axis=(1, 2))
        assert (worst is None) == (wrong.max() == 0)
        assert worst is None or wrong[worst] == wrong.max()


@settings(max_examples=25, deadline=None)
@given(truth=labels, prediction=labels)
def test_overlaps_count_pixels_over_all_frames(truth, prediction):
    board = board_of(truth)
    board.measure(LabelMasks(prediction, [1, 2, 3]))
    ids = sorted(set(truth[truth > 0].tolist()))
    overlaps = board.overlaps()
    assert overlaps.truth_sizes.tolist() == [np.count_nonzero(truth == i) for i in ids]
    assert overlaps.prediction_sizes.tolist() == [np.count_nonzero(prediction == i) for i in ids]
    for true, predicted, common in zip(
        overlaps.truth, overlaps.prediction, overlaps.common, strict=True
    ):
        both = (truth == ids[true]) & (prediction == ids[predicted])
        assert common == np.count_nonzero(both)


def test_the_truth_scores_one():
    truth = np.zeros(shape, dtype=np.uint16)
    truth[1:, 2:4] = 5
    board, masks = board_of(truth), LabelMasks(truth, [5])
    board.measure(masks)
    (score,) = board.scores(masks, [ALONE] * 3)
    assert (score.object_id, score.prompt_frame, score.frames) == (5, 2, 2)
    assert (score.iou, score.dice, score.j, score.f) == (1.0, 1.0, 1.0, 1.0)
    assert score.diameter == pytest.approx(2 * np.sqrt(14 / np.pi))
    assert board.worst_frames() == (None,)


def test_frames_without_a_mask_count_as_absent_and_overshoot_counts_against():
    truth = np.zeros(shape, dtype=np.uint16)
    truth[:2, :2] = 1
    board, masks = board_of(truth), StoredMasks(shape[1:])
    masks.record(1, 1, truth[1] == 1)
    masks.record(1, 2, truth[0] == 1)
    masks.record(9, 2, truth[0] == 1)
    board.measure(masks)
    (score,) = board.scores(masks, [ALONE] * 3)
    assert score.iou == pytest.approx(1 / 3)
    assert score.j == pytest.approx(1 / 3)


def test_measuring_again_replaces_the_counts_and_extends_the_curve():
    truth = np.zeros((1, 4, 4), dtype=np.uint16)
    truth[0, 1] = 1
    board, masks = board_of(truth), StoredMasks((4, 4))
    masks.record(1, 0, np.ones((4, 4), dtype=bool))
    board.measure(masks)
    masks.record(1, 0, truth[0] == 1)
    board.measure(masks)
    assert board.scores(masks, [ALONE] * 3)[0].curve == (0.25, 1.0)
