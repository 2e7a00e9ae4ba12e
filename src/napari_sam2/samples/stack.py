"""`SampleStack`: a synthetic image stack with its exact labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SampleStack:
    """A synthetic image stack and the truth about it.

    Attributes
    ----------
    image : ndarray of uint8 or uint16, shape (T, Y, X)
        The frames; the first axis is the video axis (z or time).
    labels : ndarray of uint16, shape (T, Y, X)
        0 is background; an object keeps its id through the stack.
    axes : str
        ``"ZYX"`` or ``"TYX"``.
    scale : tuple of float
        Size of a pixel along each axis, in micrometres (z, y, x) or minutes (t).
    name : str
        Description of the stack.
    parents : tuple of (int, int)
        Pairs (child id, parent id) of the divisions, ordered by child. A parent's last frame is
        the one before its children appear.
    """

    image: NDArray[np.uint8] | NDArray[np.uint16]
    labels: NDArray[np.uint16]
    axes: str
    scale: tuple[float, float, float]
    name: str
    parents: tuple[tuple[int, int], ...] = ()
