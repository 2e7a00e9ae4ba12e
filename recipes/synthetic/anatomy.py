"""Structures of a body and how they run through the slices of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.fields import wander
from synthetic.scene import Layout, Parts

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """One structure in all slices; arrays are (slices,), see `Parts` for their meaning."""

    y: Doubles
    x: Doubles
    a: Doubles
    b: Doubles
    angle: Doubles
    grey: Doubles
    lift: Doubles
    labelled: bool = True
    bend: float = 0.0
    lobes: float = 0.0


def assemble(structures: Sequence[Structure], margin: int) -> Layout:
    """Lay structures over each other in the given order, later ones in front.

    Parameters
    ----------
    structures : sequence of Structure
        At least one; those that are not labelled become clutter.
    margin : int
        Slices above and below the clip.
    """
    slices = len(structures[0].y)
    order = np.argsort([not s.labelled for s in structures], kind="stable")
    ids = np.empty(len(structures), np.intp)
    ids[order] = 1 + np.arange(len(structures))

    def table(name: str) -> Doubles:
        return np.stack([getattr(s, name) for s in structures], axis=1)

    def steady(name: str) -> Doubles:
        return np.tile([getattr(s, name) for s in structures], (slices, 1))

    lift = table("lift")
    parts = Parts(
        ids=ids,
        y=table("y"),
        x=table("x"),
        a=table("a"),
        b=table("b"),
        angle=table("angle"),
        bend=steady("bend"),
        lobes=steady("lobes"),
        lift=lift,
        present=lift < 1,
        light=table("grey"),
        rod=np.zeros(len(ids), np.bool_),
        rank=np.ones(len(ids), np.intp),
    )
    return Layout(parts, (), margin, clutter=sum(not s.labelled for s in structures))


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A line through the slices that neighbouring structures follow.

    ``y, x``: centre in pixels, shape (slices,); ``turn``: direction of the front, radians.
    """

    y: Doubles
    x: Doubles
    turn: float

    def beside(self, forward: float, sideways: float) -> Course:
        """Return the line at a distance in pixels, towards the front and to its side."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return Course(
            self.y - forward * cos + sideways * sin,
            self.x + forward * sin + sideways * cos,
            self.turn,
        )


def random_course(rng: np.random.Generator, slices: int, size: int, radius: float) -> Course:
    """Draw a line that bends slowly and is rarely quite upright; ``radius`` sets its pace."""
    slant = rng.normal(0, 0.08, 2) * radius
    start = rng.uniform(0.3, 0.7, 2) * size
    line = start + slant * (np.arange(slices) - 0.5 * slices)[:, None]
    line = line + wander(rng, (slices, 2), 0.03 * radius, 0.9)
    turn = rng.normal(0, 0.3) + rng.choice([0, 0, 0.5 * np.pi, np.pi])
    return Course(line[:, 0], line[:, 1], float(turn))


def tube(
    rng: np.random.Generator,
    course: Course,
    axes: tuple[float, float],
    grey: float,
    labelled: bool,
    ends: float = 0.0,
) -> Structure:
    """Make a tube along a course; sometimes it tapers to an end.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    course : Course
        Its middle.
    axes : (float, float)
        Half axes in pixels, sideways and towards the front.
    grey : float
        Brightness.
    labelled : bool
        Whether it is an object.
    ends : float
        Probability that it ends inside the stack.
    """
    slices, thin = len(course.y), min(axes)
    lift = np.zeros(slices)
    if rng.random() < ends:
        last, taper = rng.uniform(0.2, 0.9) * slices, rng.uniform(1.0, 4.0)
        lift = (np.clip(np.arange(slices) - last, 0, None) / taper) ** 2
        lift = lift[::-1].copy() if rng.random() < 0.5 else lift
    own = wander(rng, (slices, 2), 0.02 * thin, 0.9)
    swell = np.exp(wander(rng, (slices, 2), 0.015, 0.9))
    return Structure(
        y=course.y + own[:, 0],
        x=course.x + own[:, 1],
        a=axes[0] * swell[:, 0],
        b=axes[1] * swell[:, 1],
        angle=-course.turn + rng.normal(0, 0.06) + wander(rng, (slices,), 0.015, 0.9),
        grey=np.full(slices, grey),
        lift=lift,
        labelled=labelled,
        lobes=float(rng.normal(0, 0.05)),
    )


def blob(
    rng: np.random.Generator, course: Course, radius: float, grey: float, labelled: bool
) -> Structure:
    """Make an irregular body that begins and ends somewhere, inside the stack or outside."""
    slices = len(course.y)
    middle = rng.uniform(-0.3 * slices, 1.3 * slices)
    half = max(1.6, slices * rng.uniform(0.4, 2.5))
    stretch = np.exp(rng.uniform(0, 0.45) + wander(rng, (slices,), 0.02, 0.9))
    own = wander(rng, (slices, 2), 0.03 * radius, 0.9)
    return Structure(
        y=course.y + own[:, 0],
        x=course.x + own[:, 1],
        a=radius * stretch,
        b=radius / stretch,
        angle=rng.uniform(0, np.pi) + wander(rng, (slices,), 0.03, 0.9),
        grey=np.full(slices, grey),
        lift=np.square((np.arange(slices, dtype=np.float64) - middle) / half),
        labelled=labelled,
        bend=float(rng.normal(0, 0.3)),
        lobes=float(rng.normal(0, 0.12)),
    )
