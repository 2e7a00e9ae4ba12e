"""The state of a run in memory and on disk: weights, their average, the optimiser, the step."""

from __future__ import annotations

import copy
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_sam2._atomic import replacing
from napari_sam2._limits import MOST_WHOLE_NUMBER, check_file
from napari_sam2.errors import TrainingError
from napari_sam2.network import DenseHeads, Sam2
from napari_sam2.training.run.recipe import Recipe

_TRUNK = "image_encoder.trunk."
_MOST_REASON = 300  # characters: torch writes pages


@dataclass(slots=True, eq=False)
class TrainingState:
    """Everything that changes during training.

    Attributes
    ----------
    network : Sam2
        The weights that are trained.
    dense : DenseHeads
        The network's own dense heads, or some that are thrown away after training.
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
    def create(cls, network: Sam2, recipe: Recipe, *, trunk_rate: float = 1.0) -> TrainingState:
        """Start from a network, whose parameters that require gradients are trained in place.

        Parameters
        ----------
        network : Sam2
        recipe : Recipe
            Seed and weight decay.
        trunk_rate : float
            Learning rate of the image encoder's trunk, relative to that of the rest.
        """
        torch.manual_seed(recipe.seed)
        if network.config.dense_heads:
            dense = network.dense_heads
        else:
            dense = DenseHeads(network.config).to(next(network.parameters()).device)
        _to_channels_last(network)
        average = copy.deepcopy(network).eval().requires_grad_(False)
        trained = (network,) if network.config.dense_heads else (network, dense)
        groups = _groups(trained, recipe.weight_decay, trunk_rate)
        return cls(network, dense, average, torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98)))

    def parameters(self) -> Iterator[nn.Parameter]:
        """All trained parameters."""
        yield from self.network.parameters()
        if not self.network.config.dense_heads:
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
        """Write atomically: an interrupted run finds the previous or the new state, whole.

        Raises
        ------
        TrainingError
            The file cannot be written; the previous state is still there.
        """
        content = {
            "step": self.step,
            "network": self.network.state_dict(),
            "dense": self.dense.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        try:
            with replacing(path) as temporary:
                torch.save(content, temporary)
        except (OSError, RuntimeError) as error:  # torch's writer raises either on a full disk
            raise TrainingError(
                f"The run's state cannot be written to {path}: {error}.",
                safe="The state that was saved before is whole; the run goes on from there.",
                remedy="Make space, check that the folder may be written, and train again.",
            ) from error

    def load(self, path: Path) -> None:
        """Continue from a saved state.

        Raises
        ------
        TrainingError
            The file cannot be read or belongs to another network.
        """
        with _readable(path):
            content = _content(path)
            self.network.load_state_dict(content["network"])
            self.dense.load_state_dict(content["dense"])
            self.average.load_state_dict(content["average"])
            self.optimiser.load_state_dict(content["optimiser"])
            self.step = _step(content)


def load_average(path: Path, network: Sam2) -> int:
    """Load the averaged weights of a saved state into a network, and return the steps done.

    Raises
    ------
    TrainingError
        The file cannot be read or belongs to another network.
    """
    with _readable(path):
        content = _content(path)
        network.load_state_dict(content["average"])
        return _step(content)


def saved_step(path: Path) -> int:
    """Return the steps that a saved state has done; 0 if there is none.

    Raises
    ------
    TrainingError
        The file cannot be read.
    """
    if not path.exists():
        return 0
    with _readable(path):
        return _step(_content(path, mapped=True))


def _content(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """Read a state file without running code from it.

    Raises
    ------
    ValueError
        It is packed, or holds no state.
    """
    check_file(path)
    archive = zipfile.is_zipfile(path)
    if archive:  # what torch.save writes is not packed, and no larger than the file
        with zipfile.ZipFile(path) as parts:
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist()):
                raise ValueError("it is packed, which no state is")
    with warnings.catch_warnings():
        # About pickle protocols of damaged files, which end in an error of ours.
        warnings.simplefilter("ignore", UserWarning)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and archive)
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    return content


def _step(content: dict[str, Any]) -> int:
    step = int(content["step"])
    if not 0 <= step <= MOST_WHOLE_NUMBER:
        raise ValueError("its number of steps is none")
    return step


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise an error with a remedy if a state file cannot be read."""
    try:
        yield
    except Exception as error:  # from damaged bytes the unpickler raises whatever comes
        reason = " ".join(str(error).split())[:_MOST_REASON] or type(error).__name__
        raise TrainingError(
            f"The run cannot go on from {path}: {reason}.",
            remedy="Start a new run in an empty folder, or use the same model and recipe.",
        ) from error


def _to_channels_last(network: nn.Module) -> None:
    """Lay out kernels as channels last, in place: the faster convolutions on CPU and GPU alike."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _groups(
    modules: Sequence[nn.Module], weight_decay: float, trunk_rate: float
) -> list[dict[str, object]]:
    """Group trained parameters by weight decay, and the trunk's apart if its rate differs."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {
        (scale, decay): []
        for scale in dict.fromkeys((1.0, trunk_rate))
        for decay in (weight_decay, 0.0)
    }
    for module in modules:
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                scale = trunk_rate if name.startswith(_TRUNK) else 1.0
                groups[scale, weight_decay if parameter.ndim > 1 else 0.0].append(parameter)
    return [
        {"params": members, "weight_decay": decay, "scale": scale}
        for (scale, decay), members in groups.items()
        if members
    ]
