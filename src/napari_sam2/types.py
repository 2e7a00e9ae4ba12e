"""Frozen values and enumerations that several packages exchange.

Any thread may use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Direction(StrEnum):
    """Directions of a propagation along the video axis."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"


class StackKind(StrEnum):
    """What the frames of a stack are: slices of a volume, or times.

    Along a z-stack objects begin and end once, and others follow where they end. In a time-lapse
    cells come back into view, flatten and round up. Where it is unknown, nothing is concluded.
    """

    UNKNOWN = "unknown"
    Z_STACK = "z-stack"
    TIME_LAPSE = "time-lapse"


class View(StrEnum):
    """The part of a frame that the model sees.

    FRAME is the whole frame, resized to the square model input, as in the reference: all objects
    share one encoding. OBJECT is a window that follows the object, so that small objects are
    enlarged. AUTO is the view that the model was trained for.
    """

    AUTO = "auto"
    FRAME = "frame"
    OBJECT = "object"


class Unreadable(StrEnum):
    """The reaction of a propagation to a frame that cannot be read.

    SKIP keeps the labels of that frame, reports it, and tracks the objects beyond it; STOP ends
    the propagation with an error.
    """

    SKIP = "skip"
    STOP = "stop"


class Speed(StrEnum):
    """Levels of speed; the faster ones approximate.

    EXACT approximates nothing. BALANCED has a smaller input and fewer memories. FASTEST has small
    windows that follow the objects, and the fewest memories.
    """

    EXACT = "exact"
    BALANCED = "balanced"
    FASTEST = "fastest"


class TrackFormat(StrEnum):
    """Formats of track files: Cell Tracking Challenge, GEFF, TrackMate XML."""

    CTC = "ctc"
    GEFF = "geff"
    TRACKMATE = "trackmate"


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
class Division:
    """An object that divides into others.

    Attributes
    ----------
    parent : int
        Id of the object that ends.
    children : tuple of int
        Ids of the objects that begin; usually two, and one where the other is not in the image.
    frame : int
        The first frame of the children. The parent does not exist from this frame on.
    """

    parent: int
    children: tuple[int, ...]
    frame: int


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
        At the frame's full resolution; disjoint unless the settings allow overlaps.
    scores : ndarray of float32, shape (N,)
        Quality in 0..1: probability that the object is present times predicted IoU.
    presence : ndarray of float32, shape (N,)
        Probability in 0..1 that the object is in this frame (occlusion head).
    logits : ndarray of float32, shape (N, Y, X), optional
        Mask logits before the overlap rule; only with `keep_logits`.
    skipped : str, optional
        The reason why the frame was skipped.
    filling : frozenset of int
        Objects whose predicted mask reaches all four sides of what the model sees of the frame:
        most likely it is no object, or larger than that.
    forward : bool, optional
        Whether a forward pass of a propagation, or a backward one, came through the frame; None for
        the answer to a prompt.
    """

    frame: int
    object_ids: tuple[int, ...]
    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    presence: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None
    skipped: str | None = None
    filling: frozenset[int] = frozenset()
    forward: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """One step of a session file that has been replayed.

    Attributes
    ----------
    left : int
        Number of prompts and accepted masks that are left.
    masks : FrameMasks or None
        The predicted masks of a prompt; None for accepted or corrected masks, which the file
        holds, and for frames that cannot be read.
    """

    left: int
    masks: FrameMasks | None = None
