"""Tubes that run through the slices at a slant and fork: vessels, ducts, airways, roots."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_sam2.samples.fields import wander
from synthetic.anatomy import Course, Structure, assemble, tube
from synthetic.scene import Layout

MARGIN = 1
ABSENT = 2.0


@dataclass(frozen=True, slots=True)
class Vessels:
    """Some trees of tubes; every tree is one object.

    Attributes
    ----------
    radius : (float, float)
        Range of the typical radius as fractions of the frame (never below 4 pixels).
    most : int
        Largest number of trees.
    forks : float
        Probability that a tube forks inside the stack.
    """

    radius: tuple[float, float] = (0.02, 0.2)
    most: int = 10
    forks: float = 0.5

    def lay_out(self, rng: np.random.Generator, frames: int, size: int) -> Layout:
        """Lay out one stack."""
        slices = frames + 2 * MARGIN
        low = max(4.5, self.radius[0] * size)
        typical = float(np.exp(rng.uniform(np.log(low), np.log(self.radius[1] * size))))
        thickness = typical * float(np.exp(rng.uniform(np.log(0.15), np.log(1.2))))
        branches: list[Structure] = []
        ids: list[int] = []
        for number in range(1, 1 + int(rng.integers(1, self.most + 1))):
            tree = self._tree(rng, slices, size, typical, thickness)
            branches += tree
            ids += [number] * len(tree)
        layout = assemble(branches, MARGIN)
        rank = np.zeros(len(ids), np.intp)
        return replace(layout, parts=replace(layout.parts, ids=np.array(ids), rank=rank))

    def _tree(
        self, rng: np.random.Generator, slices: int, size: int, typical: float, thickness: float
    ) -> list[Structure]:
        """Make a trunk, and where it forks a second branch that leaves it for good."""
        radius = max(4.2, typical * float(np.exp(rng.normal(0, 0.35))))
        start = rng.uniform(0, size, 2)
        trunk = _slanted(rng, slices, start, radius, thickness)
        if rng.random() >= self.forks:
            return [trunk]
        fork = float(rng.uniform(0, slices))
        at = int(min(fork, slices - 1))
        away = _slanted(rng, slices, start, 0.8 * radius, thickness)
        branch = replace(
            away,
            y=trunk.y[at] + away.y - away.y[at],
            x=trunk.x[at] + away.x - away.x[at],
            lift=np.where(np.arange(slices) < at, ABSENT, 0.0),
        )
        return [trunk, branch]


def _slanted(
    rng: np.random.Generator, slices: int, start: np.ndarray, radius: float, thickness: float
) -> Structure:
    """Cut a tube at its slant: the section is longer along it."""
    slant = rng.normal(0, 0.45, 2)
    time = np.arange(slices) - 0.5 * slices
    line = start + slant * thickness * time[:, None]
    line = line + wander(rng, (slices, 2), 0.06 * thickness, 0.9)
    length = radius * float(np.hypot(1, np.hypot(*slant)))
    course = Course(line[:, 0], line[:, 1], -float(np.arctan2(slant[0], slant[1])))
    grey = float(np.exp(rng.normal(0, 0.25)))
    return tube(rng, course, (length, radius), grey, True, ends=0.2)
