"""The protocol prompts, propagates and scores real files with the bundled model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam2 import load_model
from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation import (
    EvaluationOptions,
    ObjectPrompt,
    OverlapRule,
    PromptFrame,
    PromptKind,
    evaluate_folder,
    evaluate_methods,
)
from napari_sam2.evaluation.interaction import RoundStep
from napari_sam2.evaluation.methods import BASELINE, BaselineMethod, give_prompt
from napari_sam2.evaluation.protocol import EvaluationStep


@pytest.fixture(scope="module")
def model():
    return load_model("bundled", device="cpu")


def write_disks(folder: Path, name: str, frames: int) -> np.ndarray:
    """Two bright disks that drift; a single frame is written as a plain image."""
    y, x = np.mgrid[:192, :192]
    truth = np.zeros((frames, 192, 192), dtype=np.uint16)
    for frame, plane in enumerate(truth):
        plane[np.hypot(y - 20, x - 20 - frame) < 9] = 1
        plane[np.hypot(y - 44, x - 46 + frame) < 8] = 2
    noise = np.random.default_rng(0).normal(0, 6, truth.shape)
    image = np.clip(np.where(truth > 0, 180, 40) + noise, 0, 255).astype(np.uint8)
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / f"{name}_image.tif", image.squeeze())
    tifffile.imwrite(folder / f"{name}_labels.tif", truth.squeeze())
    return truth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_disks(tmp_path / "images", "one", 1)
    write_disks(tmp_path / "stacks", "three", 3)
    return tmp_path


@pytest.mark.parametrize("prompt", list(PromptKind))
def test_every_set_of_a_folder_is_scored(folder, model, prompt):
    steps: list[EvaluationStep] = []
    options = EvaluationOptions(prompt=prompt, frame=PromptFrame.MIDDLE)
    report = evaluate_folder(folder, model, options, progress=steps.append)
    assert [(one.group, one.name, one.shape[0]) for one in report.sequences] == [
        ("images", "one", 1),
        ("stacks", "three", 3),
    ]
    assert report.complete
    assert report.model == "bundled"
    for sequence in report.sequences:
        assert [score.object_id for score in sequence.objects] == [1, 2]
        assert all(score.prompt_frame == sequence.shape[0] // 2 for score in sequence.objects)
        assert sequence.iou > 0.6
        assert 0 < sequence.j <= 1
        assert 0 < sequence.f <= 1
    assert steps[0] == EvaluationStep(0, 2, "images/one", "bundled", "", RoundStep(0, 0, 0, 0))
    last = steps[-1]
    assert (last.sequence, last.within.step) == (1, last.within.steps)


def test_corrections_help_and_the_baseline_stands_beside_the_model(folder, model):
    report = evaluate_folder(folder, model, EvaluationOptions(rounds=2, baseline=True))
    assert [scores.method for scores in report.methods] == ["bundled", BASELINE]
    for scores in report.methods:
        assert [one.name for one in scores.sequences] == ["one", "three"]
        for sequence in scores.sequences:
            assert len(sequence.msa) == len(sequence.sa50) == 3
            assert len(sequence.objects[0].curve) == 3
        total = scores.total()
        assert total is not None
        assert total.objects.curve[-1] >= total.objects.curve[0] - 0.02
        assert total.objects.iou > 0.7
    assert report.methods[1].sequences[1].iou > 0.8


def test_a_stop_keeps_what_each_method_has_finished(folder):
    """The image asks five times; the stack after it is stopped at its third."""
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 7

    scores, complete = evaluate_methods(
        folder, [BaselineMethod()], EvaluationOptions(), cancelled=cancelled
    )
    assert not complete
    assert [one.name for one in scores[0].sequences] == ["one"]


def test_disjoint_and_overlapping_masks_of_apart_objects_score_alike(folder, model):
    scores = {
        rule: evaluate_folder(folder / "stacks", model, EvaluationOptions(overlap=rule))
        for rule in (OverlapRule.KEEP, OverlapRule.RESOLVE)
    }
    kept, resolved = (scores[rule].sequences[0] for rule in scores)
    for one, other in zip(kept.objects, resolved.objects, strict=True):
        assert one.iou == pytest.approx(other.iou, abs=0.02)
        assert one.j == pytest.approx(other.j, abs=0.02)


def test_cancelling_keeps_the_finished_stacks(folder, model):
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 5

    report = evaluate_folder(folder, model, cancelled=cancelled)
    assert not report.complete
    assert [one.name for one in report.sequences] == ["one"]


def test_stacks_without_objects_are_passed_over(folder, model):
    labels = folder / "images" / "one_labels.tif"
    tifffile.imwrite(labels, np.zeros((192, 192), dtype=np.uint16))
    report = evaluate_folder(folder / "images", model)
    assert report.complete
    assert report.sequences == ()


def test_overlaps_are_kept_in_single_images_only_unless_asked():
    assert OverlapRule.AUTO.keeps_overlaps(1)
    assert not OverlapRule.AUTO.keeps_overlaps(2)
    assert OverlapRule.KEEP.keeps_overlaps(2)
    assert not OverlapRule.RESOLVE.keeps_overlaps(1)


def test_an_empty_prompt_is_refused():
    with pytest.raises(EvaluationError, match="object 4 is empty"):
        give_prompt(None, ObjectPrompt(object_id=4, frame=0))
