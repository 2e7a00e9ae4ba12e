"""The command trains a model that loads by its path, goes on, stops, and tells of mistakes."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from small_networks import SMALL_CONV, SMALL_HIERA, small_config

from napari_sam2 import load_model
from napari_sam2.checkpoints import save_network
from napari_sam2.cli import main
from napari_sam2.network import Sam2

QUICK = ("--steps", 2, "--validate-every", 1, "--crop", 32, "--batch", 1, "--frames", 2)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    code = exit_info.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture(params=["conv"])
def model(request, tmp_path):
    """A small network with random weights, as a file."""
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    config = small_config(SMALL_HIERA if request.param == "hiera" else SMALL_CONV)
    save_network(Sam2(config), path, {"licence": "BSD-3-Clause"})
    return path


@pytest.fixture
def order(small_stack, model, tmp_path):
    """The command's arguments for a quick run."""
    folder = small_stack.image.parent
    return ("train", folder, "-m", model, "-o", tmp_path / "run", "--validation", 0.34, *QUICK)


@pytest.mark.parametrize("model", ["conv", "hiera"], indirect=True)
@pytest.mark.parametrize("parts", ["all", "decoder"])
def test_the_model_is_used_by_its_path(order, small_stack, model, tmp_path, capsys, parts):
    assert run(*order, "--parts", parts, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["steps"] == 2
    assert summary["ending"] == "steps"
    assert summary["train"] == {"stacks": 1, "objects": 4}
    assert summary["held_out"] == {"stacks": 1, "objects": 2}
    assert summary["best"]["score"] >= summary["before"]["score"]
    assert summary["improved"] is (summary["best"]["score"] > summary["before"]["score"])
    with Image.open(summary["curves"]) as curves:
        assert curves.format == "PNG"
    assert load_model(summary["model"]).config == load_model(model).config
    labels = tmp_path / "labels.tif"
    prompts = ("-p", small_stack.prompts, "-o", labels)
    assert run("segment", small_stack.image, *prompts, "-m", summary["model"]) == 0
    assert tifffile.imread(labels).shape == small_stack.truth.shape


def test_ctrl_c_keeps_the_run_and_the_same_command_goes_on(order, capsys, monkeypatch):
    from napari_sam2.training.run import loop

    step = loop.train_step

    def interrupted(state, batch, recipe):
        signal.raise_signal(signal.SIGINT)
        return step(state, batch, recipe)

    monkeypatch.setattr(loop, "train_step", interrupted)
    assert run(*order, "--json") == 130
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert (summary["steps"], summary["ending"]) == (1, "stopped")
    assert "all of it is kept" in captured.err
    monkeypatch.setattr(loop, "train_step", step)
    assert run(*order) == 0
    shown = capsys.readouterr().out
    assert "Going on with small" in shown
    assert "2 steps in all; all steps are done" in shown
    assert "IoU one click" in shown


def test_a_run_without_matplotlib_has_no_curves_and_says_so_first(order, capsys, no_matplotlib):
    assert run(*order, "--json") == 0
    captured = capsys.readouterr()
    assert 'pip install "napari-sam2[plots]"' in captured.err.splitlines()[0]
    assert json.loads(captured.out)["curves"] is None


def test_measuring_on_a_folder_of_its_own(order, small_stack, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    tifffile.imwrite(other / "a_image.tif", np.where(small_stack.truth[0] > 0, 90, 20))
    tifffile.imwrite(other / "a_labels.tif", small_stack.truth[0])
    assert run(*order, "--validation-dir", other, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["train"] == {"stacks": 1, "objects": 6}
    assert summary["held_out"] == {"stacks": 1, "objects": 2}
    assert summary["best"]["tracked"] is None


def test_a_run_of_other_options_is_not_continued(order, tmp_path, capsys):
    assert run(*order) == 0
    weights = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert run(*order, "--seed", 5) == 1
    assert "seed 0, not 5" in capsys.readouterr().err
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("--crop", 100), "multiple of 32"),
        (("--validation", 1.5), "between 0 and 1"),
        (("--model", "no-such-model"), "no model named"),
        (("--device", "abacus"), "not a device"),
        (("--validation-dir", "."), "No labelled pair"),
    ],
)
def test_mistakes_are_reported_before_anything_is_written(
    order, tmp_path, capsys, monkeypatch, change, told
):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert run(*order, *change) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_data_to_measure_on_must_lie_apart(order, small_stack, tmp_path, capsys):
    assert run(*order, "--validation-dir", small_stack.image.parent) == 1
    assert "lies in the folder" in capsys.readouterr().err


def test_folders_without_pairs_and_missing_folders(tmp_path, capsys):
    assert run("train", tmp_path) == 1
    assert "NAME_image.tif" in capsys.readouterr().err
    assert run("train", tmp_path / "nowhere") == 1
    assert "no folder" in capsys.readouterr().err
