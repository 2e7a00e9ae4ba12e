"""The state of a run on disk: weights, their average, the optimiser, the step."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from napari_sam2.errors import TrainingError
from napari_sam2.network import Sam2
from napari_sam2.training.auxiliary import DenseHeads
from napari_sam2.training.recipe import Recipe


@dataclass(slots=True, eq=False)
class TrainingState:
    """Everything that changes while training.

    Attributes
    ----------
    network : Sam2
        The weights that are trained.
    dense : DenseHeads
        The throw-away heads.
    average : Sam2
        Exponential moving average of the network, in evaluation mode: what is exported.
    optimiser : torch.optim.AdamW
    step : int
        Steps done.
    """

    network: Sam2
    dense: DenseHeads
    average: Sam2
    optimiser: torch.optim.AdamW
    step: int = 0

    @classmethod
    def create(cls, network: Sam2, recipe: Recipe) -> TrainingState:
        """Start from a network (which is trained in place)."""
        torch.manual_seed(recipe.seed)
        dense = DenseHeads(network.config).to(next(network.parameters()).device)
        _to_channels_last(network)
        average = copy.deepcopy(network).eval().requires_grad_(False)
        groups = _groups((network, dense), recipe.weight_decay)
        return cls(network, dense, average, torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98)))

    def parameters(self) -> Iterator[nn.Parameter]:
        """All trained parameters."""
        yield from self.network.parameters()
        yield from self.dense.parameters()

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the average towards the weights; faster in the first steps."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        mine, theirs = self.average.state_dict(), self.network.state_dict()
        for name, value in mine.items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1.0 - decay)
            else:
                value.copy_(theirs[name])

    def save(self, path: Path) -> None:
        """Write atomically: an interrupted run finds the previous or the new state, whole."""
        content = {
            "step": self.step,
            "network": self.network.state_dict(),
            "dense": self.dense.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = path.with_suffix(".partial")
        torch.save(content, partial)
        os.replace(partial, path)  # noqa: PTH105

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Raises
        ------
        TrainingError
            The file cannot be read or belongs to another network.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            self.network.load_state_dict(content["network"])
            self.dense.load_state_dict(content["dense"])
            self.average.load_state_dict(content["average"])
            self.optimiser.load_state_dict(content["optimiser"])
            self.step = int(content["step"])
        except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
            raise TrainingError(
                f"The run cannot go on from {path}: {error}",
                remedy="Start a new run in an empty folder, or use the same model and recipe.",
            ) from error


def _to_channels_last(network: nn.Module) -> None:
    """Lay out kernels as channels last, in place: the faster convolutions on CPU and GPU alike."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _groups(modules: tuple[nn.Module, ...], weight_decay: float) -> list[dict[str, object]]:
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for module in modules:
        for parameter in module.parameters():
            (decayed if parameter.ndim > 1 else others).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
