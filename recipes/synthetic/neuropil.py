"""Layout of neurites: thick dendrites, thin axons in bundles, organelles inside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.fields import wander
from synthetic.scene import Parts, join

Doubles = NDArray[np.float64]


def neurites(rng: np.random.Generator, slices: int, size: int) -> Parts:
    """Lay out neurites that fill the frame and run through the slices at all angles.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    slices, size : int
        Number of slices, side of the square frames in pixels.

    Returns
    -------
    Parts
        Thick ones first, made of several parts with one id; where outlines meet, the relatively
        nearer one wins, so that thin ones dent thick ones.
    """
    thick = int(rng.integers(3, 9))
    wide = size * float(rng.uniform(0.22, 0.42))
    pace = float(np.exp(rng.uniform(np.log(0.15), np.log(1.3))))
    bodies = _run(rng, slices, 2 * thick, np.full(2 * thick, wide), 0.03 * pace)
    home = rng.uniform(0, size, (thick, 2))
    places = np.repeat(home, 2, axis=0) + rng.normal(0, 0.5 * wide, (2 * thick, 2))
    parts = _placed(bodies, np.repeat(np.arange(1, thick + 1), 2), places)
    thin = int(np.exp(rng.uniform(np.log(6), np.log(70))))
    narrow = max(4.5, size * float(np.exp(rng.uniform(np.log(0.025), np.log(0.09)))))
    axons = _run(rng, slices, thin, narrow * np.exp(rng.normal(0, 0.4, thin)), 0.12 * pace)
    bundles = rng.uniform(0, size, (max(1, thin // 8), 2))
    places = bundles[rng.integers(0, len(bundles), thin)] + rng.normal(0, 4 * narrow, (thin, 2))
    alone = rng.random(thin) < 0.4
    places[alone] = rng.uniform(0, size, (int(alone.sum()), 2))
    return join(parts, _placed(axons, thick + 1 + np.arange(thin), places))


def organelles(rng: np.random.Generator, neurites: Parts, size: int) -> Parts:
    """Put mitochondria into some neurites; they have the ids of their hosts.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    neurites : Parts
        Their hosts.
    size : int
        Side of the square frames in pixels.
    """
    slices, hosts = neurites.y.shape
    count = int(rng.integers(3, 26))
    host = rng.integers(0, hosts, count)
    room = np.minimum(neurites.b[0, host], 0.18 * size)
    radius = np.maximum(room * rng.uniform(0.3, 0.75, count), 3.0)
    parts = _run(rng, slices, count, radius, 0.1)
    middle, half = rng.uniform(0, slices, count), rng.uniform(2, 14, count)
    lift = ((np.arange(slices)[:, None] - middle) / half) ** 2
    away = rng.normal(0, 0.35, (2, count)) * neurites.a[0, host]
    return replace(
        parts,
        ids=neurites.ids[host],
        y=neurites.y[:, host] + away[0] + parts.y,
        x=neurites.x[:, host] + away[1] + parts.x,
        lift=lift,
        present=lift < 1,
    )


def _run(rng: np.random.Generator, slices: int, count: int, radius: Doubles, slant: float) -> Parts:
    """Cylinders around the origin, oblique by ``slant`` radii per slice; some end."""
    shape = (slices, count)
    time = np.arange(slices)[:, None] - 0.5 * slices
    tilt = rng.normal(0, slant, (2, count)) * radius
    stretch = np.exp(0.5 * np.abs(rng.normal(0, 0.5, count)))
    swell = np.exp(wander(rng, shape, 0.03, 0.9))
    end = rng.uniform(0.1, 0.9, count) * slices
    beyond = np.where(rng.random(count) < 0.5, 1, -1) * (np.arange(slices)[:, None] - end)
    ends = rng.random(count) < 0.2
    lift = (np.clip(beyond, 0, None) / rng.uniform(1, 6, count)) ** 2 * ends
    return Parts(
        ids=np.arange(1, count + 1),
        y=tilt[0] * time + wander(rng, shape, 0.03, 0.9) * radius,
        x=tilt[1] * time + wander(rng, shape, 0.03, 0.9) * radius,
        a=radius * stretch * swell,
        b=radius / stretch * swell,
        angle=rng.uniform(0, np.pi, count) + wander(rng, shape, 0.03),
        bend=rng.normal(0, 0.3, count) + np.zeros(shape),
        lobes=rng.normal(0, 0.1, count) + np.zeros(shape),
        lift=lift,
        present=lift < 1,
        light=np.ones(shape),
        rod=np.zeros(count, np.bool_),
        rank=np.zeros(count, np.intp),
    )


def _placed(parts: Parts, ids: NDArray[np.intp], places: Doubles) -> Parts:
    return replace(parts, ids=ids, y=parts.y + places[:, 0], x=parts.x + places[:, 1])
