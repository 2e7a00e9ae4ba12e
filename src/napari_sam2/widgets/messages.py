"""What the main thread asks of the worker, and what it is told: frozen values only."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.prompts import FramePrompt
from napari_sam2.types import Direction


@dataclass(frozen=True, slots=True)
class PlacedPrompt:
    """What the user asked for of one object in one frame.

    Attributes
    ----------
    object_id : int
        Label id, from 1.
    frame : int
        Index along the video axis.
    prompt : FramePrompt
        Points and box in (y, x) pixels of the frame.
    """

    object_id: int
    frame: int
    prompt: FramePrompt

    @property
    def place(self) -> tuple[int, int]:
        """The object and the frame it belongs to."""
        return self.object_id, self.frame


Prompts = tuple[PlacedPrompt, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SessionSpec:
    """All that the worker needs to open a session on one stack of an image layer.

    Attributes
    ----------
    key : Hashable
        Two specs with the same key describe the same session.
    data : array-like
        Pixels of the image layer, as they lie: numpy, dask, zarr.
    axis : int or None
        Video axis of `data`; None for a single frame.
    at : tuple of (int, int)
        The other sliders: (axis of `data`, index) for each axis that stays fixed.
    channel_axis : int or None
        Axis of `data` with the colours of an RGB image.
    contrast : (float, float) or None
        Intensities shown as black and white, constant over the session.
    labels : ndarray, shape (T, Y, X)
        View into the Labels layer that the session fills.
    model, device : str
        What to load and where.
    """

    key: Hashable
    data: Any
    axis: int | None
    at: tuple[tuple[int, int], ...]
    channel_axis: int | None
    contrast: tuple[float, float] | None
    labels: NDArray[np.unsignedinteger[Any]]
    model: str
    device: str


@dataclass(frozen=True, slots=True, eq=False)
class PromptRequest:
    """Bring the session in line with these prompts, all of them, and nothing else."""

    generation: int
    spec: SessionSpec
    prompts: Prompts


@dataclass(frozen=True, slots=True, eq=False)
class RunRequest:
    """Carry the prompted objects through the stack."""

    generation: int
    spec: SessionSpec
    prompts: Prompts
    direction: Direction


@dataclass(frozen=True, slots=True)
class Phase:
    """What the worker is busy with now."""

    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class PromptAnswer:
    """The session has taken in a `PromptRequest`; the labels show it."""

    generation: int


@dataclass(frozen=True, slots=True)
class RunStarted:
    """Propagation begins and will give this many results."""

    generation: int
    total: int


@dataclass(frozen=True, slots=True)
class FrameDone:
    """The masks of one frame are in the labels."""

    generation: int
    frame: int
    done: int


@dataclass(frozen=True, slots=True)
class RunEnded:
    """Propagation is over: finished, cancelled or failed."""

    generation: int
    done: int
    cancelled: bool


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """Something went wrong in the worker."""

    generation: int
    error: Exception


Answer = Phase | PromptAnswer | RunStarted | FrameDone | RunEnded | Failure
