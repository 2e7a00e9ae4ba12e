"""The picture of a run shows its loss and its figures, and is written whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_sam2.cli.plots.train_curves import run_charts, write_curves
from napari_sam2.errors import TrainingError
from napari_sam2.training import HeldOutIou, Validated

LOSSES = [(step, 2.0 - step / 50) for step in range(1, 41)]
STILLS = [Validated(step, HeldOutIou(0.5 + step / 100, 0.7)) for step in (0, 20, 40)]
STACKS = [Validated(one.step, HeldOutIou(0.5, 0.7, 0.3 + one.step / 100)) for one in STILLS]


def test_a_run_without_steps_shows_its_figures_alone():
    (iou,) = run_charts([], STILLS[:1])
    assert [curve.points for curve in iou.curves] == [[(0, 0.5)], [(0, 0.7)]]


def test_the_loss_is_smoothed_and_the_best_step_named():
    loss, iou = run_charts(LOSSES, STILLS)
    (curve,) = loss.curves
    assert [step for step, _ in curve.points] == list(range(20, 41))
    np.testing.assert_allclose(curve.points[0][1], np.mean([value for _, value in LOSSES[:20]]))
    assert "best at step 40" in iou.title


def test_tracking_is_shown_where_it_was_measured():
    names = [[curve.name for curve in run_charts([], each)[0].curves] for each in (STILLS, STACKS)]
    assert names == [["one click", "box"], ["one click", "box", "tracked"]]


def test_files_are_replaced_whole(tmp_path):
    path = tmp_path / "curves.png"
    path.write_text("old")
    write_curves(path, LOSSES, STACKS)
    with Image.open(path) as picture:
        assert picture.size == (960, 1200)
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_what_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match=r"curves\.png.*the same command goes on"):
        write_curves(tmp_path / "no" / "curves.png", LOSSES, STILLS)
