"""The script that fills the tables of the documentation, on a CPU and a tiny network."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from known_masks import known_masks

from napari_sam2.benchmarking import Journey
from napari_sam2.tracking import Model

FOLDER = Path(__file__).parents[2] / "benchmarks"
CPU = torch.device("cpu")
JOURNEY = Journey(objects=1, size=64, warm_up=1, frames=3, clicks=2)


@pytest.fixture
def gpu(monkeypatch) -> ModuleType:
    """The script."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "gpu", raising=False)
    import gpu

    monkeypatch.setattr(gpu, "measured_peak", lambda device, dtype: 1e12)
    return gpu


@pytest.fixture
def tiny(gpu, monkeypatch) -> None:
    """Tiny networks in place of all models, as though they were trained but for the last."""

    def load(name, device, precision="auto"):
        model = Model(known_masks(), name, device, 64)
        return model, "random" if name == "sam2.1-large" else "trained"

    monkeypatch.setattr(gpu, "load", load)


def subjects(gpu):
    names = [each.name for each in gpu.SUBJECTS]
    return [gpu.Subject(name, (1, 2) if name == "bundled" else (1,), 64) for name in names]


@pytest.mark.usefixtures("tiny")
def test_the_tables_hold_every_figure(gpu):
    found = gpu.find(CPU, subjects(gpu), 10, JOURNEY)
    assert [(row.model, row.objects) for row in found.rows] == [
        ("bundled", 1),
        ("bundled", 2),
        ("sam2.1-tiny", 1),
        ("sam2.1-large", 1),
    ]
    for row in found.rows:
        assert row.frames_per_second > 0
        assert row.first_mask_ms > 0
        assert row.share > 0
    assert [each.iou for each in found.precisions] == [1.0, 1.0]
    assert found.left_out == ("IoU of bfloat16 to float32, sam2.1-large: its weights are random",)
    lines = gpu.as_markdown(found).splitlines()
    assert lines[0].startswith("### ")
    assert "float32 1 TFLOP/s, bfloat16 1 TFLOP/s" in lines[2]
    assert sum("`sam2.1-large`" in line for line in lines) == 2
    assert sum("not told" in line for line in lines) == 4
    for line in lines:
        if line.startswith("|"):
            assert line.endswith("|")


@pytest.mark.usefixtures("tiny")
def test_what_there_is_no_time_for_is_left_out_and_listed(gpu):
    clock = iter([0, 0, *[1000] * 20])
    found = gpu.find(CPU, subjects(gpu), 1, JOURNEY, clock=lambda: next(clock))
    assert [(row.model, row.objects) for row in found.rows] == [("bundled", 1)]
    text = gpu.as_markdown(found)
    assert "bundled with 2 objects" in text
    assert "sam2.1-large with 1 objects" in text


def test_without_a_gpu_there_is_an_error_and_nothing_is_written(gpu, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu, "available_devices", lambda: ("cpu",))
    gpu.main(["--output", str(tmp_path / "gpu.md")])
    assert capsys.readouterr().out == "Neither CUDA nor MPS is here: nothing was measured.\n"
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("tiny")
def test_tables_and_figures_are_written(gpu, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(gpu, "available_devices", lambda: ("mps", "cpu"))
    real = gpu.find
    monkeypatch.setattr(
        gpu, "find", lambda device, *rest: real(CPU, subjects(gpu)[:1], 10, JOURNEY)
    )
    gpu.main(["--output", str(tmp_path / "gpu.md"), "--json", str(tmp_path / "gpu.json")])
    assert (tmp_path / "gpu.md").read_text(encoding="utf-8") == capsys.readouterr().out
    (figures,) = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert figures["rows"][0]["model"] == "bundled"


def test_random_weights_stand_for_models_that_are_not_here(gpu, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM2_CACHE", str(tmp_path))
    model, weights = gpu.load("sam2.1-tiny", CPU, "bfloat16")
    assert weights == "random"
    assert model.half
    assert model.image_size == 1024
    assert gpu.load("bundled", CPU)[1] == "trained"
