"""The picture of a run shows its loss and its figures, and is written whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_sam2.cli.plots.train_curves import draw_curves, write_curves
from napari_sam2.errors import TrainingError
from napari_sam2.labels.rendering.colours import colour_of
from napari_sam2.training import HeldOutIou, Validated

LOSSES = [(step, 2.0 - step / 50) for step in range(1, 41)]
STILLS = [Validated(step, HeldOutIou(0.5 + step / 100, 0.7)) for step in (0, 20, 40)]
STACKS = [Validated(one.step, HeldOutIou(0.5, 0.7, 0.3 + one.step / 100)) for one in STILLS]


def has(picture: np.ndarray, number: int) -> bool:
    near = np.abs(picture[:, :700].astype(int) - colour_of(number)).max(axis=2) < 40
    return bool(near.any())


def test_a_run_that_has_not_begun_shows_its_figures_alone():
    assert draw_curves([], STILLS[:1]).shape[0] * 2 == draw_curves(LOSSES, STILLS).shape[0]


def test_tracking_is_shown_where_it_was_measured():
    assert not has(draw_curves(LOSSES, STILLS), 3)
    assert has(draw_curves(LOSSES, STACKS), 3)


def test_files_are_replaced_whole(tmp_path):
    path = tmp_path / "curves.png"
    path.write_text("old")
    write_curves(path, LOSSES, STACKS)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_what_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match=r"curves\.png"):
        write_curves(tmp_path / "no" / "curves.png", LOSSES, STILLS)
