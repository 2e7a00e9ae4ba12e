"""Outlines of spread cells with extensions, flat fronts and concave edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.fields import Floats, wander

Doubles = NDArray[np.float64]
ANGLES = 160
TIPS = 5
_THETA = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)


def relative_distance(u: Floats, v: Floats, contour: Doubles) -> Floats:
    """Distance from the centre in units of the outline's: 0 in the middle, 1 on the outline.

    Parameters
    ----------
    u, v : ndarray of float32
        Coordinates in the body's frame, in units of its radius.
    contour : ndarray of float64, shape (angles,)
        Radius of the outline over the angle from u towards v, evenly around the circle.

    Returns
    -------
    ndarray of float32, shape of ``u``
    """
    angles = len(contour)
    angle = np.arctan2(v, u) * np.float32(angles / (2 * np.pi))
    index = np.arange(-angles // 2 - 1, angles // 2 + 2)
    edge = np.interp(angle.ravel(), index, contour[index % angles]).reshape(angle.shape)
    return np.asarray(np.sqrt(u * u + v * v) / edge, np.float32)


@dataclass(frozen=True, slots=True)
class Manner:
    """Parameters of the spreading of the cells of one culture.

    Attributes
    ----------
    spindles, fans, polygons : float
        Shares of cells with two opposite tips, with a wide front and a tail, and with several
        tips; the others are nearly round.
    reach : float
        Typical length of a tip in radii.
    agility : float
        Rates at which tips grow, shrink and turn.
    roughness : float
        Strength of fine irregularities.
    """

    spindles: float
    fans: float
    polygons: float
    reach: float
    agility: float
    roughness: float


def random_manner(rng: np.random.Generator) -> Manner:
    """Draw a culture's character, from cobblestones to crossing fibroblasts."""
    spindles, fans, polygons, plain = rng.dirichlet((0.8, 0.7, 1.0, 0.4))
    return Manner(
        spindles=float(spindles),
        fans=float(fans),
        polygons=float(polygons),
        reach=float(rng.uniform(1.2, 2.3) - 0.4 * plain),
        agility=float(np.exp(rng.uniform(np.log(0.015), np.log(0.08)))),
        roughness=float(rng.uniform(0.01, 0.06)),
    )


def outlines(rng: np.random.Generator, manner: Manner, frames: int, cells: int) -> Doubles:
    """Let the outlines of some cells live.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    manner : Manner
        Parameters of the spreading.
    frames, cells : int
        Numbers of both.

    Returns
    -------
    ndarray of float64, shape (frames, cells, ANGLES)
        Radius over the angle; every outline has the area of the unit circle. The first tip of
        each cell points along angle 0, the direction of its crawl.
    """
    angle, length, width, waist = _tips(rng, manner, cells)
    shape = (frames, cells, TIPS)
    angle = angle + wander(rng, shape, 0.8 * manner.agility, 0.6)
    length = length * np.exp(wander(rng, shape, manner.agility, 0.7))
    length = np.clip(length, 0.1, 3.4)
    away = np.abs((_THETA - angle[..., None] + np.pi) % (2 * np.pi) - np.pi)
    # 1 / r is linear along a nearly straight edge, so tips joined this way have taut sides
    slope = rng.uniform(0.6, 1.5, (cells, 1, 1))
    tip = 1 / length[..., None] + slope * np.maximum(away - width[..., None], 0)
    contour = 1 / np.minimum(tip.min(axis=2), 1 / waist[:, None])
    contour = _smooth(_smooth(contour, 3), 2) * _ripples(rng, manner, frames, cells)
    return np.asarray(contour / np.sqrt(np.mean(contour**2, axis=-1, keepdims=True)))


def _tips(
    rng: np.random.Generator, manner: Manner, cells: int
) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Angle, length and half width of every cell's tips, and the cell's least radius.

    Tips shorter than that do not show.
    """
    shape = (cells, TIPS)
    angle = rng.uniform(-np.pi, np.pi, shape)
    length = np.full(shape, 0.2)
    width = rng.uniform(0.0, 0.16, shape)
    angle[:, 0] = rng.normal(0, 0.1, cells)
    kind = rng.random(cells)
    long = manner.reach * np.exp(rng.normal(0, 0.2, shape))
    spindle = kind < manner.spindles
    fan = (kind >= manner.spindles) & (kind < manner.spindles + manner.fans)
    polygon = ~spindle & ~fan & (kind < manner.spindles + manner.fans + manner.polygons)
    plain = ~(spindle | fan | polygon)
    angle[:, 1] = np.where(spindle | fan, np.pi + rng.normal(0, 0.25, cells), angle[:, 1])
    length[spindle, :2] = 1.4 * long[spindle, :2]
    length[fan, :2] = long[fan, :2] * (0.75, 1.1)
    width[fan, 0] = rng.uniform(0.4, 1.1, int(fan.sum()))
    tips = rng.choice((3, 3, 3, 4, 4, 5), cells)
    apart = 2 * np.pi * np.arange(TIPS) / tips[:, None] + rng.normal(0, 0.35, shape)
    angle[polygon] = apart[polygon]
    length[polygon] = np.where(np.arange(TIPS) < tips[:, None], long, 0.2)[polygon]
    side = polygon[:, None] & (rng.random(shape) < 0.3)
    width[side] += rng.uniform(0.1, 0.4, int(side.sum()))
    length[plain] = rng.uniform(0.8, 1.1, (int(plain.sum()), TIPS))
    width[plain] = 0.5
    waist = np.where(spindle, rng.uniform(0.35, 0.6, cells), rng.uniform(0.55, 0.85, cells))
    return angle, length, width, waist


def _ripples(rng: np.random.Generator, manner: Manner, frames: int, cells: int) -> Doubles:
    noise = rng.standard_normal((cells, 2, ANGLES))
    turn = (np.arange(frames) * 4 * manner.agility)[:, None, None]
    fine = _smooth(_smooth(np.cos(turn) * noise[:, 0] + np.sin(turn) * noise[:, 1], 4), 3)
    return np.asarray(np.exp(4 * manner.roughness * fine))


def _smooth(contour: Doubles, reach: int) -> Doubles:
    shifts = range(-reach, reach + 1)
    return np.asarray(sum(np.roll(contour, k, axis=-1) for k in shifts) / len(shifts))
