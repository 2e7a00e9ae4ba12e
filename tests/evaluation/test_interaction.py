"""The simulated user corrects what is wrong until it is right, and then stops."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pytest

from napari_sam2.evaluation import Click, EvaluationOptions, ObjectPrompt, choose_prompts
from napari_sam2.evaluation.interaction import Interaction, RoundStep
from napari_sam2.evaluation.label_masks import LabelMasks


class Painter:
    """Knows the truth, but paints only the frames that it was prompted or corrected in."""

    immediate = False

    def __init__(self, truth: np.ndarray) -> None:
        self.truth = truth
        self.labels = np.zeros_like(truth)
        self.masks = LabelMasks(self.labels, np.unique(truth[truth > 0]).tolist())
        self.corrections: list[tuple[int, int, Click]] = []
        self.propagations = 0
        self._todo: list[tuple[int, int]] = []

    def prompt(self, prompt: ObjectPrompt) -> None:
        self._todo.append((prompt.object_id, prompt.frame))

    def correct(self, object_id: int, frame: int, click: Click) -> None:
        y, x = (int(each) for each in click.point)
        assert (self.truth[frame, y, x] == object_id) == click.positive
        assert (self.labels[frame, y, x] == object_id) != click.positive
        self.corrections.append((object_id, frame, click))
        self._todo.append((object_id, frame))

    def show(self, frames: Collection[int]) -> None:
        pass

    def planned(self) -> int:
        return len(self._todo)

    def propagate(self) -> Iterator[int]:
        self.propagations += 1
        for object_id, frame in self._todo:
            self.labels[frame][self.truth[frame] == object_id] = object_id
            yield frame
        self._todo.clear()


class Deaf(Painter):
    """Paints the upper half of the first frame, whatever it is told."""

    def propagate(self) -> Iterator[int]:
        self.propagations += 1
        self._todo.clear()
        self.labels[0, :4][self.truth[0, :4] == 1] = 1
        yield 0


@pytest.fixture
def truth() -> np.ndarray:
    stack = np.zeros((4, 12, 12), dtype=np.uint16)
    stack[:, 1:5, 1:5] = 1
    stack[:3, 7:10, 6:11] = 2
    stack[1, 7:11, 6:11] = 2
    return stack


def prompts_of(truth: np.ndarray) -> tuple[ObjectPrompt, ...]:
    return choose_prompts(truth, EvaluationOptions())


def test_each_round_corrects_one_frame_of_each_object_until_all_is_right(truth):
    painter = Painter(truth)
    found = Interaction(painter, truth, prompts_of(truth), rounds=8).run()
    assert found is not None
    one, two = found.objects
    assert one.curve == (0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1)
    assert two.curve == pytest.approx((20 / 50, 35 / 50, 1, 1, 1, 1, 1, 1, 1))
    assert (one.clicks_to(0.8), two.clicks_to(0.8)) == (4, 3)
    assert [object_id for object_id, _, _ in painter.corrections] == [1, 2, 1, 2, 1]
    assert painter.propagations == 4
    assert len(found.msa) == len(found.sa50) == 9
    assert (found.msa[0], found.sa50[0], found.msa[-1]) == (0.0, 0.0, 1.0)
    assert len(found.interactions) == len(found.responses) == 2 + 5
    assert all(0 <= r <= i for r, i in zip(found.responses, found.interactions, strict=True))


def test_no_rounds_give_one_figure(truth):
    painter = Painter(truth)
    found = Interaction(painter, truth, prompts_of(truth)).run()
    assert found is not None
    assert [score.curve for score in found.objects] == [(0.25,), (0.4,)]
    assert painter.corrections == []


def test_in_a_single_image_all_clicks_fall_there_and_never_on_the_same_pixel(truth):
    single = truth[:1]
    deaf = Deaf(single)
    found = Interaction(deaf, single, prompts_of(single)[:1], rounds=3).run()
    assert found is not None
    assert found.objects[0].curve == (0.75,) * 4
    clicks = [click for _, frame, click in deaf.corrections if frame == 0]
    assert len(clicks) == len({click.point for click in clicks}) == 3
    assert all(click.positive for click in clicks)


def test_progress_counts_rounds_and_steps(truth):
    steps: list[RoundStep] = []
    Interaction(Painter(truth), truth, prompts_of(truth), 2, progress=steps.append).run()
    assert steps[0] == RoundStep(0, 2, 1, 2)
    assert {step.round for step in steps} == {0, 1, 2}
    assert all(step.step <= step.steps for step in steps)


@pytest.mark.parametrize("asked", [1, 3, 5, 7])
def test_stopping_anywhere_gives_nothing(truth, asked):
    calls: list[int] = []

    def cancelled() -> bool:
        calls.append(1)
        return len(calls) >= asked

    painter = Painter(truth)
    assert Interaction(painter, truth, prompts_of(truth), 8, cancelled=cancelled).run() is None
    assert len(calls) == asked
