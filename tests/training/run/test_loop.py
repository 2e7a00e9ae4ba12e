from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundled_model.initialisation import initialise_locality
from bundled_model.validation import mean_iou
from napari_sam2.checkpoints import load_network
from napari_sam2.errors import TrainingError
from napari_sam2.network import Sam2
from napari_sam2.training import (
    ClipSettings,
    LossWeights,
    Recipe,
    TrainingPhase,
    export_run,
    read_records,
    train,
)

CLIPS = ClipSettings(size=32, n_objects=3, diameter=(10.0, 16.0), min_area=12, look=0.3)
EASY = LossWeights(focal=0.0, balanced=1.0, others=0.5)
STILLS = TrainingPhase(
    "stills", 4, CLIPS, batch=2, frame_size=64, rate=3e-3, losses=EASY, corrections=0.5
)
CLIPS_OF_FRAMES = TrainingPhase(
    "clips", 2, replace(CLIPS, n_frames=3), batch=2, frame_size=64, losses=EASY, masks=0.5
)
RECIPE = Recipe((STILLS, CLIPS_OF_FRAMES), threads=1, bfloat16=False)


def fresh(config) -> Sam2:
    torch.manual_seed(0)
    network = Sam2(config)
    initialise_locality(network)
    return network


def test_resuming_is_exact(tiny_config, stacks, tmp_path):
    whole = train(fresh(tiny_config), stacks, RECIPE, tmp_path / "whole")
    stops = iter([False, False, False, True])
    train(fresh(tiny_config), stacks, RECIPE, tmp_path / "parts", cancelled=lambda: next(stops))
    resumed = train(fresh(tiny_config), stacks, RECIPE, tmp_path / "parts")
    assert resumed.step == whole.step == RECIPE.steps
    for name, value in whole.average.state_dict().items():
        torch.testing.assert_close(resumed.average.state_dict()[name], value, rtol=0, atol=0)


def test_background_worker_gives_the_same_batches(tiny_config, stacks, tmp_path):
    recipe = replace(RECIPE, phases=(replace(STILLS, steps=2),))
    here = train(fresh(tiny_config), stacks, recipe, tmp_path / "here")
    there = train(fresh(tiny_config), stacks, recipe, tmp_path / "there", workers=1)
    for name, value in here.network.state_dict().items():
        torch.testing.assert_close(there.network.state_dict()[name], value, rtol=0, atol=0)


def test_loss_falls(tiny_config, stacks, tmp_path):
    phase = replace(STILLS, steps=60, boxes=0.0, corrections=0.0, batch=4)
    train(fresh(tiny_config), stacks, replace(RECIPE, phases=(phase,)), tmp_path)
    losses = [float(record["loss"]) for record in read_records(tmp_path / "journal.jsonl")]
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])


def test_journal_holds_phases_and_tracked_iou(tiny_config, stacks, tmp_path):
    train(
        fresh(tiny_config),
        stacks,
        RECIPE,
        tmp_path,
        validate_every=3,
        validation=lambda network: {"val": mean_iou(network, stacks)},
    )
    records = read_records(tmp_path / "journal.jsonl")
    steps = [record for record in records if "loss" in record]
    assert [record["phase"] for record in steps] == ["stills"] * 4 + ["clips"] * 2
    assert ["tracked_iou" in record for record in steps] == [False] * 4 + [True] * 2
    assert [record["step"] for record in records if "val" in record] == [3, 6]
    assert all(0 <= float(record["val"]) <= 1 for record in records if "val" in record)


@pytest.mark.parametrize("freeze", [True, False])
def test_batch_statistics_move_only_where_they_may(tiny_config, stacks, tmp_path, freeze):
    phase = replace(STILLS, steps=2, freeze_statistics=freeze)
    state = train(fresh(tiny_config), stacks, replace(RECIPE, phases=(phase,)), tmp_path)
    mean = state.network.image_encoder.trunk.stem[0][1].running_mean
    assert bool((mean == 0).all()) is freeze


def test_statistics_are_measured_where_they_freeze(tiny_config, stacks, tmp_path):
    phases = replace(STILLS, steps=1, freeze_statistics=False), replace(STILLS, steps=3)
    recipe = replace(RECIPE, phases=phases)
    assert [recipe.freezes_at(step) for step in range(4)] == [False, True, False, False]
    state = train(fresh(tiny_config), stacks, recipe, tmp_path)
    layer = state.network.image_encoder.trunk.stem[0][1]
    assert int(layer.num_batches_tracked) == 3
    assert layer.momentum == 0.1
    assert (layer.running_mean != 0).all()
    # The average restarted there: it holds the same statistics.
    torch.testing.assert_close(
        state.average.image_encoder.trunk.stem[0][1].running_mean, layer.running_mean
    )


def test_minutes_end_the_run(tiny_config, stacks, tmp_path):
    state = train(fresh(tiny_config), stacks, RECIPE, tmp_path, minutes=0.0)
    assert state.step == 0
    assert (tmp_path / "state.pt").exists()


def test_bfloat16_step_is_finite(tiny_config, stacks, tmp_path):
    state = train(fresh(tiny_config), stacks, replace(RECIPE, bfloat16=True), tmp_path)
    assert all(torch.isfinite(p).all() for p in state.network.parameters())
    last = read_records(tmp_path / "journal.jsonl")[-1]
    assert math.isfinite(float(last["loss"]))


def test_export_loads_and_predicts_alike(tiny_config, stacks, tmp_path):
    state = train(fresh(tiny_config), stacks, RECIPE, tmp_path / "run", trunk_rate=0.5)
    path = tmp_path / "model.safetensors"
    export_run(tmp_path / "run", tiny_config, path, {"title": "tiny"})
    loaded = load_network(path)
    assert loaded.network.config == tiny_config
    assert loaded.metadata["steps"] == str(RECIPE.steps)
    images = torch.rand(1, 3, 64, 64)
    before = state.average.encode_image(images).stride16
    torch.testing.assert_close(
        loaded.network.encode_image(images).stride16, before, rtol=0.05, atol=0.05
    )


def test_export_of_nothing_is_an_error(tiny_config, tmp_path):
    with pytest.raises(TrainingError, match="No run"):
        export_run(tmp_path, tiny_config, tmp_path / "model.safetensors")


def test_truncated_state_is_an_error_and_stays(tiny_config, stacks, tmp_path):
    train(fresh(tiny_config), stacks, RECIPE, tmp_path, minutes=0.0)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="cannot go on"):
        train(fresh(tiny_config), stacks, RECIPE, tmp_path)
    assert state.stat().st_size == 1000


def test_state_of_another_network_is_an_error(tiny_config, stacks, tmp_path):
    train(fresh(tiny_config), stacks, RECIPE, tmp_path, minutes=0.0)
    other = Sam2(replace(tiny_config, width=64))
    with pytest.raises(TrainingError, match="cannot go on"):
        train(other, stacks, RECIPE, tmp_path)
