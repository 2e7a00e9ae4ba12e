"""Recipes: the phases of a training run as frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from napari_sam2.errors import TrainingError
from napari_sam2.training.data.clips import ClipSettings
from napari_sam2.training.losses.primitives import LossWeights


@dataclass(frozen=True, slots=True)
class TrainingPhase:
    """One phase of a training run.

    Attributes
    ----------
    name : str
        For the log.
    steps : int
        Optimiser steps.
    clips : ClipSettings
        Size, frames, objects and looks of the clips.
    batch : int
        Clips per step.
    frame_size : int
        Side of the frame that the clips are windows of, in pixels; at least the clips' size.
    rate, final_rate : float
        Learning rate at the beginning and, after a cosine, at the end of the phase.
    warm_up : int
        Steps over which the learning rate first rises from zero.
    losses : LossWeights
        Weights of the losses.
    dense : float
        Weight of the dense supervision of the features.
    boxes : float
        Share of steps whose first prompt is a box; the others start with a click.
    masks : float
        Share of clips of several frames whose first frame is given as a mask.
    corrections : float
        Share of steps that add corrective clicks to the first frame, and share of steps that
        correct one of the frames that follow.
    rounds : int
        So many corrective clicks at most in the first frame, one after another.
    freeze_statistics : bool
        Batch normalisation uses its running statistics, as at inference. Statistics of small
        batches of microscopy differ much from those of any one image: a network trained on them
        fails in use, so only a run's first steps should go without.
    also : TrainingPhase, optional
        What every second step does instead: stills beside clips, say. Its steps and rates are not
        used.
    """

    name: str
    steps: int
    clips: ClipSettings = field(default_factory=ClipSettings)
    batch: int = 8
    frame_size: int = 512
    rate: float = 1e-3
    final_rate: float = 1e-3
    warm_up: int = 0
    losses: LossWeights = field(default_factory=LossWeights)
    dense: float = 1.0
    boxes: float = 0.25
    masks: float = 0.2
    corrections: float = 0.2
    rounds: int = 1
    freeze_statistics: bool = True
    also: TrainingPhase | None = None

    def learning_rate(self, step: int) -> float:
        """Return the learning rate at a step of this phase."""
        progress = min(step / max(self.steps, 1), 1.0)
        blend = 0.5 * (1.0 + math.cos(math.pi * progress))
        rate = self.final_rate + (self.rate - self.final_rate) * blend
        return rate * min(1.0, (step + 1) / self.warm_up) if self.warm_up else rate


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole run.

    Attributes
    ----------
    phases : tuple of TrainingPhase
        One after another.
    seed : int
        Seed of all random numbers.
    weight_decay : float
        Weight decay of AdamW, for matrices and kernels only.
    clip_norm : float
        Gradients are scaled down to this norm.
    ema_decay : float
        Decay per step of the moving average of weights that is exported.
    threads : int
        CPU threads of the optimiser's process.
    bfloat16 : bool
        Compute the network's forward pass in bfloat16; losses stay float32.
    """

    phases: tuple[TrainingPhase, ...]
    seed: int = 0
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    threads: int = 2
    bfloat16: bool = True

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> tuple[TrainingPhase, int]:
        """Return the phase of a step and the step inside it.

        Raises
        ------
        TrainingError
            The run has fewer steps.
        """
        main, here = self._main(step)
        return (main.also if main.also is not None and here % 2 else main), here

    def learning_rate(self, step: int) -> float:
        """Return the learning rate at a step of the run."""
        main, here = self._main(step)
        return main.learning_rate(here)

    def _main(self, step: int) -> tuple[TrainingPhase, int]:
        start = 0
        for phase in self.phases:
            if step < start + phase.steps:
                return phase, step - start
            start += phase.steps
        raise TrainingError(f"The recipe ends after {self.steps} steps; {step} is beyond.")

    def freezes_at(self, step: int) -> bool:
        """Return whether a phase with frozen batch statistics follows one without, at this step."""
        main, here = self._main(step)
        if here or not step or not main.freeze_statistics:
            return False
        return not self._main(step - 1)[0].freeze_statistics
