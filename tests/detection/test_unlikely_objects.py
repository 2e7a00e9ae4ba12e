"""What a search leaves out: noise, debris, gaps, and what another frame shows better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.detection import ScoredMask, is_clearer, tiny, unlikely
from napari_sam2.labels import PackedMask

SHAPE = (120, 150)
GOOD = 0.8
NOTHING = np.zeros(SHAPE, np.int32)


def squares(count: int, side: int = 12) -> np.ndarray:
    """Labels of so many squares, ten to a row."""
    labels = NOTHING.copy()
    for number in range(count):
        y, x = 3 + 15 * (number // 10), 2 + 15 * (number % 10)
        labels[y : y + side, x : x + side] = number + 1
    return labels


def found_in(labels: np.ndarray, scores: dict[int, float] | None = None) -> list[ScoredMask]:
    ids = [number for number in np.unique(labels).tolist() if number]
    given = {} if scores is None else scores
    return [
        ScoredMask(n, PackedMask.of(labels == number), given.get(number, 0.6), True)
        for n, number in enumerate(ids)
    ]


def brightness_of(labels: np.ndarray, dark: set[int]) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0.5, 0.01, SHAPE)
    step = np.where(labels == 0, 0.0, np.where(np.isin(labels, list(dark)), -0.2, 0.2))
    return (noise + step).astype(np.float32)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_few_that_are_dark_among_bright_ones_are_gaps(sign):
    labels = squares(10)
    frame = sign * brightness_of(labels, {3, 8})
    marks = unlikely(found_in(labels), NOTHING, frame, GOOD)
    assert np.flatnonzero(marks).tolist() == [2, 7]


def test_dark_and_bright_objects_in_one_frame_both_stay():
    labels = squares(10)
    assert not unlikely(found_in(labels), NOTHING, brightness_of(labels, {3, 5, 8}), GOOD).any()


@pytest.mark.parametrize(("there", "gaps"), [(8, True), (7, False)])
def test_many_gaps_do_not_outvote_the_objects_that_were_there_before(there, gaps):
    labels = squares(12)
    before = np.where(labels <= there, labels, 0)
    new = np.where(labels > there, labels, 0)
    marks = unlikely(found_in(new), before, brightness_of(labels, set(range(9, 13))), GOOD)
    dark = [number >= 9 for number in range(there + 1, 13)]
    assert marks.tolist() == [each and gaps for each in dark]


def test_of_few_objects_none_is_a_gap():
    labels = squares(7)
    assert not unlikely(found_in(labels), NOTHING, brightness_of(labels, {3}), GOOD).any()


def test_a_dark_object_with_a_good_score_stays():
    labels = squares(10)
    marks = unlikely(found_in(labels, {3: 0.8}), NOTHING, brightness_of(labels, {3, 8}), GOOD)
    assert np.flatnonzero(marks).tolist() == [7]


def test_objects_that_are_there_already_say_which_side_is_that_of_gaps():
    labels = squares(10)
    there = np.where(labels > 2, labels + 5, 0)
    new = np.where(labels <= 2, labels, 0)
    marks = unlikely(found_in(new), there, brightness_of(labels, {2}), GOOD)
    assert marks.tolist() == [False, True]
    full = np.where(labels > 2, labels, 99)  # no pixel is free but those of the new ones
    assert unlikely(found_in(new), full, brightness_of(labels, {2}), GOOD)[1]


@pytest.mark.parametrize("sign", [1, -1])
def test_what_hardly_stands_out_beside_a_good_object_is_noise(sign):
    labels = squares(4)
    step = np.array([0.0, 0.4, 0.02, 0.06, 0.02])[labels]
    noise = np.random.default_rng(0).normal(0.5, 0.002, SHAPE)
    frame = (noise + sign * step).astype(np.float32)
    marks = unlikely(found_in(labels, {1: 0.9, 4: 0.8}), NOTHING, frame, GOOD)
    assert marks.tolist() == [False, True, False, False], "a good score stays, however faint"
    assert not unlikely(found_in(labels), NOTHING, frame, GOOD).any(), "none of them is surely one"
    there, new = np.where(labels == 1, 1, 0), np.where(labels == 1, 0, labels)
    assert unlikely(found_in(new), there, frame, GOOD).tolist() == [True, False, True]


def test_what_stands_out_by_its_rims_is_no_noise():
    labels = squares(3)
    frame = np.where(labels == 1, 0.9, 0.5)
    inside = (np.roll(labels, (2, 2), (0, 1)) == 2) & (np.roll(labels, (-2, -2), (0, 1)) == 2)
    frame += np.where(labels == 2, np.where(inside, -0.1, 0.08), 0.0)
    assert abs(frame[labels == 2].mean() - 0.5) < 0.4 / 12, "it is as bright as what is around it"
    marks = unlikely(found_in(labels, {1: 0.9}), NOTHING, frame.astype(np.float32), GOOD)
    assert marks.tolist() == [False, False, True]


def test_an_object_that_fills_the_frame_tells_nothing():
    labels = np.ones(SHAPE, np.int32)
    labels[3:15, 2:14] = 0
    frame = brightness_of(labels, {1})
    assert not unlikely(found_in(1 - labels), np.where(labels, 7, 0), frame, GOOD).any()
    marks = unlikely(found_in(np.ones(SHAPE, np.int32)), NOTHING, frame, GOOD)
    assert marks.tolist() == [False]


def test_gaps_do_not_say_what_is_tiny():
    labels = squares(9)
    labels[100:112, 20:22] = 10  # 24 of 144 pixels: a sixth
    labels[40:95, 5:140] = 11  # a large gap
    found = [
        each._replace(agreed=False) if each.number == 9 else each
        for each in found_in(labels, {10: 0.7})
    ]
    assert np.flatnonzero(unlikely(found, NOTHING, brightness_of(labels, {11}), GOOD)).tolist() == [
        10
    ]
    smaller = np.where((labels == 10) & (np.arange(150) == 21), 0, labels)
    found = [
        each._replace(agreed=False) if each.number == 9 else each for each in found_in(smaller)
    ]
    marks = unlikely(found, NOTHING, brightness_of(smaller, {11}), GOOD)
    assert np.flatnonzero(marks).tolist() == [9, 10]


def test_nothing_found_is_nothing_unlikely():
    assert unlikely([], NOTHING, brightness_of(NOTHING, set()), GOOD).shape == (0,)


def test_what_is_tiny_beside_the_others_is_debris():
    assert tiny([400, 380, 420, 30, 31, 40]).tolist() == [False] * 3 + [True, True, False]


def test_objects_that_are_there_already_say_what_is_tiny():
    assert tiny([30, 25], there=[400, 380, 420, 390]).tolist() == [True, True]
    assert tiny([30, 25]).tolist() == [False, False]


def test_background_that_was_taken_for_an_object_does_not_make_nuclei_debris():
    assert not tiny([60_000, *[300] * 30]).any()
    assert not tiny([60_000, 50_000, *[300] * 300]).any(), "they are what the frame shows"


def test_what_only_one_click_means_must_be_larger():
    areas, alone = [400, 380, 420, 50, 60, 70], np.array([True] * 4 + [False, True])
    assert tiny(areas, alone=alone).tolist() == [False] * 3 + [True, False, False]
    many = [400, 400, 400, 380, *[60] * 9, 30]
    assert tiny(many, alone=np.ones(14, bool)).tolist() == [False] * 13 + [True], (
        "so many are what the frame shows; the smallest one is tiny anyhow"
    )


@given(st.lists(st.integers(1, 10**6), max_size=30), st.integers(2, 9))
def test_what_is_tiny_does_not_depend_on_scale_and_is_never_the_largest(areas, factor):
    found = tiny(areas)
    assert np.array_equal(found, tiny([factor * area for area in areas]))
    assert not any(out and area == max(areas) for out, area in zip(found, areas, strict=True))
    assert sum(area for out, area in zip(found, areas, strict=True) if out) <= sum(areas) / 4


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("corner", [0, 20, 44])
def test_what_has_twice_the_contrast_is_clearer(corner, sign):
    mask = np.zeros((64, 64), bool)
    mask[corner : corner + 20, corner : corner + 20] = True
    noise = np.random.default_rng(0).normal(0.5, 0.01, mask.shape).astype(np.float32)
    packed = PackedMask.of(mask)

    def frame(contrast: float) -> np.ndarray:
        return (noise + sign * contrast * mask).astype(np.float32)

    assert is_clearer(packed, frame(0.1), frame(0.25))
    assert not is_clearer(packed, frame(0.1), frame(0.15))
    assert not is_clearer(packed, frame(0.1), frame(-0.25)), "what is dark is not what was bright"
    assert not is_clearer(packed, frame(0.25), frame(0.1))
    assert not is_clearer(packed, frame(0.0), frame(0.002)), "that is noise"
