"""Properties and known values of the metrics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation import boundary_f, dice, iou
from napari_sam2.evaluation.metrics import mask_boundary

METRICS = [iou, dice, boundary_f]
FEW = settings(max_examples=25, deadline=None)
shapes = st.tuples(st.integers(1, 12), st.integers(1, 12))
masks = shapes.flatmap(lambda shape: arrays.arrays(bool, shape))
pairs = shapes.flatmap(
    lambda shape: st.tuples(arrays.arrays(bool, shape), arrays.arrays(bool, shape))
)


def disk(radius: float, centre: tuple[float, float], side: int = 64) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - centre[0], x - centre[1]) <= radius


@pytest.mark.parametrize("metric", METRICS)
@FEW
@given(mask=masks)
def test_a_mask_agrees_with_itself(metric, mask):
    assert metric(mask, mask) == 1.0


@pytest.mark.parametrize("metric", METRICS)
@FEW
@given(pair=pairs)
def test_agreement_is_symmetric_and_between_zero_and_one(metric, pair):
    first, second = pair
    value = metric(first, second)
    assert 0.0 <= value <= 1.0
    assert value == pytest.approx(metric(second, first))


@pytest.mark.parametrize("metric", METRICS)
@FEW
@given(pair=pairs)
def test_mirroring_both_masks_changes_nothing(metric, pair):
    first, second = pair
    assert metric(first[::-1].T, second[::-1].T) == pytest.approx(metric(first, second))


@FEW
@given(pair=pairs)
def test_dice_follows_from_iou(pair):
    overlap = iou(*pair)
    assert dice(*pair) == pytest.approx(2 * overlap / (1 + overlap))


@FEW
@given(pair=pairs)
def test_boundary_f_grows_with_the_tolerance(pair):
    values = [boundary_f(*pair, tolerance=tolerance) for tolerance in (0, 1, 2, 20)]
    assert values == sorted(values)


@FEW
@given(mask=masks)
def test_the_boundary_lies_inside_and_is_never_lost(mask):
    boundary = mask_boundary(mask)
    assert not np.any(boundary & ~mask)
    assert boundary.any() == mask.any()


def test_iou_of_known_masks_in_three_dimensions():
    first = np.zeros((2, 4, 4), dtype=bool)
    second = first.copy()
    first[:, :2] = True
    second[:, 1:3] = True
    assert iou(first, second) == pytest.approx(8 / 24)
    assert dice(first, second) == pytest.approx(0.5)


@pytest.mark.parametrize("metric", METRICS)
def test_something_against_nothing_scores_zero(metric):
    empty = np.zeros((8, 8), dtype=bool)
    assert metric(empty, ~empty) == 0.0
    assert metric(~empty, empty) == 0.0


def test_boundary_f_forgives_a_shift_within_the_tolerance_only():
    truth, shifted = disk(12, (30, 30)), disk(12, (30, 33))
    assert boundary_f(truth, shifted, tolerance=3) == 1.0
    assert boundary_f(truth, shifted, tolerance=1) < 0.7


def test_boundary_f_measures_a_shape_that_iou_hardly_measures():
    truth = disk(20, (32, 32))
    ragged = truth.copy()
    ragged[10:54:2, 32] = False
    assert iou(ragged, truth) > 0.97
    assert boundary_f(ragged, truth, tolerance=1) < 0.95


def test_default_tolerance_is_that_of_davis():
    truth, shifted = disk(12, (30, 30)), disk(12, (30, 31))
    assert boundary_f(truth, shifted) == boundary_f(truth, shifted, tolerance=1)


@pytest.mark.parametrize("metric", METRICS)
def test_masks_of_different_shapes_are_refused(metric):
    with pytest.raises(EvaluationError, match=r"\(3, 3\) and \(3, 4\)"):
        metric(np.ones((3, 3), dtype=bool), np.ones((3, 4), dtype=bool))


def test_a_boundary_needs_a_plane_and_a_tolerance_that_is_not_negative():
    cube = np.ones((2, 3, 3), dtype=bool)
    with pytest.raises(EvaluationError, match="boundary"):
        boundary_f(cube, cube)
    with pytest.raises(EvaluationError, match="negative"):
        boundary_f(cube[0], cube[0], tolerance=-1)
