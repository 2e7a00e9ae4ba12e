"""Segmentation accuracy: bounds, identity, and no care for the numbers of ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import linear_sum_assignment

from napari_sam2.evaluation import segmentation_accuracy
from napari_sam2.evaluation.matching import Overlaps

FEW = settings(max_examples=60, deadline=None)
N = 4
labels = arrays.arrays(np.uint8, (2, 5, 6), elements=st.integers(0, N))


def overlaps_of(truth: np.ndarray, prediction: np.ndarray) -> Overlaps:
    common = np.zeros((N + 1, N + 1), dtype=int)
    np.add.at(common, (truth.ravel(), prediction.ravel()), 1)
    rows, columns = np.nonzero(common[1:, 1:])
    sizes = (common.sum(axis=1)[1:], common.sum(axis=0)[1:])
    return Overlaps(rows, columns, common[1:, 1:][rows, columns], *sizes)


def by_assignment(truth: np.ndarray, prediction: np.ndarray) -> list[float]:
    """The definition, by brute force: the best assignment at each threshold."""
    true = [truth == i for i in range(1, N + 1) if (truth == i).any()]
    predicted = [prediction == i for i in range(1, N + 1) if (prediction == i).any()]
    if not true and not predicted:
        return [1.0] * 10
    accuracies = []
    for threshold in np.arange(10, 20) / 20:
        hit = np.array(
            [[(t & p).sum() / (t | p).sum() >= threshold for p in predicted] for t in true]
        ).reshape(len(true), len(predicted))
        matched = hit[linear_sum_assignment(hit, maximize=True)].sum()
        accuracies.append(matched / (len(true) + len(predicted) - matched))
    return accuracies


@FEW
@given(truth=labels, prediction=labels)
def test_accuracy_is_that_of_the_best_assignment(truth, prediction):
    found = segmentation_accuracy(overlaps_of(truth, prediction))
    expected = by_assignment(truth, prediction)
    assert found.msa == pytest.approx(np.mean(expected))
    assert found.sa50 == pytest.approx(expected[0])
    assert 0 <= found.msa <= found.sa50 <= 1


@FEW
@given(truth=labels)
def test_the_truth_scores_one(truth):
    assert segmentation_accuracy(overlaps_of(truth, truth)).msa == 1.0


@FEW
@given(truth=labels, prediction=labels, order=st.permutations(range(1, N + 1)))
def test_numbers_of_ids_do_not_matter(truth, prediction, order):
    renumbered = np.array([0, *order], dtype=np.uint8)[prediction]
    assert segmentation_accuracy(overlaps_of(truth, renumbered)) == segmentation_accuracy(
        overlaps_of(truth, prediction)
    )


@FEW
@given(truth=labels, prediction=labels)
def test_truth_and_prediction_may_be_swapped(truth, prediction):
    there = segmentation_accuracy(overlaps_of(truth, prediction))
    assert there == segmentation_accuracy(overlaps_of(prediction, truth))


def test_one_object_is_matched_once_however_many_masks_cover_it():
    twice = Overlaps(
        truth=np.array([0, 0]),
        prediction=np.array([0, 1]),
        common=np.array([10, 10]),
        truth_sizes=np.array([10]),
        prediction_sizes=np.array([10, 10]),
    )
    assert segmentation_accuracy(twice).sa50 == 0.5


def test_thresholds_are_met_exactly():
    """An IoU of 13/20 is one of .65, though the binary fraction of .65 is a little above."""
    pair = Overlaps(np.array([0]), np.array([0]), np.array([13]), np.array([20]), np.array([13]))
    assert segmentation_accuracy(pair).msa == pytest.approx(0.4)
