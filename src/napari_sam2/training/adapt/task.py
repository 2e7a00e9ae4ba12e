"""Tasks and results of adaptations: values that are sent between processes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import TrainingError
from napari_sam2.network import Sam2
from napari_sam2.stack import FrameStack
from napari_sam2.training.data.splitting import HeldOutIou
from napari_sam2.training.parts import Parts
from napari_sam2.types import FrameMasks


class AdaptationCancelledError(TrainingError):
    """The user stopped an adaptation; the model is as it was."""


class PromptableSession(Protocol):
    """A session that gives the mask of a prompt; `napari_sam2.TrackingSession` is one."""

    def add_points(
        self, object_id: int, frame: int, points: list[tuple[float, float]]
    ) -> FrameMasks:
        """Click an object."""

    def add_box(
        self, object_id: int, frame: int, box: tuple[float, float, float, float]
    ) -> FrameMasks:
        """Draw a box around an object."""

    def remove_prompts(self, object_id: int) -> None:
        """Forget an object."""


class SessionTemplateLike(Protocol):
    """A template that opens sessions with the same settings, and can be sent to a process.

    Attributes
    ----------
    device : str
    image_size : int
        Side of the model input.
    half : bool
        Whether it computes in bfloat16.
    follows : bool
        Whether the model sees windows that follow objects.
    """

    @property
    def device(self) -> str:
        """Name of the compute device."""

    @property
    def image_size(self) -> int:
        """Side of the model input."""

    @property
    def half(self) -> bool:
        """Whether sessions compute in bfloat16."""

    @property
    def follows(self) -> bool:
        """Whether windows follow the objects."""

    def open(self, network: Sam2, stack: FrameStack) -> Any:
        """Open a `PromptableSession` on a stack, with a network in evaluation mode."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFrame:
    """A part of a frame with the masks to train on.

    Attributes
    ----------
    image : ndarray of uint8, shape (Y, X)
        Mean of the channels.
    labels : ndarray of int32, shape (Y, X)
        See `known_labels`.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredFrame:
    """A frame with masks that are held out.

    Attributes
    ----------
    image : ndarray of uint8, shape (Y, X, C)
    masks : ndarray of int32, shape (Y, X)
        Ids of the held-out objects, 0 elsewhere.
    object_ids : tuple of int
        Those that are measured.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.int32]
    object_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AdaptationTask:
    """All that a process needs to adapt a model.

    Attributes
    ----------
    weights : Path
        The model file that it starts from; it is not changed.
    temporary : bool
        That file is to be removed afterwards.
    target : Path
        The model file to write; it is not there yet.
    template : SessionTemplateLike
        Opens sessions to measure with.
    parts : Parts
        Parts of the network to train.
    train : tuple of TrainingFrame
    held_out : tuple of MeasuredFrame
    trained_masks : int
        Masks that are trained on.
    minutes : float
        Time limit of the adaptation, measuring included.
    steps : int
        Training steps at most.
    seed : int
        Seed of all random numbers.
    title : str
        Says what the model was adapted to.
    base : str
        Name of the model that it starts from.
    skipped : tuple of str
        Errors of the frames that could not be read.
    rate : float, optional
        Learning rate at the beginning; that of `FineTuneSettings` by default.
    """

    weights: Path
    temporary: bool
    target: Path
    template: SessionTemplateLike
    parts: Parts
    train: tuple[TrainingFrame, ...]
    held_out: tuple[MeasuredFrame, ...]
    trained_masks: int
    minutes: float
    steps: int
    seed: int
    title: str
    base: str
    skipped: tuple[str, ...] = ()
    rate: float | None = None

    @property
    def measured_masks(self) -> int:
        """Masks that are measured on."""
        return sum(len(frame.object_ids) for frame in self.held_out)


class Stage(StrEnum):
    """The stage of an adaptation; the value is the text that the user reads."""

    LOADING = "Loading the model"
    BEFORE = "Measuring the model as it is"
    TRAINING = "Learning"
    AFTER = "Measuring the adapted model"


@dataclass(frozen=True, slots=True)
class AdaptationProgress:
    """Progress of an adaptation.

    Attributes
    ----------
    stage : Stage
    fraction : float
        Estimated progress of the whole adaptation, 0..1.
    step, steps : int
        Training steps done, and to be done; 0 where that is not known.
    """

    stage: Stage
    fraction: float
    step: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Adaptation:
    """The result of an adaptation.

    Attributes
    ----------
    before, after : HeldOutIou
        Mean IoU of one click and of the box on the masks that were held out, of the model that it
        started from and of the adapted one.
    taken : bool
        Whether the adapted model is better, and so was kept.
    model : Path or None
        Its file; None if it was not kept.
    steps : int
        Training steps.
    seconds : float
        All of it took so long.
    trained_masks, measured_masks : int
        Masks that were trained on, and that were measured on.
    skipped : tuple of str
        Errors of the frames that could not be read.
    """

    before: HeldOutIou
    after: HeldOutIou
    taken: bool
    model: Path | None
    steps: int
    seconds: float
    trained_masks: int
    measured_masks: int
    skipped: tuple[str, ...] = ()
