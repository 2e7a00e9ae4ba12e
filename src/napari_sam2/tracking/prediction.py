"""What the network says about one object in one frame, at the decoder's resolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking.window import Sighting, Window

ABSENT_LOGIT = -1024.0
"""Mask logit of every pixel where the object score says that the object is absent."""

DRAWN_LOGIT = 10.0
"""Mask logit, up to its sign, of a mask that the user drew."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPrediction:
    """One object's mask in one frame.

    Attributes
    ----------
    logits : Tensor of float32, shape (S / 4, S / 4)
    iou : float
        Predicted IoU, in 0..1.
    presence : float
        Probability that the object is in the frame, in 0..1.
    pointer : Tensor of float32, shape (C,)
        Object pointer.
    window : Window
        The part of the frame that the logits cover.
    sighting : Sighting or None
        Where the object is; None where it is absent, or where windows do not follow objects.
    """

    logits: Tensor
    iou: float
    presence: float
    pointer: Tensor
    window: Window
    sighting: Sighting | None = None

    @property
    def present(self) -> bool:
        """Whether the object is in the frame."""
        return self.presence > 0.5

    @property
    def score(self) -> float:
        """Quality in 0..1: presence times predicted IoU."""
        return self.presence * self.iou


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """A frame that the user decided about one object.

    Attributes
    ----------
    frame : int
    prediction : ObjectPrediction
    mask : ndarray of bool, shape (Y, X)
        The mask in the frame's own pixels: the user's, where one was drawn.
    corrects : bool
        The object had been tracked through this frame before: prompts refine that mask.
    drawn : bool
        The mask is the user's, drawn or accepted: no other object takes pixels of it.
    prompt : FramePrompt, optional
        What it was decided from.
    """

    frame: int
    prediction: ObjectPrediction
    mask: NDArray[np.bool_]
    corrects: bool
    drawn: bool = False
    prompt: FramePrompt | None = None

    @property
    def clicks(self) -> tuple[tuple[float, float], ...]:
        """Where the user clicked on the object, as (y, x)."""
        prompt = self.prompt or FramePrompt()
        return tuple(p for p, on in zip(prompt.points, prompt.positive, strict=True) if on)

    @property
    def closed(self) -> bool:
        """Whether small holes may be filled: not where background was clicked."""
        return self.prompt is None or all(self.prompt.positive)

    @property
    def dismissed(self) -> bool:
        """Whether the user corrected the object away here."""
        return self.corrects and not self.prediction.present
