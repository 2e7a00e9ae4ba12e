"""A trunk or head in axial slices: wall, bones, organs of little contrast, vessels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthetic.anatomy import Course, Structure, assemble, blob, random_course, tube
from synthetic.scene import Layout

MARGIN = 1


@dataclass(frozen=True, slots=True)
class Torso:
    """Organs in a body, seen whole or enlarged.

    Attributes
    ----------
    organs : (int, int)
        Range of their number.
    contrast : (float, float)
        Range of the typical difference in grey between organs.
    """

    organs: tuple[int, int] = (3, 12)
    contrast: tuple[float, float] = (0.08, 0.35)

    def lay_out(self, rng: np.random.Generator, frames: int, size: int) -> Layout:
        """Lay out one scan."""
        r = size * float(np.exp(rng.uniform(np.log(0.3), np.log(1.1))))
        wide = float(rng.uniform(0.95, 1.4))
        course = random_course(rng, frames + 2 * MARGIN, size, 0.3 * r)
        soft = float(rng.uniform(0.3, 0.6))
        scene = _wall(rng, course, r, wide, soft)
        contrast = float(np.exp(rng.uniform(*np.log(self.contrast))))
        for _ in range(int(rng.integers(self.organs[0], self.organs[1] + 1))):
            angle, away = rng.uniform(0, 2 * np.pi), 0.75 * r * np.sqrt(rng.random())
            place = course.beside(away * np.sin(angle), wide * away * np.cos(angle))
            extent = max(5.0, r * float(np.exp(rng.uniform(np.log(0.08), np.log(0.5)))))
            step = contrast * float(rng.choice([-1, 1]) * rng.uniform(0.6, 1.6))
            scene.append(blob(rng, place, extent, float(np.clip(soft + step, 0.05, 1)), True))
            if extent > 16 and rng.random() < 0.3:
                scene.append(_inside(rng, scene[-1], contrast))
        return assemble([*scene, *_vessels(rng, course, r, soft)], MARGIN)


def _wall(
    rng: np.random.Generator, course: Course, r: float, wide: float, soft: float
) -> list[Structure]:
    """Skin and fat, muscle, the cavity, and bones in the wall."""
    fat, muscle = rng.uniform(0.05, 1, 2)
    bone = float(rng.uniform(0, 1.1))
    cavity = float(np.clip(soft + rng.normal(0, 0.08), 0.05, 1))
    layers = ((1.0, float(fat)), (rng.uniform(0.88, 0.97), float(muscle)), (0.85, cavity))
    wall = [tube(rng, course, (s * r * wide, s * r), grey, False) for s, grey in layers]
    for _ in range(int(rng.integers(0, 14))):
        angle = rng.uniform(0, 2 * np.pi)
        place = course.beside(0.9 * r * np.sin(angle), 0.9 * wide * r * np.cos(angle))
        extent = r * float(rng.uniform(0.02, 0.07))
        wall.append(blob(rng, place, max(3.0, extent), bone, False))
    vertebra = course.beside(-0.6 * r, 0)
    wall.append(tube(rng, vertebra, (0.2 * r, 0.15 * r), bone, bool(rng.random() < 0.5)))
    return wall


def _inside(rng: np.random.Generator, outer: Structure, contrast: float) -> Structure:
    """Make a lumen, a medulla or a lesion within an organ."""
    width = rng.uniform(0.35, 0.7)
    step = float(rng.choice([-1, 1]) * rng.uniform(1, 2.5)) * max(contrast, 0.06)
    return replace(
        outer,
        a=outer.a * width,
        b=outer.b * width,
        y=outer.y + 0.15 * rng.normal() * outer.b,
        x=outer.x + 0.15 * rng.normal() * outer.b,
        grey=np.clip(outer.grey + step, 0.02, 1.1),
        lift=outer.lift * 1.3,
    )


def _vessels(rng: np.random.Generator, course: Course, r: float, soft: float) -> list[Structure]:
    """Bright or dark tubes near the spine."""
    grey = float(np.clip(soft + rng.choice([-0.3, 0.4]), 0, 1))
    tubes = []
    for _ in range(int(rng.integers(0, 5))):
        place = course.beside(rng.uniform(-0.45, 0.3) * r, rng.normal(0, 0.25) * r)
        extent = max(4.2, r * float(rng.uniform(0.03, 0.09)))
        tubes.append(tube(rng, place, (extent, extent), grey, True, ends=0.2))
    return tubes
