"""The spinal canal in axial slices: cord, fluid, vertebrae and discs, muscles, fat."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthetic.anatomy import Course, Structure, assemble, blob, random_course, tube
from synthetic.scene import Layout

MARGIN = 1


@dataclass(frozen=True, slots=True)
class Spine:
    """A cord in its canal, of any contrast.

    Attributes
    ----------
    radius : (float, float)
        Range of the cord's radius as fractions of the frame (never below 4 pixels).
    """

    radius: tuple[float, float] = (0.03, 0.26)

    def lay_out(self, rng: np.random.Generator, frames: int, size: int) -> Layout:
        """Lay out one scan."""
        low = max(4.5, self.radius[0] * size)
        r = float(np.exp(rng.uniform(np.log(low), np.log(self.radius[1] * size))))
        course = random_course(rng, frames + 2 * MARGIN, size, r)
        muscle = float(rng.uniform(0.1, 0.8))
        scene = _trunk(rng, course, r, muscle)
        scene += _vertebra(rng, course, r)
        scene += _cord(rng, course, r)
        return assemble(scene, MARGIN)


def _trunk(rng: np.random.Generator, course: Course, r: float, muscle: float) -> list[Structure]:
    """Fat under the skin, muscles and other soft tissue, a few of them objects too."""
    middle = course.beside(rng.uniform(-1, 3) * r, 0)
    trunk = [
        tube(rng, middle, (10 * r, 8 * r), float(rng.uniform(0, 1)), False),
        tube(rng, middle, (9.2 * r, 7.2 * r), muscle, False),
    ]
    for _ in range(int(rng.integers(5, 15))):
        place = course.beside(rng.uniform(-7, 7) * r, rng.uniform(-7, 7) * r)
        step = float(rng.normal(0, 0.16))
        labelled = abs(step) > 0.1 and rng.random() < 0.3
        grey = float(np.clip(muscle + step, 0.02, 1))
        extent = r * float(np.exp(rng.uniform(-0.6, 0.9)))
        trunk.append(blob(rng, place, extent, grey, labelled))
    return trunk


def _vertebra(rng: np.random.Generator, course: Course, r: float) -> list[Structure]:
    """Bodies and discs take turns in front of the canal; the arch behind it comes and goes."""
    slices = len(course.y)
    bone, disc = rng.uniform(0.02, 1.0, 2)
    wave = np.sin(2 * np.pi * (np.arange(slices) / rng.uniform(5, 30) + rng.random()))
    share = 1 / (1 + np.exp(-wave * 6))
    wide, deep = rng.uniform(1.8, 2.8), rng.uniform(1.3, 2.0)
    place = course.beside((1.2 + deep) * r, 0)
    body = tube(rng, place, (wide * r, deep * r), 0, bool(rng.random() < 0.3))
    body = replace(body, grey=bone * share + disc * (1 - share))
    arch = []
    for side in (-1, 1):
        limb = tube(rng, course.beside(-1.4 * r, side * 1.5 * r), (1.4 * r, 0.5 * r), bone, False)
        gone = np.where(wave < rng.uniform(-1, 0.2), 1.2, 0.0)
        arch.append(replace(limb, angle=limb.angle + side * 0.9, lift=gone))
    spike = tube(rng, course.beside(-2.8 * r, 0), (0.4 * r, 1.2 * r), float(bone), False)
    return [body, *arch, spike]


def _cord(rng: np.random.Generator, course: Course, r: float) -> list[Structure]:
    """Cord in its fluid, brighter or darker, rarely much alike; it wanders a little within."""
    grey = float(rng.uniform(0.25, 0.75))
    step = float(rng.uniform(0.12, 0.55))
    fluid = float(np.clip(grey + step if rng.random() < 0.6 else grey - step, 0.02, 1.0))
    wide, deep = rng.uniform(1.25, 2.1), rng.uniform(1.2, 1.7)
    canal = tube(rng, course, (wide * r, deep * r), fluid, bool(rng.random() < 0.3))
    shift = rng.uniform(-0.5, 0.5, 2) * (deep - 1, wide - 1) * r
    ratio = float(np.exp(0.5 * rng.uniform(-0.05, 0.5)))
    inside = course.beside(float(shift[0]), float(shift[1]))
    return [canal, tube(rng, inside, (r * ratio, r / ratio), grey, True, ends=0.15)]
