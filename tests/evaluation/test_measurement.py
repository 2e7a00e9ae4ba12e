"""Several protocols in one go give what each of them gives alone, by the bundled model."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2 import load_model
from napari_sam2.evaluation import (
    STANDARD_PROTOCOLS,
    BaselineMethod,
    EvaluationOptions,
    ModelMethod,
    OverlapRule,
    PromptKind,
    PromptProtocol,
)
from napari_sam2.evaluation.interaction import StackScores
from napari_sam2.evaluation.measurement import Measurement
from napari_sam2.stack import FrameStack

CLICK, BOX, THREE = STANDARD_PROTOCOLS


@pytest.fixture(scope="module")
def method() -> ModelMethod:
    return ModelMethod(load_model("bundled", device="cpu"))


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Three frames of two disks that touch."""
    y, x = np.mgrid[:96, :128]
    labels = np.zeros((3, 96, 128), dtype=np.uint16)
    for frame, plane in enumerate(labels):
        plane[np.hypot(y - 40, x - 40 - frame) < 14] = 1
        plane[np.hypot(y - 46, x - 66 - frame) < 13] = 2
    return labels


@pytest.fixture(scope="module")
def image(truth) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 10, truth.shape)
    return np.clip(np.where(truth > 0, 150, 60) + noise, 0, 255).astype(np.uint8)


def measured(image, truth, method, *protocols, overlap=OverlapRule.AUTO) -> tuple[StackScores, ...]:
    options = EvaluationOptions(overlap=overlap)
    found = Measurement(FrameStack(image), truth, method, options).run(protocols)
    assert found is not None
    return found


def same(one: StackScores, other: StackScores) -> bool:
    return (one.objects, one.msa, one.sa50) == (other.objects, other.msa, other.sa50)


@pytest.mark.parametrize("frames", [1, 3])
def test_protocols_side_by_side_give_what_each_gives_alone(image, truth, method, frames):
    image, truth = image[:frames], truth[:frames]
    together = measured(image, truth, method, *STANDARD_PROTOCOLS)
    for protocol, found in zip(STANDARD_PROTOCOLS, together, strict=True):
        (alone,) = measured(image, truth, method, protocol)
        assert same(found, alone)
        assert len(found.objects[0].in_frame.curve) == protocol.clicks + 1
    assert together[0].objects[0].in_frame.curve == together[2].objects[0].in_frame.curve[:1]


def test_in_a_single_image_two_more_clicks_are_two_rounds(image, truth, method):
    rounds = PromptProtocol("rounds", PromptKind.POINT, rounds=2)
    (clicks,) = measured(image[:1], truth[:1], method, THREE)
    (corrected,) = measured(image[:1], truth[:1], method, rounds)
    for one, other in zip(clicks.objects, corrected.objects, strict=True):
        assert one.in_frame.curve == pytest.approx(other.curve)
        assert (one.iou, one.f, one.j) == pytest.approx((other.iou, other.f, other.j))
    assert clicks.msa[-1] == pytest.approx(corrected.msa[-1])


def in_frames(scores: StackScores) -> list[object]:
    return [score.in_frame for score in scores.objects]


def test_one_frame_of_a_stack_is_measured_as_a_single_image(image, truth, method):
    """The contrast is that of the stack in both, so that the pixels are the same."""
    stack = FrameStack(image)
    options = EvaluationOptions()
    middle = Measurement(
        FrameStack(image[1:2], contrast=stack.contrast), truth[1:2], method, options
    ).run(STANDARD_PROTOCOLS)
    whole = Measurement(stack, truth, method, options).run(STANDARD_PROTOCOLS)
    assert middle is not None
    assert whole is not None
    for one, other in zip(middle, whole, strict=True):
        assert in_frames(one) == in_frames(other)
        assert [score.prompt_frame for score in other.objects] == [1, 1]


@pytest.mark.parametrize(
    ("overlap", "frames", "opened"),
    [
        (OverlapRule.AUTO, 1, [True, True]),
        (OverlapRule.AUTO, 3, [True, True, False, False, False]),
        (OverlapRule.KEEP, 1, [True, True]),
        (OverlapRule.KEEP, 3, [True, True, True]),
        (OverlapRule.RESOLVE, 1, [False, False, False]),
        (OverlapRule.RESOLVE, 3, [False, False, False]),
    ],
)
def test_sessions_are_shared_where_that_changes_nothing(image, truth, overlap, frames, opened):
    """A session with overlaps serves one frame for all that begins alike, others one protocol."""
    found: list[bool] = []

    class Watched(BaselineMethod):
        def open(self, stack, object_ids, overlap):
            found.append(overlap)
            return super().open(stack, object_ids, overlap)

    measured(image[:frames], truth[:frames], Watched(), *STANDARD_PROTOCOLS, overlap=overlap)
    assert found == opened


def test_objects_that_may_overlap_are_measured_alone_in_a_session_of_the_stack_too(
    image, truth, method
):
    (alone,) = measured(image, truth, method, THREE)
    (kept,) = measured(image, truth, method, THREE, overlap=OverlapRule.KEEP)
    assert in_frames(alone) == in_frames(kept)


def test_the_baseline_is_measured_by_the_same_protocols(image, truth):
    for frames in (1, 3):
        found = measured(image[:frames], truth[:frames], BaselineMethod(), CLICK, BOX, THREE)
        for scores in found:
            assert all(score.in_frame.iou > 0.5 for score in scores.objects)


def test_nothing_to_prompt_gives_no_scores_and_a_stop_none(image, truth, method):
    assert measured(image, np.zeros_like(truth), method, *STANDARD_PROTOCOLS) == ()
    stack, options = FrameStack(image), EvaluationOptions()
    for limit in (1, 4, 9):
        asked: list[int] = []

        def cancelled(asked=asked, limit=limit) -> bool:
            asked.append(1)
            return len(asked) >= limit

        measurement = Measurement(stack, truth, method, options, cancelled=cancelled)
        assert measurement.run(STANDARD_PROTOCOLS) is None
        assert len(asked) == limit
