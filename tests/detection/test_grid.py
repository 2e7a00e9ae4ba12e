"""The grid of points: duplicates, and networks without dense heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from known_masks import TINY, known_masks

from napari_sam2.detection import DetectionSettings, FrameInput, find_candidates
from napari_sam2.detection.grid import without_duplicates


def iou(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    area = [float(np.prod(each[2:] - each[:2])) for each in (one, other)]
    return shared / (sum(area) - shared)


numbers = st.integers(0, 30)


@given(
    st.lists(st.tuples(numbers, numbers, st.integers(1, 9), st.integers(1, 9)), max_size=15),
    st.floats(0.1, 0.9),
)
def test_no_two_boxes_that_stay_coincide_and_each_that_goes_has_a_better_one(corners, largest):
    boxes = np.array([(y, x, y + h, x + w) for y, x, h, w in corners], float).reshape(-1, 4)
    scores = np.linspace(1, 0, len(boxes))
    kept = without_duplicates(boxes, scores, largest)
    for n, one in enumerate(kept):
        assert all(iou(boxes[one], boxes[other]) <= largest + 1e-9 for other in kept[:n])
    for gone in set(range(len(boxes))) - set(kept):
        assert any(iou(boxes[gone], boxes[k]) > largest - 1e-9 for k in kept if k < gone)


@pytest.mark.parametrize("follows", [False, True])
def test_a_network_without_dense_heads_is_asked_by_a_grid(follows):
    # Every click of this network means a disc with a predicted IoU near .85.
    frame = FrameInput(
        known_masks(), torch.device("cpu"), 64, follows, np.full((64, 96, 1), 0.5, np.float32)
    )
    settings = DetectionSettings(points_per_side=4, min_iou=0.5, min_stability=0.5)
    done: list[float] = []
    with torch.inference_mode():
        found = find_candidates(frame, settings, done.append)
    assert found
    assert all(0 <= each.y < 64 and 0 <= each.x < 96 for each in found)
    assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)
    assert done[-1] == pytest.approx(1.0)
    if not follows:
        assert len(found) <= 16
        assert {round(each.y) for each in found} <= {8, 24, 40, 56, 7, 23, 39, 55}
    with torch.inference_mode():
        assert find_candidates(frame, DetectionSettings(min_iou=1.0), done.append) == []


def test_objects_that_the_frame_cuts_off_are_candidates_and_those_of_tiles_are_not():
    # Discs of a radius of 14; two tiles of 64 x 64 pixels, which overlap by 44.
    network = known_masks(config=replace(TINY, object_windows=True))
    pixels = np.full((64, 84, 1), 0.5, np.float32)
    frame = FrameInput(network, torch.device("cpu"), 64, True, pixels)
    settings = DetectionSettings(min_iou=0.5, min_stability=0.5, max_box_iou=0.99)
    with torch.inference_mode():
        found = find_candidates(frame, settings, lambda done: None)
    places = np.array([(each.y, each.x) for each in found])
    assert places.min() < 6
    assert places[:, 0].max() > 58
    assert places[:, 1].max() > 78
    # Points lie 8 pixels apart, from the fourth of a tile on, and the second tile begins at 20.
    assert {x % 8 for x in places[:, 1] if x > 52} == {7.5}, "none that the first tile cuts off"
    assert {x % 8 for x in places[:, 1] if x < 32} == {3.5}, "none that the second tile cuts off"
