"""Solid bodies packed in space and cut into slices: nuclei of tissues, embryos, spheroids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthetic.scene import Layout, Parts

Doubles = NDArray[np.float64]
MOST_BODIES = 90


@dataclass(frozen=True, slots=True)
class Packing:
    """Parameters of the bodies that fill a volume.

    Attributes
    ----------
    radius : (float, float)
        Range of the typical radius as fractions of the frame (never below 4 pixels).
    span : (float, float)
        Range of the number of slices that a typical body reaches through.
    fill : (float, float)
        Range of the fraction of the volume that they take, of at most `MOST_BODIES` bodies.
    spread : float
        Standard deviation of log radius.
    """

    radius: tuple[float, float] = (0.03, 0.25)
    span: tuple[float, float] = (3.0, 40.0)
    fill: tuple[float, float] = (0.02, 0.5)
    spread: float = 0.12

    def lay_out(self, rng: np.random.Generator, frames: int, size: int) -> Layout:
        """Lay out one stack, see `pack`."""
        margin = 2 if frames > 1 else 1
        return Layout(pack(rng, self, frames + 2 * margin, size), (), margin)


def pack(rng: np.random.Generator, packing: Packing, slices: int, size: int) -> Parts:
    """Lay out bodies that touch each other on all sides.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    packing : Packing
        How they fill the volume.
    slices, size : int
        Number of slices, side of the square frames in pixels.

    Returns
    -------
    Parts
        One part per body and slice: a section through a tilted ellipsoid is an ellipse of the
        same shape everywhere, whose centre moves along a line. Bodies begin and end inside the
        stack as well as outside.
    """
    low = max(4.5, packing.radius[0] * size)
    typical = float(np.exp(rng.uniform(np.log(low), np.log(max(low, packing.radius[1] * size)))))
    step = 2 * typical / float(np.exp(rng.uniform(*np.log(packing.span))))
    centres, radii = _gather(rng, packing, typical, (slices * step, size))
    n = len(radii)
    flat = np.exp(rng.normal(-0.05, 0.1, n))
    ratio = np.exp(np.abs(rng.normal(0, rng.uniform(0.05, 0.35), n)))
    z = np.arange(slices)[:, None] * step
    height = (z - centres[:, 0]) / (radii * flat)
    lean = rng.normal(0, 0.25, (2, n)) * radii
    shape = (slices, n)
    light = np.exp(rng.normal(0, rng.uniform(0.05, 0.4), n))
    depth = rng.uniform(0, 0.9) * np.arange(slices) / max(slices, 8)
    return Parts(
        ids=np.arange(1, n + 1),
        y=centres[:, 1] + lean[0] * height,
        x=centres[:, 2] + lean[1] * height,
        a=np.broadcast_to(radii * np.sqrt(ratio), shape),
        b=np.broadcast_to(radii / np.sqrt(ratio), shape),
        angle=np.broadcast_to(rng.uniform(0, np.pi, n), shape),
        bend=np.broadcast_to(rng.normal(0, 0.05, n), shape),
        lobes=np.broadcast_to(rng.normal(0, 0.07, n), shape),
        lift=height**2,
        present=np.abs(height) < 1,
        light=light * np.exp(-depth)[:, None],
        rod=np.zeros(n, np.bool_),
        rank=np.zeros(n, np.intp),
    )


def _gather(
    rng: np.random.Generator, packing: Packing, typical: float, extent: tuple[float, int]
) -> tuple[Doubles, Doubles]:
    """Centres (z, y, x) and radii in pixels: push apart, in the whole volume or in a ball."""
    height, size = extent
    room = np.array([height + 2 * typical, size + typical, size + typical])
    fill = float(np.exp(rng.uniform(*np.log(packing.fill))))
    wanted = fill * float(np.prod(room)) / (4.19 * typical**3)
    count = int(np.clip(round(wanted), 1, MOST_BODIES))
    radii = np.maximum(4.2, typical * np.exp(rng.normal(0, packing.spread, count)))
    middle = np.array([0.5 * height, 0.5 * size, 0.5 * size])
    crowded = wanted > MOST_BODIES or rng.random() < 0.35
    if crowded:
        middle = middle + rng.uniform(-0.3, 0.3, 3) * room
        density = rng.uniform(0.3, 0.55)
        ball = typical * np.cbrt(count / density) * np.exp(rng.normal(0, 0.25, 3))
        # not much higher than the stack: what lies far outside is never seen
        ball[0] = min(float(ball[0]), 0.5 * height + typical)
        places = rng.normal(0, 0.5, (count, 3)) * ball
    else:
        places = rng.uniform(-0.5, 0.5, (count, 3)) * room
    places = places + middle
    places[0] = middle + rng.uniform(-0.25, 0.25, 3) * (height, size, size)
    reach = rng.uniform(0.85, 1.05) * (radii[:, None] + radii[None, :])
    for _ in range(25):
        apart = places[:, None] - places[None, :]
        distance = np.sqrt((apart**2).sum(-1)) + 1e6 * np.eye(count) + 1e-6
        push = np.clip(reach - distance, 0, None) / distance
        places = places + 0.3 * (push[..., None] * apart).sum(1)
    return places, radii
