"""Cells that fill the frame without gaps: epithelia, plant tissue, neuropil."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_sam2.samples.fields import wander
from napari_sam2.samples.scene import Layout, Parts


@dataclass(frozen=True, slots=True)
class Tissue:
    """How cells fill the frame.

    Attributes
    ----------
    variety : (float, float)
        Range of the standard deviation of log size and of log axis ratio: 0.1 for an epithelium,
        0.5 for neuropil, where thin processes run between thick ones.
    through_depth : float
        Probability that the frames are slices through solid cells, not times.
    """

    variety: tuple[float, float] = (0.05, 0.2)
    through_depth: float = 0.6

    def lay_out(self, rng: np.random.Generator, frames: int, size: int) -> Layout:
        """Lay out one clip with a random number of cells."""
        margin = 1 if frames > 1 and rng.random() < self.through_depth else 0
        most = float(np.clip((size / 20) ** 2, 5, 70))
        cells = float(np.exp(rng.uniform(np.log(4), np.log(most))))
        variety = float(rng.uniform(*self.variety))
        parts = tissue(rng, frames + 2 * margin, size, cells, variety)
        return Layout(parts, (), margin, filled=True)


def tissue(rng: np.random.Generator, frames: int, size: int, cells: float, variety: float) -> Parts:
    """Cells that fill the frame: a jittered grid of seeds reaching past the border.

    ``variety`` is the standard deviation of log size and of log axis ratio.
    """
    spacing = size / np.sqrt(cells)
    side = int(np.ceil(size / spacing)) + 2
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    start = rng.uniform(-1, 0, 2) * spacing
    jitter = rng.uniform(-0.4, 0.4, (2, side * side)) * spacing
    n = side * side
    shape = (frames, n)
    pace = spacing * rng.uniform(0.0, 0.06)
    stretch = np.exp(1.2 * rng.normal(0, variety, n) + wander(rng, shape, 0.02))
    sizes = np.exp(rng.normal(0, variety, n))
    radius = 0.92 * spacing * np.maximum(sizes, 0.4) * np.exp(wander(rng, shape, 0.02))
    return Parts(
        ids=np.arange(1, n + 1),
        y=start[0] + rows.ravel() * spacing + jitter[0] + wander(rng, shape, pace),
        x=start[1] + columns.ravel() * spacing + jitter[1] + wander(rng, shape, pace),
        a=radius * np.sqrt(stretch),
        b=radius / np.sqrt(stretch),
        angle=rng.uniform(0, np.pi, n) + wander(rng, shape, 0.03),
        bend=rng.normal(0, 0.5 * variety, n) + np.zeros(shape),
        lobes=np.zeros(shape),
        lift=np.zeros(shape),
        present=np.ones(shape, np.bool_),
        light=np.exp(rng.normal(0, 0.25, n) + np.zeros(shape)),
        square=np.ones(n, np.intp),
        rank=np.zeros(n, np.intp),
    )
