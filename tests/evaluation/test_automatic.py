"""Scores of segmentation without prompts, on labels whose scores are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_sam2.cli.main import app
from napari_sam2.evaluation.automatic import (
    AutomaticScore,
    f1_through,
    frame_score,
    share_kept,
    watershed_labels,
)
from napari_sam2.samples import nuclei_stack
from napari_sam2.stack import FrameStack


def squares(*ids: int) -> np.ndarray:
    labels = np.zeros((20, 12 * len(ids)), int)
    for number, label in enumerate(ids):
        labels[4:14, 12 * number : 12 * number + 10] = label
    return labels


def test_perfect_labels_score_one_whatever_their_ids():
    score = frame_score("x", squares(7, 3, 9), squares(1, 2, 3))
    assert (score.objects, score.msa, score.precision, score.recall) == (3, 1.0, 1.0, 1.0)


def test_what_is_missed_and_what_is_too_much():
    score = frame_score("x", squares(1, 0, 5, 6), squares(1, 2, 0, 4))
    assert score.recall == pytest.approx(2 / 3)
    assert score.precision == pytest.approx(2 / 3)
    assert score.sa50 == pytest.approx(2 / 4)


def test_nothing_found_where_nothing_is():
    score = frame_score("x", squares(0, 0), squares(0, 0))
    assert (score.precision, score.recall, score.msa) == (1.0, 1.0, 1.0)
    score = frame_score("x", squares(0, 0), squares(1, 1))
    assert (score.precision, score.recall, score.msa) == (0.0, 0.0, 0.0)


def test_an_object_is_kept_while_one_id_covers_four_fifths_of_its_frames():
    truth = np.stack([squares(1, 2)] * 10)
    labels = truth.copy()
    labels[8:][labels[8:] == 1] = 5  # 8 of 10 frames have id 1
    labels[7:][labels[7:] == 2] = 6  # only 7 of 10 have id 2
    assert share_kept(labels, truth) == 0.5


def test_an_id_on_two_objects_counts_for_one_of_them():
    truth = np.stack([squares(1, 0)] * 5 + [squares(0, 2)] * 5)
    labels = np.where(truth > 0, 7, 0)
    assert share_kept(labels, truth) == 0.5
    labels[5:][labels[5:] > 0] = 8
    assert share_kept(labels, truth) == 1.0


def test_what_is_missing_and_what_is_too_much_counts_in_every_frame():
    truth = np.stack([squares(1, 2), squares(1, 0), squares(0, 0)])
    assert f1_through(truth, truth) == 1.0
    assert f1_through(np.stack([squares(2, 1), squares(5, 0), squares(0, 0)]), truth) == 1.0
    assert f1_through(np.stack([squares(1, 0), squares(1, 0), squares(0, 0)]), truth) == 0.8
    assert f1_through(np.stack([squares(1, 2), squares(1, 0), squares(1, 2)]), truth) == 0.75
    assert f1_through(np.zeros_like(truth), truth) == 0.0
    assert f1_through(np.zeros_like(truth), np.zeros_like(truth)) == 1.0


def test_means_leave_single_images_out_of_what_needs_a_stack():
    one = AutomaticScore("a", 3, 0.5, 0.5, 0.5, 0.5, 1.0, kept=0.4, stack_f1=0.6)
    other = AutomaticScore("b", 5, 1.0, 1.0, 1.0, 1.0, 3.0)
    mean = AutomaticScore.mean("all", [one, other])
    assert (mean.objects, mean.msa, mean.seconds) == (8, 0.75, 2.0)
    assert (mean.kept, mean.stack_f1) == (0.4, 0.6)


def test_the_watershed_finds_separate_discs_on_either_side_of_the_threshold():
    yy, xx = np.mgrid[:64, :96]
    truth = np.zeros((64, 96), int)
    for number, (y, x) in enumerate([(20, 20), (40, 60), (20, 80)], start=1):
        truth[(yy - y) ** 2 + (xx - x) ** 2 < 100] = number
    for image in (truth > 0, truth == 0):
        labels = watershed_labels(FrameStack(image.astype(np.uint8)[None] * 200), 0)
        assert frame_score("discs", labels, truth).recall == 1.0
    flat = watershed_labels(FrameStack(np.ones((1, 32, 32), np.uint8)), 0)
    assert not flat.any()


def test_the_command_reports_model_and_watershed_side_by_side(tmp_path):
    sample = nuclei_stack(3, (8, 64, 64))
    tifffile.imwrite(tmp_path / "n_image.tif", sample.image[3:5])
    tifffile.imwrite(tmp_path / "n_labels.tif", sample.labels[3:5])
    report = tmp_path / "report.json"
    command = ["evaluate", str(tmp_path), "--auto", "--every", "1", "--baseline"]
    result = CliRunner().invoke(app, [*command, "-o", str(report)])
    assert result.exit_code == 0, result.output
    assert "watershed" in result.output
    assert "mean over sets" in result.output
    sets = json.loads(report.read_text())["sets"]
    assert [each["method"] for each in sets] == ["bundled", "watershed"]
    assert 0 <= sets[0]["kept"] <= 1
    assert sets[1]["kept"] is None
    assert 0 < sets[0]["stack_f1"] <= 1
    assert sets[1]["stack_f1"] is None


def test_every_needs_auto(tmp_path):
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path), "--every", "2"])
    assert result.exit_code != 0
