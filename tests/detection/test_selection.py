"""The choice among scored masks, and settings that no search could use."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.detection import (
    DetectionSettings,
    ScoredMask,
    select_masks,
    with_agreement,
)
from napari_sam2.errors import DetectionError
from napari_sam2.labels import PackedMask

SHAPE = (24, 30)


def box(y0: int, x0: int, y1: int, x1: int) -> PackedMask:
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return PackedMask.of(mask)


def selected(masks: list[ScoredMask], taken: np.ndarray | None = None, **options: object) -> list:
    nothing = np.zeros(SHAPE, bool)
    settings = DetectionSettings(**{"min_size": 4, **options})
    return select_masks(masks, nothing if taken is None else taken, settings, settings.min_score)


def test_the_better_of_two_masks_of_one_object_stays():
    found = selected([ScoredMask(0, box(2, 2, 12, 12), 0.6), ScoredMask(1, box(3, 3, 12, 12), 0.9)])
    assert [each.number for each in found] == [1]


def test_a_small_overlap_costs_pixels_and_no_object():
    found = selected(
        [ScoredMask(0, box(2, 2, 12, 12), 0.9), ScoredMask(1, box(2, 11, 12, 21), 0.8)]
    )
    assert [each.number for each in found] == [0, 1]
    assert not (found[0].mask.unpack() & found[1].mask.unpack()).any()
    assert found[1].mask.unpack().sum() == 90


def test_pixels_of_existing_objects_stay_theirs():
    taken = np.zeros(SHAPE, bool)
    taken[:, :10] = True
    before = taken.copy()
    found = selected(
        [ScoredMask(0, box(2, 2, 12, 12), 0.9), ScoredMask(1, box(2, 9, 12, 22), 0.8)], taken
    )
    assert [each.number for each in found] == [1]
    assert not (found[0].mask.unpack() & taken).any()
    assert np.array_equal(taken, before)


@pytest.mark.parametrize(
    ("options", "kept"),
    [({"min_size": 101}, []), ({"max_size": 99}, []), ({"min_size": 100, "max_size": 100}, [0])],
)
def test_sizes_are_areas_in_pixels(options, kept):
    found = selected([ScoredMask(0, box(2, 2, 12, 12), 0.9)], **options)
    assert [each.number for each in found] == kept


boxes = st.tuples(
    st.integers(0, 20), st.integers(0, 20), st.integers(1, 10), st.integers(1, 10)
).map(lambda b: box(b[0], b[1], min(b[0] + b[2], SHAPE[0]), min(b[1] + b[3], SHAPE[1])))


@given(st.lists(st.tuples(boxes, st.floats(0, 1)), max_size=12))
def test_selected_masks_never_overlap_and_are_large_enough(candidates):
    masks = [ScoredMask(n, mask, score) for n, (mask, score) in enumerate(candidates)]
    found = selected(masks)
    total = np.zeros(SHAPE, int)
    for each in found:
        total += each.mask.unpack()
        assert each.mask.unpack().sum() >= 4
        assert each.score >= 0.4
    assert total.max() <= 1
    assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)


def test_what_several_clicks_mean_stays_before_what_one_does():
    part, whole = box(2, 2, 12, 12), box(2, 2, 12, 18)
    masks = [ScoredMask(0, part, 0.75), *(ScoredMask(n, whole, 0.7) for n in (1, 2))]
    assert [each.number for each in selected(masks)] == [0], "unless it is known"
    (found,) = selected(with_agreement(masks))
    assert found.number == 1
    assert found.score == 0.7
    assert found.agreed


def test_many_clicks_that_mean_a_group_do_not_outweigh_its_objects():
    parts, group = [box(2, 2, 12, 9), box(2, 11, 12, 18)], box(2, 2, 12, 18)
    masks = [ScoredMask(n, mask, 0.8) for n, mask in enumerate(parts)]
    many = [ScoredMask(n, group, 0.65) for n in range(2, 12)]
    assert [each.number for each in selected(with_agreement([*masks, *many]))] == [0, 1]


@given(st.lists(boxes, max_size=12))
def test_masks_agree_whose_iou_is_above_seven_tenths(masks):
    counted = with_agreement([ScoredMask(n, mask, 0.5) for n, mask in enumerate(masks)])
    pixels = [mask.unpack() for mask in masks]
    for each in counted:
        own = pixels[each.number]
        ious = [(own & other).sum() / (own | other).sum() for other in pixels]
        assert each.agreed == (sum(iou > 0.7 for iou in ious) > 1)
        assert each.mask is masks[each.number]


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_size": 0},
        {"min_size": 3.5},
        {"min_size": 50, "max_size": 20},
        {"min_score": 1.5},
        {"max_overlap": float("nan")},
        {"points_per_side": 0},
        {"max_objects": True},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(DetectionError) as raised:
        DetectionSettings(**wrong)
    assert raised.value.remedy
