"""The adaptation of a model to the masks of a session; runs in a child process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_sam2.checkpoints import load_network, save_network
from napari_sam2.network import Sam2, Sam2Config
from napari_sam2.training.adapt.mask_measure import measure_masks
from napari_sam2.training.adapt.task import (
    Adaptation,
    AdaptationProgress,
    AdaptationTask,
    Stage,
    TrainingFrame,
)
from napari_sam2.training.data.batches import ClipBatches
from napari_sam2.training.data.sources import LabelledStack, median_diameter, sampling_weights
from napari_sam2.training.data.splitting import HeldOutIou
from napari_sam2.training.fine_tune_recipe import TRUNK_RATE, FineTuneSettings
from napari_sam2.training.parts import choose_parts
from napari_sam2.training.run.loop import train_step
from napari_sam2.training.run.recipe import Recipe, TrainingPhase
from napari_sam2.training.run.state import TrainingState

_TIMED_STEPS = 3  # after which it is known how many more there is time for
_WARM_UP = 10
_PROMPTED = 2  # objects in one window, at most
_LEARNT = 0.5  # share of the way from the weights as they were to those that were trained
_LEAST_GAIN = 0.002  # of the mean of click and box: less is noise
_MOST_LOSS = 0.02  # of either of them

ReportProgress = Callable[[AdaptationProgress], None]


def adapt(task: AdaptationTask, report: ReportProgress = lambda _progress: None) -> Adaptation:
    """Measure, train, measure again, and keep the model only if it has become better.

    It trains on single frames, cut out around objects, rotated, warped and changed in brightness,
    noise and blur, as `fine_tune` does; the statistics of batch normalisation stay. The result
    lies halfway between the weights as they were and the moving average of those that were
    trained: nearly as good on images like these, and no worse on others (arXiv 2109.01903).
    Held-out masks decide only whether it is kept.

    Parameters
    ----------
    task : AdaptationTask
    report : callable, optional
        Called with the progress.

    Returns
    -------
    Adaptation

    Raises
    ------
    CheckpointError
        The model cannot be read or written.
    TrainingError
        None of the masks can be trained on.
    """
    clock = _Clock(60.0 * task.minutes)
    reporter = _Reporter(report, task, clock)
    reporter.stage(Stage.LOADING)
    loaded = load_network(task.weights)
    network = loaded.network.to(torch.device(task.template.device))
    reporter.stage(Stage.BEFORE)
    since = clock.seconds
    before = measure_masks(network, task.held_out, task.template)
    measuring = clock.seconds - since
    former = {name: value.clone() for name, value in network.state_dict().items()}
    choose_parts(network, task.parts)
    stacks = tuple(_as_stack(frame, number) for number, frame in enumerate(task.train))
    recipe = _recipe(task, stacks, network.config)
    state = TrainingState.create(network, recipe, trunk_rate=TRUNK_RATE)
    _train(state, stacks, recipe, clock, measuring, reporter)
    blend_weights(state.average, former, 1.0 - _LEARNT)
    reporter.stage(Stage.AFTER, state.step)
    after = measure_masks(state.average, task.held_out, task.template)
    taken = is_better(before, after)
    if taken:
        metadata = {**loaded.metadata, **_facts(task, before, after, state.step)}
        save_network(state.average, task.target, metadata)
    return Adaptation(
        before,
        after,
        taken,
        task.target if taken else None,
        state.step,
        clock.seconds,
        task.trained_masks,
        task.measured_masks,
        task.skipped,
    )


@torch.no_grad()
def blend_weights(network: Sam2, former: Mapping[str, Tensor], share: float) -> None:
    """Move the weights of a network towards former ones, in place.

    Parameters
    ----------
    network : Sam2
    former : mapping of str to Tensor
        An earlier `state_dict` of it; not one that shares its memory.
    share : float
        0 changes nothing, and 1 gives the former weights.
    """
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(former[name].to(value), share)


def is_better(before: HeldOutIou, after: HeldOutIou) -> bool:
    """Return whether an adapted model is better on average and not worse with either prompt."""
    harmless = min(after.click - before.click, after.box - before.box) >= -_MOST_LOSS
    return harmless and after.score - before.score >= _LEAST_GAIN


class _Clock:
    """A stopwatch with a budget in seconds."""

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started


@dataclass(slots=True)
class _Reporter:
    """Reports progress, estimated from the elapsed time."""

    report: ReportProgress
    task: AdaptationTask
    clock: _Clock
    fraction: float = 0.0

    def stage(self, stage: Stage, step: int = 0) -> None:
        self._report(stage, step, step)

    def step(self, step: int, steps: int, until: float) -> None:
        """Report a training step; `until` is the fraction of the task when all steps are done."""
        self.fraction = max(self.fraction, until * step / steps)
        self._report(Stage.TRAINING, step, steps)

    def _report(self, stage: Stage, step: int, steps: int) -> None:
        passed = min(0.99, self.clock.seconds / max(self.clock.budget, 1e-3))
        self.fraction = max(self.fraction, passed)
        self.report(AdaptationProgress(stage, self.fraction, step, steps))


def _train(
    state: TrainingState,
    stacks: tuple[LabelledStack, ...],
    recipe: Recipe,
    clock: _Clock,
    reserved: float,
    reporter: _Reporter,
) -> None:
    """Train until all steps are done or the time is up, `reserved` seconds before the end."""
    deadline = clock.budget - reserved
    batches, began = ClipBatches(stacks, recipe), clock.seconds
    until = max(0.0, deadline / clock.budget)
    while state.step < recipe.steps:
        if state.step == _TIMED_STEPS:
            each = (clock.seconds - began) / _TIMED_STEPS
            recipe = _shortened(recipe, int((deadline - clock.seconds) / max(each, 1e-6)))
            batches = ClipBatches(stacks, recipe)
        if state.step and clock.seconds >= deadline:
            break
        train_step(state, batches.batch(state.step), recipe)
        reporter.step(state.step, recipe.steps, until)


def _shortened(recipe: Recipe, more: int) -> Recipe:
    """Return the recipe, shortened to some more steps after the timed ones."""
    phase = recipe.phases[0]
    steps = min(phase.steps, _TIMED_STEPS + max(more, 1))
    return replace(recipe, phases=(_of_length(phase, steps),))


def _recipe(task: AdaptationTask, stacks: tuple[LabelledStack, ...], config: Sam2Config) -> Recipe:
    """Write the recipe: that of fine-tuning, but of single frames only, and changed more."""
    settings = FineTuneSettings(
        parts=task.parts,
        steps=task.steps,
        image_size=task.template.image_size,
        frames=1,
        rate=task.rate,
        seed=task.seed,
    )
    resolved = replace(settings.resolve(config), object_windows=task.template.follows)
    recipe = resolved.recipe(stacks, bfloat16=task.template.half)
    phase = recipe.phases[0]
    clips = replace(phase.clips, look=1.0, n_objects=_PROMPTED, emphasis=_emphasis(stacks))
    return replace(recipe, phases=(_of_length(replace(phase, clips=clips), phase.steps),))


def _of_length(phase: TrainingPhase, steps: int) -> TrainingPhase:
    return replace(phase, steps=steps, warm_up=min(_WARM_UP, steps // 5))


def _emphasis(stacks: tuple[LabelledStack, ...]) -> tuple[tuple[str, float], ...]:
    """Return a factor per stack with which every mask is drawn equally often."""
    usual = sampling_weights(stacks).tolist()
    return tuple(
        (stack.group, stack.n_objects / weight) for stack, weight in zip(stacks, usual, strict=True)
    )


def _as_stack(frame: TrainingFrame, number: int) -> LabelledStack:
    """Make a still of a frame, in a group of its own."""
    labels = frame.labels[None]
    return LabelledStack(
        name=f"frame {number}",
        group=f"frame {number}",
        image=frame.image[None],
        labels=labels,
        video_axes=(),
        diameter=median_diameter(labels),
        n_objects=int(np.count_nonzero(np.unique(labels) > 0)),
    )


def _facts(
    task: AdaptationTask, before: HeldOutIou, after: HeldOutIou, steps: int
) -> dict[str, str]:
    """Return the metadata of the adapted model's file."""
    figures = {
        f"{key}_{when}": f"{value:.4f}"
        for when, iou in (("before", before), ("after", after))
        for key, value in asdict(iou).items()
        if value is not None
    }
    return {
        "base": task.base,
        "adapted_to": task.title,
        "parts": task.parts.value,
        "steps": str(steps),
        "masks": str(task.trained_masks),
        "held_out_masks": str(task.measured_masks),
        **figures,
    }
