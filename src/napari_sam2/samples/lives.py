"""Simulated crawling cells that wander, extend, round up, divide and spread again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

ANGLES = 120
_THETA = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
_MODES = np.arange(2, 9)
_MODE_SIZE = 0.15 * (_MODES / 2.0) ** -1.8
_BUMPS = 4
ROUND_SHARE = 0.6
DAUGHTER_SHARE = 0.8
ROUNDING_FRAMES = 5


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Position and shape of one cell in one frame.

    Attributes
    ----------
    identity : int
        From 1; daughters have their own.
    y, x : float
        Centre in pixels; may lie outside the field.
    heading : float
        Direction of the body's front, radians from x towards y.
    radius : float
        Mean radius in pixels.
    contour : ndarray of float64, shape (ANGLES,)
        Radius over the angle in the body's frame, in units of ``radius``.
    roundness : float
        0 when spread and flat, 1 when rounded up to divide or just divided.
    """

    identity: int
    y: float
    x: float
    heading: float
    radius: float
    contour: Doubles
    roundness: float


@dataclass(slots=True, eq=False)
class _Cell:
    identity: int
    place: Doubles
    heading: float
    spread_radius: float
    speed: float
    countdown: int
    roundness: float
    modes: Doubles
    bumps: Doubles
    bump_angles: Doubles
    split_push: Doubles = field(default_factory=lambda: np.zeros(2))

    @property
    def radius(self) -> float:
        return self.spread_radius * (1 - (1 - ROUND_SHARE) * self.roundness)


def live(
    rng: np.random.Generator, frames: int, extent: tuple[int, int], radius: float = 23.0
) -> tuple[tuple[tuple[Pose, ...], ...], tuple[tuple[int, int], ...]]:
    """Let a culture grow.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    frames : int
        Number of frames.
    extent : (int, int)
        Field of view (Y, X) in pixels; cells also live around it.
    radius : float
        Typical radius of a spread cell in pixels.

    Returns
    -------
    tuple of tuple of Pose
        The living cells of each frame.
    tuple of (int, int)
        Divisions, (daughter, mother).
    """
    cells = _seed(rng, frames, extent, radius)
    parents: list[tuple[int, int]] = []
    history = []
    for _ in range(frames):
        cells = _divide(rng, cells, parents, frames)
        history.append(tuple(_pose(cell) for cell in cells))
        for cell in cells:
            _crawl(rng, cell)
        _push_apart(cells)
    return tuple(history), tuple(parents)


def _seed(
    rng: np.random.Generator, frames: int, extent: tuple[int, int], radius: float
) -> list[_Cell]:
    margin = 1.6 * radius
    area = (extent[0] + 2 * margin) * (extent[1] + 2 * margin)
    count = max(2, round(0.26 * area / (np.pi * radius**2)))
    tries = rng.uniform(-margin, np.array(extent) + margin, (count, 30, 2))
    places = [tries[0, 0]]
    for options in tries[1:]:
        apart = np.linalg.norm(options[:, None] - np.array(places)[None], axis=-1).min(axis=1)
        towards = -1 if rng.random() < 0.5 else 1
        near_enough = np.where(apart > 2 * radius, towards * apart, apart - 1e3)
        places.append(options[int(np.argmax(near_enough))])
    mothers = rng.random(count) < 0.5
    mothers[0] = True
    cells = []
    for i, place in enumerate(places):
        countdown = int(rng.integers(4, max(5, frames - 4))) if mothers[i] else 10 * frames
        cells.append(_newborn(rng, i + 1, place, radius * np.exp(rng.normal(0, 0.12)), countdown))
    return cells


def _newborn(
    rng: np.random.Generator, identity: int, place: Doubles, radius: float, countdown: int
) -> _Cell:
    return _Cell(
        identity=identity,
        place=np.array(place, np.float64),
        heading=float(rng.uniform(0, 2 * np.pi)),
        spread_radius=float(radius),
        speed=float(rng.gamma(3.0, 0.025)) * radius,
        countdown=countdown,
        roundness=0.0,
        modes=rng.normal(0, 1, (2, len(_MODES))),
        bumps=rng.normal(0.1, 0.3, _BUMPS),
        bump_angles=np.pi + rng.normal(0, 0.9, _BUMPS),
    )


