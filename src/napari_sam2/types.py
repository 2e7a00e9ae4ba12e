"""The frozen values that cross rooms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Direction(StrEnum):
    """Which way masks travel along the video axis."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"


class View(StrEnum):
    """What the model sees of a frame when it looks for an object.

    FRAME is all of it, squashed to the model input, as the reference does: one encoding serves
    all objects. OBJECT is a window that follows the object: small objects are seen at their own
    scale. AUTO is what the model was trained for.
    """

    AUTO = "auto"
    FRAME = "frame"
    OBJECT = "object"


@dataclass(frozen=True, slots=True, eq=False)
class FrameMasks:
    """The masks of some objects in one frame.

    Attributes
    ----------
    frame : int
        Index along the video axis.
    object_ids : tuple of int
        Label ids, one per mask, N in all.
    masks : ndarray of bool, shape (N, Y, X)
        At the frame's full resolution; disjoint unless overlaps were asked for.
    scores : ndarray of float32, shape (N,)
        Quality in 0..1: probability that the object is present times predicted IoU.
    presence : ndarray of float32, shape (N,)
        Probability in 0..1 that the object is in this frame (occlusion head).
    logits : ndarray of float32, shape (N, Y, X), optional
        Mask logits before the overlap rule; only where they were asked for.
    """

    frame: int
    object_ids: tuple[int, ...]
    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    presence: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None
