"""The baseline finds plain objects from one click, follows them, and obeys corrections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.evaluation import (
    BaselineMethod,
    Click,
    EvaluationOptions,
    ObjectPrompt,
    PromptKind,
    choose_prompts,
    iou,
)
from napari_sam2.evaluation.baseline.classical import ClassicalSegmenter
from napari_sam2.evaluation.baseline.grey_frame import GreyFrame
from napari_sam2.evaluation.interaction import Interaction
from napari_sam2.stack import FrameStack

KINDS = list(PromptKind)


def disks(*tracks: list[tuple[float, float, float]], side: int = 96) -> np.ndarray:
    """Labels of disks, one (y, x, radius) per frame and track; a radius of 0 is none."""
    y, x = np.mgrid[:side, :side]
    truth = np.zeros((len(tracks[0]), side, side), dtype=np.uint16)
    for number, track in enumerate(tracks, start=1):
        for plane, (row, column, radius) in zip(truth, track, strict=True):
            plane[np.hypot(y - row, x - column) < radius] = number
    return truth


def picture(truth: np.ndarray, inside: float, outside: float, noise: float = 6) -> np.ndarray:
    grain = np.random.default_rng(0).normal(0, noise, truth.shape)
    return np.clip(np.where(truth > 0, inside, outside) + grain, 0, 255).astype(np.uint8)


def segmented(image: np.ndarray, truth: np.ndarray, kind: PromptKind, rounds: int = 0) -> list:
    stack = FrameStack(image)
    prompts = choose_prompts(truth, EvaluationOptions(kind))
    segmenter = BaselineMethod().open(stack, [p.object_id for p in prompts], False)
    found = Interaction(segmenter, truth, prompts, rounds).run()
    assert found is not None
    return list(found.objects)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("inside", "outside"), [(180, 40), (40, 180)])
def test_bright_and_dark_objects_are_found_and_followed(kind, inside, outside):
    truth = disks(
        [(24, 20 + 2 * t, 10) for t in range(5)], [(60, 70 - 2 * t, 9 + t / 2) for t in range(5)]
    )
    for score in segmented(picture(truth, inside, outside), truth, kind):
        assert score.iou > 0.85


@pytest.mark.parametrize("kind", KINDS)
def test_touching_objects_are_parted(kind):
    truth = disks([(40, 30, 11)], [(40, 50, 11)])
    image = picture(truth, 180, 40)
    # A thin seam such as touching nuclei have.
    image[:, :, 40] = np.minimum(image[:, :, 40], 120)
    for score in segmented(image, truth, kind):
        assert score.iou > 0.75


def test_uneven_light_does_not_hide_a_dim_object():
    truth = disks([(24, 20, 8)], [(60, 70, 8)])
    image = picture(truth, 90, 30, noise=2)
    image[:, 40:, 50:] = np.clip(image[:, 40:, 50:].astype(int) + 120, 0, 255)
    assert segmented(image, truth, PromptKind.POINT)[0].iou > 0.8


def test_an_object_ends_where_it_is_no_longer_foreground():
    truth = disks([(40, 40, r) for r in (0, 0, 8, 10, 8, 0, 0)])
    (score,) = segmented(picture(truth, 180, 40), truth, PromptKind.POINT)
    assert score.iou > 0.85


def test_a_box_holds_its_mask():
    truth = disks([(40, 30, 11)])
    image = picture(disks([(40, 30, 11)], [(40, 44, 11)]), 180, 40)
    stack = FrameStack(image)
    (prompt,) = choose_prompts(truth, EvaluationOptions(PromptKind.BOX))
    segmenter = ClassicalSegmenter(stack, [1])
    segmenter.prompt(prompt)
    list(segmenter.propagate())
    mask = segmenter.masks.mask(1, 0)
    y0, x0, y1, x1 = (int(side) for side in prompt.box)
    assert mask.any()
    outside = np.ones_like(mask)
    outside[y0 : y1 + 1, x0 : x1 + 1] = False
    assert not (mask & outside).any()


def two_of_one() -> tuple[FrameStack, np.ndarray, ClassicalSegmenter]:
    """Two disks that touch, of which the left one is clicked: both are taken."""
    truth = disks([(40, 30, 11)])
    stack = FrameStack(picture(disks([(40, 30, 11)], [(40, 50, 11)]), 180, 40))
    segmenter = ClassicalSegmenter(stack, [1])
    segmenter.prompt(ObjectPrompt(1, 0, point=(40.0, 30.0)))
    list(segmenter.propagate())
    return stack, truth[0] == 1, segmenter


def test_a_background_click_gives_a_part_back():
    _, truth, segmenter = two_of_one()
    before = iou(segmenter.masks.mask(1, 0), truth)
    segmenter.correct(1, 0, Click((40.0, 52.0), positive=False))
    list(segmenter.propagate())
    mask = segmenter.masks.mask(1, 0)
    assert not mask[40, 52]
    assert mask[40, 30]
    assert iou(mask, truth) > before + 0.1


def test_a_click_on_what_is_missing_adds_it():
    truth = disks([(40, 30, 11)])
    image = picture(truth, 180, 40)
    image[:, :, 33:] = picture(truth, 60, 40)[:, :, 33:]
    stack = FrameStack(image)
    segmenter = ClassicalSegmenter(stack, [1])
    segmenter.prompt(ObjectPrompt(1, 0, point=(40.0, 25.0)))
    list(segmenter.propagate())
    before = segmenter.masks.mask(1, 0)
    assert not before[40, 37]
    segmenter.correct(1, 0, Click((40.0, 37.0), positive=True))
    list(segmenter.propagate())
    after = segmenter.masks.mask(1, 0)
    assert after[40, 37]
    assert iou(after, truth[0] == 1) > iou(before, truth[0] == 1)


def test_a_correction_in_another_frame_is_carried_on():
    truth = disks([(40, 30, 9)] * 3 + [(40, 62, 9)] * 3)
    stack = FrameStack(picture(truth, 180, 40))
    segmenter = ClassicalSegmenter(stack, [1])
    segmenter.prompt(ObjectPrompt(1, 0, point=(40.0, 30.0)))
    list(segmenter.propagate())
    assert not segmenter.masks.mask(1, 4).any()
    segmenter.correct(1, 4, Click((40.0, 62.0), positive=True))
    list(segmenter.propagate())
    for frame in range(len(truth)):
        assert iou(segmenter.masks.mask(1, frame), truth[frame] == 1) > 0.8


def test_a_background_click_in_the_middle_ends_a_wrong_mask():
    truth = disks([(40, 30, 9)] * 5)
    segmenter = ClassicalSegmenter(FrameStack(picture(truth, 180, 40)), [1])
    segmenter.prompt(ObjectPrompt(1, 0, point=(40.0, 30.0)))
    list(segmenter.propagate())
    segmenter.correct(1, 4, Click((40.0, 30.0), positive=False))
    list(segmenter.propagate())
    assert segmenter.masks.mask(1, 1).any()
    assert not segmenter.masks.mask(1, 4).any()


def test_a_click_on_a_dark_rim_does_not_flood_what_lies_behind_it():
    image = picture(disks([(40, 30, 11)], [(40, 56, 11)]), 180, 40)
    segmenter = ClassicalSegmenter(FrameStack(image), [1])
    segmenter.prompt(ObjectPrompt(1, 0, point=(40.0, 30.0)))
    list(segmenter.propagate())
    segmenter.correct(1, 0, Click((40.0, 43.0), positive=True))
    list(segmenter.propagate())
    mask = segmenter.masks.mask(1, 0)
    assert mask[40, 43]
    assert not mask[40, 56]


def test_what_a_background_click_leaves_is_followed_no_further_than_before():
    truth = disks([(40, 30, 9)] * 7)
    segmenter = ClassicalSegmenter(FrameStack(picture(truth, 180, 40)), [1])
    segmenter.prompt(ObjectPrompt(1, 0, point=(40.0, 30.0)))
    list(segmenter.propagate())
    before = [np.count_nonzero(segmenter.masks.mask(1, frame)) for frame in range(7)]
    segmenter.correct(1, 6, Click((40.0, 37.0), positive=False))
    list(segmenter.propagate())
    after = [np.count_nonzero(segmenter.masks.mask(1, frame)) for frame in range(7)]
    assert after[:6] == before[:6]
    assert after[6] < before[6]


def test_steps_are_as_many_as_planned():
    _, _, segmenter = two_of_one()
    assert len(list(segmenter.propagate())) == segmenter.planned()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), kind=st.sampled_from(KINDS), constant=st.booleans())
def test_whatever_the_pixels_masks_are_labels_of_the_objects(seed, kind, constant):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, (3, 12, 14)).astype(np.uint16)
    image = np.full(truth.shape, 7, np.uint8) if constant else rng.integers(0, 256, truth.shape)
    for score in segmented(image.astype(np.uint8), truth, kind, rounds=3):
        assert len(score.curve) == 4
        assert all(0 <= value <= 1 for value in score.curve)


def test_colour_counts_as_its_mean():
    grey = GreyFrame(np.full((6, 7, 3), (0.0, 0.3, 0.9), dtype=np.float32))
    assert grey.shape == (6, 7)
    assert grey.smoothed == pytest.approx(0.4)
