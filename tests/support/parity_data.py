"""The stored outputs of the reference, and its distance from ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

_FOLDER = Path(__file__).parents[1] / "data" / "parity"


@cache
def stored(name: str) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of one file."""
    with np.load(_FOLDER / f"{name}.npz") as arrays:
        return dict(arrays)


def largest_difference(ours: Tensor | ArrayLike, theirs: ArrayLike) -> float:
    """Return the largest absolute difference; the shapes must be equal."""
    mine, other = np.asarray(ours), np.asarray(theirs)
    assert mine.shape == other.shape
    return float(np.abs(mine - other).max())


def thin(maps: Tensor, step: int) -> Tensor:
    """Take every `step`-th pixel, as large maps are stored."""
    return maps[..., ::step, step // 2 :: step]


class Draws:
    """Float32 draws of the standard normal distribution, one after another."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> Tensor:
        return torch.from_numpy(self._rng.standard_normal(shape, dtype=np.float32))


@dataclass(frozen=True)
class Scenario:
    """A video with prompts: one dictionary of keyword arguments each."""

    object_score_bias: float
    direction: str
    prompts: tuple[dict[str, object], ...]


@cache
def scenarios() -> dict[str, Scenario]:
    """Return the stored videos' scenarios by name."""
    text = (_FOLDER / "video_scenarios.json").read_text(encoding="utf-8")
    return {
        name: Scenario(each["object_score_bias"], each["direction"], tuple(each["prompts"]))
        for name, each in json.loads(text).items()
    }
