"""Fine-tuning on a real GPU: it learns, is saved, goes on, and is used on a CPU."""

from __future__ import annotations

import pytest
import torch
from gpus import real_gpu

from napari_sam2.checkpoints import load_network
from napari_sam2.evaluation.held_out import HeldOutMeasure
from napari_sam2.training import FineTuneSettings, fine_tune
from napari_sam2.training.run.journal import read_records
from napari_sam2.training.run.loop import JOURNAL_FILE

pytestmark = pytest.mark.gpu

SETTINGS = FineTuneSettings(steps=4, crop=32, batch=2, frames=2, rate=1e-3, validate_every=2)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_fine_tuning_on_a_gpu(tiny_network, stacks, tmp_path, bfloat16):
    measure, steps = HeldOutMeasure(stacks[2:]), []
    network = tiny_network.to(real_gpu())
    first = fine_tune(
        network,
        stacks,
        SETTINGS,
        tmp_path,
        measure,
        bfloat16=bfloat16,
        stepped=lambda step, _: steps.append(step),
        cancelled=lambda: len(steps) >= 3,
    )
    assert first.steps == 3
    result = fine_tune(network, stacks, SETTINGS, tmp_path, measure, bfloat16=bfloat16)
    assert result.steps == 4
    losses = [r["loss"] for r in read_records(tmp_path / JOURNAL_FILE) if "loss" in r]
    assert len(losses) == 4
    assert torch.isfinite(torch.tensor(losses)).all()
    loaded = load_network(result.model).network
    assert {p.device.type for p in loaded.parameters()} == {"cpu"}
    assert all(torch.isfinite(p).all() for p in loaded.parameters())
