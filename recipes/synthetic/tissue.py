"""Cells that fill the frame without gaps: epithelia, plant tissue, neuropil."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from napari_sam2.samples.fields import wander
from synthetic.scene import Layout, Parts, join

FARTHEST = 1.5


@dataclass(frozen=True, slots=True)
class Tissue:
    """Parameters of the cells that fill a frame.

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
        most = float(np.clip((size / 20) ** 2, 5, 70))
        cells = float(np.exp(rng.uniform(np.log(4), np.log(most))))
        variety = float(rng.uniform(*self.variety))
        if frames > 1 and rng.random() < self.through_depth:
            return Layout(_layers(rng, frames + 2, size, cells, variety), (), 1, filled=True)
        return Layout(tissue(rng, frames, size, cells, variety), filled=True)


def _layers(
    rng: np.random.Generator, slices: int, size: int, cells: float, variety: float
) -> Parts:
    """Slices through layers of cells: each cell is the space nearest to its seed."""
    height = float(np.exp(rng.uniform(np.log(4), np.log(20))))
    first = rng.uniform(-1, 0)
    layers: list[Parts] = []
    ids = 0
    for layer in range(int(np.ceil(slices / height)) + 2):
        one = tissue(rng, slices, size, cells, variety)
        middle = (first + layer + rng.uniform(-0.25, 0.25, len(one.ids))) * height
        lift = ((np.arange(slices)[:, None] - middle) / (0.92 * height)) ** 2
        layers.append(replace(one, ids=one.ids + ids, lift=lift, present=lift < FARTHEST))
        ids += len(one.ids)
    return reduce(join, layers)


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
        rod=np.zeros(n, np.bool_),
        rank=np.zeros(n, np.intp),
    )
