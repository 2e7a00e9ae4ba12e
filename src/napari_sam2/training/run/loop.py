"""The training loop: resumable, limited by steps or time; each step depends on its number only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from napari_sam2.network import Sam2
from napari_sam2.training.data.batches import ClipBatch, ClipBatches
from napari_sam2.training.data.clips import RandomClip
from napari_sam2.training.data.sources import LabelledStack
from napari_sam2.training.losses.clip import clip_losses
from napari_sam2.training.losses.image import StepLosses
from napari_sam2.training.run.journal import append_record, rewind
from napari_sam2.training.run.recipe import Recipe
from napari_sam2.training.run.state import TrainingState
from napari_sam2.training.run.statistics import freeze_statistics, measure_statistics

STATE_FILE = "state.pt"
JOURNAL_FILE = "journal.jsonl"
_CALIBRATION_BATCHES = 40

Validation = Callable[[Sam2], dict[str, float]]
"""Measures the averaged network; its figures go to the journal."""

ValidationHook = Callable[[TrainingState, Mapping[str, float]], bool]
"""Called with the results of every validation; true ends the run."""


def train(
    network: Sam2,
    stacks: tuple[LabelledStack, ...],
    recipe: Recipe,
    folder: Path,
    *,
    synthetic: RandomClip | None = None,
    workers: int = 0,
    minutes: float = float("inf"),
    save_every: float = 3.0,
    validate_every: int = 0,
    validation: Validation | None = None,
    on_validation: ValidationHook | None = None,
    stepped: Callable[[int, StepLosses], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    trunk_rate: float = 1.0,
) -> TrainingState:
    """Train a network, going on from the state in the folder if there is one.

    Parameters
    ----------
    network : Sam2
        Trained in place, on the device it is on.
    stacks : tuple of LabelledStack
        The labelled data.
    recipe : Recipe
        Phases of the run, which ends after their steps.
    folder : Path
        Holds state and journal; created.
    synthetic : callable, optional
        Generator of synthetic clips.
    workers : int
        0 draws clips between steps, 1 in a background process.
    minutes : float
        Wall-clock budget of this call.
    save_every : float
        Minutes between saved states.
    validate_every : int
        Steps between validations, one more follows the last step; 0 for none.
    validation : callable, optional
        See `Validation`.
    on_validation : callable, optional
        See `ValidationHook`. The state is saved after it, so that no validation is done twice.
    stepped : callable, optional
        Called after each step with the number of steps done and the losses.
    cancelled : callable
        Called before every step; True ends the call.
    trunk_rate : float
        Learning rate of the image encoder's trunk, relative to that of the rest.

    Returns
    -------
    TrainingState
        As saved in the folder.

    Raises
    ------
    TrainingError
        The state in the folder does not fit, or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state_path, journal = folder / STATE_FILE, folder / JOURNAL_FILE
    state = TrainingState.create(network, recipe, trunk_rate=trunk_rate)
    if state_path.exists():
        state.load(state_path)
    rewind(journal, state.step)
    torch.set_num_threads(recipe.threads)
    started = saved = time.monotonic()
    batches = ClipBatches(stacks, recipe, state.step, synthetic)
    for batch in batches.loader(workers):
        if cancelled() or time.monotonic() - started > 60.0 * minutes:
            break
        before = time.monotonic()
        if recipe.freezes_at(batch.step):
            recalibrate(state, batches, recipe.bfloat16)
        losses = train_step(state, batch, recipe)
        phase, _ = recipe.at(batch.step)
        append_record(
            journal,
            {
                "step": state.step,
                "phase": phase.name,
                "loss": float(losses.total.detach()),
                "iou": losses.prompted_iou,
                "tracked_iou": losses.tracked_iou,
                "seconds": time.monotonic() - before,
            },
        )
        if stepped is not None:
            stepped(state.step, losses)
        due = validate_every and not state.step % validate_every
        ended = False
        if validation is not None and (due or (validate_every and state.step == recipe.steps)):
            figures = validation(state.average)
            append_record(journal, {"step": state.step, **figures})
            ended = on_validation is not None and on_validation(state, figures)
        if due or time.monotonic() - saved > 60.0 * save_every:
            state.save(state_path)
            saved = time.monotonic()
        if ended:
            break
    state.save(state_path)
    return state


def train_step(state: TrainingState, batch: ClipBatch, recipe: Recipe) -> StepLosses:
    """Run one optimiser step on one batch."""
    phase, _ = recipe.at(batch.step)
    rate = recipe.learning_rate(batch.step)
    for group in state.optimiser.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + batch.step)
    batch = batch.to(next(state.network.parameters()).device)
    state.network.train()
    if phase.freeze_statistics:
        freeze_statistics(state.network)
    losses = clip_losses(state.network, state.dense, batch, phase, generator, recipe.bfloat16)
    state.optimiser.zero_grad(set_to_none=True)
    losses.total.backward()
    norm = torch.nn.utils.clip_grad_norm_(list(state.parameters()), recipe.clip_norm)
    if bool(torch.isfinite(norm)):
        state.optimiser.step()
        state.step = batch.step + 1
        state.update_average(recipe.ema_decay)
    else:
        state.step = batch.step + 1
    return losses


def recalibrate(state: TrainingState, batches: ClipBatches, bfloat16: bool) -> None:
    """Measure batch statistics over coming batches; the average restarts from the weights."""
    coming = range(state.step, min(state.step + _CALIBRATION_BATCHES, batches.recipe.steps))
    device = next(state.network.parameters()).device
    images = (batches.batch(step).network_input().to(device) for step in coming)
    measure_statistics(state.network, images, bfloat16)
    state.average.load_state_dict(state.network.state_dict())
