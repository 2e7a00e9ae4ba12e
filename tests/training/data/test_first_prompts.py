from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.training.data.first_prompts import (
    border_distance,
    choose_objects,
    correction_points,
    first_prompts,
)


def scene(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 50), np.int32)
    for object_id in (3, 7, 9):
        y, x = rng.integers(0, 34), rng.integers(0, 44)
        labels[y : y + 6, x : x + 6] = object_id
    return labels


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), central=st.sampled_from([0.0, 1.0]))
def test_clicks_lie_on_their_objects_and_boxes_in_the_frame(seed, central):
    labels = scene(seed)
    rng = np.random.default_rng(seed)
    ids = choose_objects(labels, rng, most=8, min_area=1)
    prompts = first_prompts(labels, ids, rng, central=central)
    for object_id, (x, y), (x0, y0, x1, y1) in zip(
        prompts.object_ids, prompts.points, prompts.boxes, strict=True
    ):
        assert labels[int(y), int(x)] == object_id
        assert 0 <= x0 <= x1 <= 49
        assert 0 <= y0 <= y1 <= 39


def test_central_click_is_the_most_interior_pixel():
    labels = np.zeros((21, 21), np.int32)
    labels[5:14, 7:16] = 2
    prompts = first_prompts(labels, np.array([2], np.int32), np.random.default_rng(0), central=1.0)
    assert prompts.points.tolist() == [[11.0, 9.0]]


def test_boxes_without_jitter_are_tight():
    labels = np.zeros((20, 30), np.int32)
    labels[4:9, 10:22] = 1
    prompts = first_prompts(labels, np.array([1], np.int32), np.random.default_rng(0), jitter=0.0)
    assert prompts.boxes.tolist() == [[10.0, 4.0, 21.0, 8.0]]


def test_small_objects_are_not_chosen():
    labels = np.zeros((10, 10), np.int32)
    labels[0, 0] = 1
    labels[3:8, 3:8] = 2
    rng = np.random.default_rng(0)
    assert choose_objects(labels, rng, most=5, min_area=4).tolist() == [2]


def test_touching_objects_have_a_border_between_them():
    labels = np.ones((5, 8), np.int32)
    labels[:, 4:] = 2
    distance = border_distance(labels)
    assert distance[2, 3] == distance[2, 4] == 0.5
    assert distance[2, 0] == distance[2, 7] == 3.5
    assert border_distance(np.ones((4, 6), np.int32)).min() == 6


def test_corrections_fall_on_errors():
    target = torch.zeros(3, 16, 16, dtype=torch.bool)
    target[:, 4:8, 4:8] = True
    predicted = target.clone()
    predicted[0, 4:8, 4:6] = False  # missed part
    predicted[1, 10:12, 10:12] = True  # spilled part
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        points, labels = correction_points(predicted, target, generator)
        assert labels.tolist() == [1, 0, 1]
        (x0, y0), (x1, y1), (x2, y2) = points.int().tolist()
        assert 4 <= y0 < 8
        assert 4 <= x0 < 6
        assert 10 <= y1 < 12
        assert 10 <= x1 < 12
        assert target[2, y2, x2]


def test_corrective_clicks_prefer_the_middle_of_what_is_wrong():
    target = torch.zeros(1, 40, 40, dtype=torch.bool)
    target[:, :, :12] = True  # a wide miss
    predicted = torch.zeros_like(target)
    predicted[:, :, 39] = True  # a thin line too much
    generator = torch.Generator().manual_seed(0)
    clicks = [correction_points(predicted, target, generator)[0][0] for _ in range(200)]
    columns = torch.stack(clicks)[:, 0]
    assert (columns < 12).float().mean() > 0.95
    assert ((columns >= 3) & (columns < 9)).sum() > (columns < 3).sum()


@pytest.mark.parametrize("missed", [True, False])
def test_a_central_correction_is_the_innermost_pixel_of_the_largest_wrong_region(missed):
    right = torch.zeros(2, 30, 40, dtype=torch.bool)
    right[:, 2:6, 2:6] = True
    wrong = right.clone()
    wrong[0, 10:19, 20:35] = True  # the largest region; its middle row is 14
    wrong[0, 25:28, 4:30] = True  # longer, with fewer pixels
    predicted, target = (right, wrong) if missed else (wrong, right)
    points, labels = correction_points(predicted, target, central=1.0)
    assert points[0, 1] == 14
    assert 24 <= points[0, 0] <= 30
    assert labels[0] == int(missed)
    x, y = points[1].int().tolist()
    assert target[1, y, x], "without anything wrong the click is on the object"
