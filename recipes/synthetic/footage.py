"""Clips of a random kind, before their labels are cleaned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.stack import SampleStack

SMALLEST_AREA = 12


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """Frames and who owns their pixels.

    Attributes
    ----------
    image : ndarray of uint8, shape (T, Y, X)
        The frames.
    owner : ndarray of uint16, shape (T, Y, X)
        Id of the object in front, 0 where there is none.
    count : int
        Ids above this one are clutter, which stays unlabelled.
    axes : str
        ``"TYX"``, or ``"ZYX"`` for slices.
    parents : tuple of (int, int)
        Divisions, (child id, parent id).
    """

    image: NDArray[np.uint8]
    owner: NDArray[np.uint16]
    count: int
    axes: str = "TYX"
    parents: tuple[tuple[int, int], ...] = ()

    def finished(self, name: str) -> SampleStack:
        """Return the clip without clutter and without objects too small to click."""
        labels = np.empty_like(self.owner)
        alive = np.zeros(self.count + 1, np.bool_)
        for frame, plane in enumerate(self.owner):
            areas = np.bincount(plane.ravel(), minlength=self.count + 1)
            table = np.arange(len(areas), dtype=np.uint16)
            table[areas < SMALLEST_AREA] = 0
            table[self.count + 1 :] = 0
            labels[frame] = table[plane]
            alive |= table[: self.count + 1] > 0
        parents = tuple(pair for pair in self.parents if alive[pair[0]] and alive[pair[1]])
        return SampleStack(self.image, labels, self.axes, (1.0, 1.0, 1.0), name, parents)
