"""The simulated user prompts and corrects in one frame, and each click is judged by what it did."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest

from napari_sam2.evaluation import Click, EvaluationOptions, ObjectPrompt, choose_prompts
from napari_sam2.evaluation.label_masks import StoredMasks
from napari_sam2.evaluation.prompted_frames import PromptedFrames
from napari_sam2.evaluation.scores import ClickEffect


class Scripted:
    """Shows for each object one mask after the other, whatever is clicked."""

    def __init__(self, script: dict[int, list[np.ndarray]], immediate: bool = True) -> None:
        self.masks = StoredMasks((12, 12))
        self.immediate = immediate
        self.log: list[tuple[str, int]] = []
        self.clicks: list[Click] = []
        self._script = {object_id: iter(masks) for object_id, masks in script.items()}
        self._hidden: dict[int, tuple[int, np.ndarray]] = {}

    def prompt(self, prompt: ObjectPrompt) -> None:
        self._take("prompt", prompt.object_id, prompt.frame)

    def correct(self, object_id: int, frame: int, click: Click) -> None:
        self.clicks.append(click)
        self._take("correct", object_id, frame)

    def show(self, frames: Collection[int]) -> None:
        self.log.append(("show", len(frames)))
        for object_id, (frame, mask) in self._hidden.items():
            self.masks.record(object_id, frame, mask)

    def _take(self, what: str, object_id: int, frame: int) -> None:
        self.log.append((what, object_id))
        mask = next(self._script[object_id])
        if self.immediate:
            self.masks.record(object_id, frame, mask)
        else:
            self._hidden[object_id] = (frame, mask)


def block(y0: int, y1: int, x0: int = 0, x1: int = 4) -> np.ndarray:
    mask = np.zeros((12, 12), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture
def truth() -> np.ndarray:
    """Object 1 in the last of three frames, object 2 in the first."""
    stack = np.zeros((3, 12, 12), dtype=np.uint16)
    stack[2][block(0, 4)] = 1
    stack[0][block(6, 10)] = 2
    return stack


def prompts_of(truth: np.ndarray) -> tuple[ObjectPrompt, ...]:
    return choose_prompts(truth, EvaluationOptions())


def test_every_stage_keeps_its_masks_curves_and_clicks(truth):
    segmenter = Scripted(
        {
            1: [block(0, 2), block(0, 6), block(9, 10)],
            2: [block(6, 10), block(6, 10), block(6, 10)],
        }
    )
    stages = PromptedFrames(segmenter, truth, prompts_of(truth), 2).run()
    assert stages is not None
    assert [stage.scores[0].curve for stage in stages] == [
        (0.5,),
        (0.5, 4 / 6),
        (0.5, 4 / 6, 0.0),
    ]
    assert stages[-1].scores[0].clicks == (
        ClickEffect(True, 0.5, 4 / 6, False),
        ClickEffect(False, 4 / 6, 0.0, True),
    )
    assert stages[0].scores[0].clicks == ()
    assert (stages[1].masks.mask(1, 2) == block(0, 6)).all()
    assert [click.positive for click in segmenter.clicks] == [True, False]


def test_what_is_right_is_left_alone_and_keeps_its_figure(truth):
    segmenter = Scripted({1: [block(0, 4)], 2: [block(6, 10)]})
    stages = PromptedFrames(segmenter, truth, prompts_of(truth), 2).run()
    assert stages is not None
    assert [score.curve for score in stages[-1].scores] == [(1.0,) * 3] * 2
    assert all(score.clicks == () and score.f == 1.0 for score in stages[-1].scores)
    assert [len(stage.responses) for stage in stages] == [2, 0, 0]


def test_objects_are_finished_one_after_the_other_in_the_order_of_their_frames(truth):
    script = {number: [block(0, 1)] * 3 for number in (1, 2)}
    segmenter = Scripted(script)
    PromptedFrames(segmenter, truth, prompts_of(truth), 1).run()
    assert segmenter.log == [("prompt", 2), ("correct", 2), ("prompt", 1), ("correct", 1)]


def test_where_clicks_do_not_show_at_once_all_objects_get_theirs_together(truth):
    script = {1: [block(0, 2), block(0, 4)], 2: [block(6, 8), block(6, 10)]}
    segmenter = Scripted(script, immediate=False)
    stages = PromptedFrames(segmenter, truth, prompts_of(truth), 1).run()
    assert segmenter.log == [
        ("prompt", 2),
        ("prompt", 1),
        ("show", 2),
        ("correct", 2),
        ("correct", 1),
        ("show", 2),
    ]
    assert stages is not None
    assert [score.curve for score in stages[-1].scores] == [(0.5, 1.0)] * 2


def test_a_mask_beside_the_object_cannot_vanish(truth):
    segmenter = Scripted({1: [block(8, 9), block(11, 11)], 2: [block(6, 10)]})
    stages = PromptedFrames(segmenter, truth, prompts_of(truth), 1).run()
    assert stages is not None
    (click,) = stages[-1].scores[0].clicks
    assert not click.vanished
    assert not click.harms
    assert not click.helps


@pytest.mark.parametrize(("after", "harms"), [(0.7951, False), (0.7949, True), (0.9, False)])
def test_harm_begins_beyond_half_a_hundredth(after, harms):
    assert ClickEffect(True, 0.8, after, False).harms is harms


def test_progress_counts_all_and_a_stop_gives_nothing(truth):
    script = {1: [block(0, 2)] * 2, 2: [block(6, 10)]}
    steps: list[tuple[int, int]] = []
    PromptedFrames(
        Scripted(script), truth, prompts_of(truth), 1, progress=lambda *at: steps.append(at)
    ).run()
    assert steps == [(number, 4) for number in (1, 2, 3, 4)]
    stopped = PromptedFrames(
        Scripted(script), truth, prompts_of(truth), 1, cancelled=lambda: len(steps) > 0
    )
    assert stopped.run() is None