def _crawl(rng: np.random.Generator, cell: _Cell) -> None:
    """Advance a cell by one frame: turn, move, reshape, round up or spread."""
    cell.countdown -= 1
    if cell.countdown < ROUNDING_FRAMES:
        cell.roundness = min(1.0, 1.15 - 0.25 * max(cell.countdown - 1, 0))
    else:
        cell.roundness = max(0.0, cell.roundness - 0.17)
    free = 1 - cell.roundness
    cell.heading += float(rng.normal(0, 0.22)) * free
    forward = np.array([np.sin(cell.heading), np.cos(cell.heading)])
    cell.place += cell.speed * free * forward + rng.normal(0, 0.25, 2) + cell.split_push
    cell.split_push *= 0.55
    cell.modes = 0.92 * cell.modes + np.sqrt(1 - 0.92**2) * rng.normal(0, 1, cell.modes.shape)
    cell.bumps += 0.1 * (0.15 - cell.bumps) + rng.normal(0, 0.1, _BUMPS)
    cell.bump_angles += rng.normal(0, 0.05, _BUMPS)
    cell.spread_radius *= 1.003


def _push_apart(cells: list[_Cell]) -> None:
    """Cells that overlap too far yield, half the way each."""
    if len(cells) < 2:
        return
    places = np.array([cell.place for cell in cells])
    radii = np.array([cell.radius for cell in cells])
    reach = 0.98 * (radii[:, None] + radii[None, :])
    for _ in range(3):
        apart = places[:, None] - places[None, :]
        distance = np.linalg.norm(apart, axis=-1) + np.eye(len(cells)) * 1e6 + 1e-9
        overlap = np.clip(reach - distance, 0, None)
        places += 0.25 * ((overlap / distance)[..., None] * apart).sum(axis=1)
    for cell, place in zip(cells, places, strict=True):
        cell.place = place


def _divide(
    rng: np.random.Generator, cells: list[_Cell], parents: list[tuple[int, int]], frames: int
) -> list[_Cell]:
    after = []
    newest = max([cell.identity for cell in cells] + [child for child, _ in parents])
    for cell in cells:
        if cell.countdown > 0:
            after.append(cell)
            continue
        axis = np.array([np.sin(cell.heading), np.cos(cell.heading)])
        for side in (-1, 1):
            newest += 1
            size = cell.spread_radius * DAUGHTER_SHARE * rng.uniform(0.96, 1.04)
            step = side * axis * 0.98 * size * ROUND_SHARE
            child = _newborn(rng, newest, cell.place + step, size, 10 * frames)
            child.heading = cell.heading + (0 if side > 0 else np.pi)
            child.roundness = 1.0
            child.split_push = side * axis * 0.07 * size
            parents.append((newest, cell.identity))
            after.append(child)
    return after


def _pose(cell: _Cell) -> Pose:
    phase = np.arctan2(cell.modes[1], cell.modes[0])
    strength = np.hypot(cell.modes[0], cell.modes[1]) * _MODE_SIZE
    waves = (strength[:, None] * np.cos(_MODES[:, None] * _THETA - phase[:, None])).sum(0)
    waves += 0.17 * np.cos(2 * _THETA) + 0.08 * np.cos(_THETA)
    # as for an ellipse, where 1 / r^2 is a cosine: long cells have no waist
    contour = 1 / np.sqrt(np.clip(1 - 1.8 * waves, 0.25, 2.2))
    for height, angle in zip(cell.bumps, cell.bump_angles, strict=True):
        off = np.angle(np.exp(1j * (_THETA - angle)))
        contour += 1.3 * max(height, 0.0) * np.exp(-(np.abs(off / 0.2) ** 1.4))
    contour = 1 + (1 - cell.roundness) * (contour - 1)
    about_to_split = cell.countdown == 1
    if about_to_split:
        contour = contour * (1 + 0.26 * np.cos(2 * _THETA))
    contour = np.maximum(contour, 0.35)
    return Pose(
        cell.identity,
        float(cell.place[0]),
        float(cell.place[1]),
        cell.heading,
        cell.radius,
        contour,
        cell.roundness,
    )
