"""The frozen values that cross rooms."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

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


class Unreadable(StrEnum):
    """What becomes of a propagation where a frame cannot be read.

    SKIP leaves the labels of that frame as they are, says so, and follows the objects beyond it;
    STOP ends there, with an error.
    """

    SKIP = "skip"
    STOP = "stop"


class Speed(StrEnum):
    """How much exactness may be given for speed.

    EXACT computes what the model was trained to. BALANCED makes the input smaller and remembers
    fewer frames. FASTEST sees small windows that follow the objects, and remembers least.
    """

    EXACT = "exact"
    BALANCED = "balanced"
    FASTEST = "fastest"


class ObjectFrame(NamedTuple):
    """One object in one frame, in the order in which all methods take the two.

    Attributes
    ----------
    object_id : int
        Label id, from 1.
    frame : int
        Index along the video axis.
    """

    object_id: int
    frame: int

    def by_frame(self) -> tuple[int, int]:
        """Return frame and object id: a key that sorts pairs frame by frame."""
        return self.frame, self.object_id


@dataclass(frozen=True, slots=True)
class Region:
    """A part of every frame: whole pixels, rows y0 to y1 - 1 and columns x0 to x1 - 1."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index a frame with."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


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
    skipped : str, optional
        Why no object was looked for here: what is wrong with the frame.
    """

    frame: int
    object_ids: tuple[int, ...]
    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    presence: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None
    skipped: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """One step of a session file has been taken in.

    Attributes
    ----------
    left : int
        Prompts and accepted masks that are still to come.
    masks : FrameMasks or None
        What the model made of a prompt; None for a mask that the file holds, accepted or
        corrected, and where the frame could not be read.
    """

    left: int
    masks: FrameMasks | None = None
