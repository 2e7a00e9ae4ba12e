"""The demo does the whole job offline; what it writes replays through `segment`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.io import imread

from napari_sam2.cli import main, sample_run
from napari_sam2.samples import dividing_cells, nuclei_stack


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(list(map(str, arguments)))
    code = exit_info.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def small_samples(monkeypatch):
    """The demo's own stacks, smaller."""
    samples = (
        nuclei_stack(shape=(4, 64, 64)),
        dividing_cells(shape=(2, 96, 96)),
    )
    monkeypatch.setattr(sample_run, "sample_stacks", lambda: samples)
    monkeypatch.setenv("CI", "true")
    return samples


def test_the_demo_writes_everything_and_says_how_good_it_is(small_samples, tmp_path, capsys):
    folder = tmp_path / "demo"
    assert run("demo", "-o", folder, "--image-size", 96, "--json") == 0
    runs = json.loads(capsys.readouterr().out)
    assert len(runs) == len(small_samples)
    for found, sample in zip(runs, small_samples, strict=True):
        np.testing.assert_array_equal(tifffile.imread(found["image"]), sample.image)
        np.testing.assert_array_equal(tifffile.imread(found["truth"]), sample.labels)
        labels = tifffile.imread(found["labels"])
        assert labels.shape == sample.labels.shape
        assert set(np.unique(labels)) <= set(np.unique(sample.labels))
        assert imread(found["picture"]).ndim == 3
        assert found["complete"] is True
        assert 0 < found["mean_iou"] <= 1
    replayed, smaller = folder / "again.tif", ("--image-size", 96)
    assert run("segment", runs[0]["image"], "-p", runs[0]["clicks"], "-o", replayed, *smaller) == 0
    np.testing.assert_array_equal(tifffile.imread(replayed), tifffile.imread(runs[0]["labels"]))
    assert (folder / "show_in_napari.py").is_file()


def test_the_demo_says_where_the_results_are(small_samples, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sample_run, "sample_stacks", lambda: small_samples[1:])
    assert run("demo", "-o", tmp_path, "--no-viewer") == 0
    shown = capsys.readouterr().out
    assert "mean IoU" in shown
    assert str(tmp_path) in shown
    assert not (tmp_path / "show_in_napari.py").exists()


def test_a_folder_that_cannot_be_made_is_one_clean_error(tmp_path, capsys):
    blocked: Path = tmp_path / "file"
    blocked.touch()
    assert run("demo", "-o", blocked) == 1
    assert "cannot be made" in capsys.readouterr().err
