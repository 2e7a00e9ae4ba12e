"""Training stays on its device: nothing is left on the CPU, and the steps are those of the CPU."""

from __future__ import annotations

import copy

import pytest
import torch
from pretended_gpu import MixedDevicesError, pretended_gpu

from bundled_model.validation import mean_iou
from napari_sam2.network import Sam2
from napari_sam2.training import ClipBatches, ClipSettings, Recipe, TrainingPhase
from napari_sam2.training.losses import tracking
from napari_sam2.training.losses.clip import clip_losses
from napari_sam2.training.run.loop import recalibrate, train_step
from napari_sam2.training.run.state import TrainingState

CLIPS = ClipSettings(size=32, n_frames=3, n_objects=3, diameter=(10.0, 16.0), min_area=12)
GIVEN = TrainingPhase(
    "drawn", 1, CLIPS, batch=2, frame_size=64, masks=1.0, corrections=1.0, dense=1.0
)
CLICKED = TrainingPhase("clicked", 1, CLIPS, batch=2, frame_size=64, masks=0.0, boxes=0.0)
RECIPE = Recipe((GIVEN, CLICKED), threads=1, bfloat16=False)


def trained(network: Sam2, stacks) -> tuple[list[float], float, dict[str, torch.Tensor]]:
    """Take the steps of the recipe; return losses, a figure of validation, and the weights."""
    state, batches = TrainingState.create(network, RECIPE), ClipBatches(stacks, RECIPE)
    steps = [train_step(state, batches.batch(step), RECIPE) for step in range(RECIPE.steps)]
    recalibrate(state, batches, bfloat16=False)
    losses = [float(step.total.detach()) for step in steps]
    weights = {name: value.cpu() for name, value in state.average.state_dict().items()}
    return losses, mean_iou(state.average, stacks[:1]), weights


def test_steps_on_a_gpu_are_those_on_the_cpu(tiny_network, stacks, learning_gpu):
    theirs = trained(copy.deepcopy(tiny_network).to(learning_gpu), stacks)
    losses, figure, weights = trained(copy.deepcopy(tiny_network), stacks)
    assert theirs[0] == pytest.approx(losses, rel=1e-3)
    assert theirs[1] == pytest.approx(figure, abs=0.02)
    for name, value in weights.items():
        torch.testing.assert_close(theirs[2][name], value, atol=2e-3, rtol=1e-2)


def test_losses_in_half_precision_stay_on_the_gpu(tiny_network, stacks, gpu):
    network = copy.deepcopy(tiny_network).to(gpu)
    dense = TrainingState.create(network, RECIPE).dense
    batches, generator = ClipBatches(stacks, RECIPE), torch.Generator().manual_seed(0)
    with torch.inference_mode():
        for step, phase in enumerate(RECIPE.phases):
            batch = batches.batch(step).to(gpu)
            losses = clip_losses(network, dense, batch, phase, generator, bfloat16=True)
            assert losses.total.device == gpu
            assert torch.isfinite(losses.total.cpu())


def test_what_is_left_on_the_cpu_is_found(tiny_network, stacks, monkeypatch):
    real = tracking.sine_grid
    monkeypatch.setattr(tracking, "sine_grid", lambda *args: real(*args).cpu())
    with pretended_gpu(learns=True) as device, pytest.raises(MixedDevicesError):
        trained(copy.deepcopy(tiny_network).to(device), stacks)
