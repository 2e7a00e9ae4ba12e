"""Simulated spread cells in a dish, which crawl, crowd, cross, round up, divide and leave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.fields import wander
from napari_sam2.samples.outline import Doubles

MOST_CELLS = 45


@dataclass(frozen=True, slots=True, eq=False)
class Culture:
    """N cells in T frames; cell k has the id k + 1.

    Attributes
    ----------
    y, x, heading, radius, roundness : ndarray of float64, shape (T, N)
        Centre in pixels, direction of the crawl in radians from x towards y, radius of the
        circle of the spread cell's area in pixels, and 0 for spread to 1 for rounded up.
    present : ndarray of bool, shape (T, N)
        Whether the cell lives.
    above : ndarray of bool, shape (N,)
        Whether the cell glides over its neighbours instead of sharing borders.
    parents : tuple of (int, int)
        Divisions, (daughter id, mother id).
    """

    y: Doubles
    x: Doubles
    heading: Doubles
    radius: Doubles
    roundness: Doubles
    present: NDArray[np.bool_]
    above: NDArray[np.bool_]
    parents: tuple[tuple[int, int], ...]


def random_culture(rng: np.random.Generator, frames: int, size: int) -> Culture:
    """Let a random culture live for some frames in and around a square field.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    frames, size : int
        Number of frames, side of the field in pixels.
    """
    smallest = max(7.0, 0.05 * size)
    typical = float(np.exp(rng.uniform(np.log(smallest), np.log(0.24 * size))))
    crowd = float(rng.uniform(0.15, 1.05))
    room = (size + 2 * typical) ** 2 / (np.pi * typical**2)
    cells = int(np.clip(round(crowd * room), 1, MOST_CELLS))
    radius = typical * np.exp(rng.normal(0, 0.28, cells))
    above = rng.random(cells) < rng.choice([0.0, 0.1, 0.4])
    heading, y, x = _crawl(rng, (frames, size), radius, above, crowd)
    culture = Culture(
        y=y,
        x=x,
        heading=heading,
        radius=radius * np.exp(wander(rng, (frames, cells), 0.015)),
        roundness=np.zeros((frames, cells)) + (rng.random(cells) < 0.06),
        present=_stays(rng, frames, cells),
        above=above,
        parents=(),
    )
    mothers = np.flatnonzero(rng.random(cells) < 0.1)
    return _divide(rng, culture, mothers) if frames > 1 and len(mothers) else culture


def _crawl(
    rng: np.random.Generator,
    extent: tuple[int, int],
    radius: Doubles,
    above: NDArray[np.bool_],
    crowd: float,
) -> tuple[Doubles, Doubles, Doubles]:
    """Headings and centres: persistent crawling, pushing where cells do not cross, stage drift."""
    frames, size = extent
    n, typical = len(radius), float(np.median(radius))
    pace = typical * np.exp(rng.uniform(np.log(0.015), np.log(0.28)))
    spread = 0.3 if rng.random() < 0.3 else 2.5
    heading = rng.uniform(0, 2 * np.pi) + rng.normal(0, spread, n)
    heading = heading + wander(rng, (frames, n), 0.12, 0.5)
    speed = pace * rng.gamma(2.0, 0.5, n)
    drift = wander(rng, (frames, 2), 0.15 * pace + 0.2, 0.5)
    if rng.random() < 0.1 and frames > 1:
        drift[int(rng.integers(1, frames)) :] += rng.normal(0, 0.06 * size, 2)
    places = _settle(rng, size, radius, crowd)
    history = np.empty((frames, n, 2))
    reach = 0.85 * (radius[:, None] + radius[None, :]) * ~(above[:, None] | above[None, :])
    for frame in range(frames):
        _push_apart(places, reach, 8 if frame == 0 else 2)
        history[frame] = places
        forward = np.stack([np.sin(heading[frame]), np.cos(heading[frame])], axis=1)
        places = places + speed[:, None] * forward + rng.normal(0, 0.15 * pace, (n, 2))
    history += drift[:, None]
    return heading, history[..., 0], history[..., 1]


def _settle(rng: np.random.Generator, size: int, radius: Doubles, crowd: float) -> Doubles:
    """Draw first places: anywhere in and around the field, or gathered in islands."""
    margin = float(np.median(radius))
    places = rng.uniform(-margin, size + margin, (len(radius), 2))
    if crowd < 0.6 and rng.random() < 0.4:
        islands = rng.uniform(0, size, (max(1, len(radius) // 6), 2))
        home = islands[rng.integers(0, len(islands), len(radius))]
        places = home + rng.normal(0, 1.6 * margin, (len(radius), 2))
    places[0] = rng.uniform(0.25 * size, 0.75 * size, 2)
    return places


def _push_apart(places: Doubles, reach: Doubles, times: int) -> None:
    """Move cells that overlap too far, half the way each; changes ``places``."""
    for _ in range(times):
        apart = places[:, None] - places[None, :]
        distance = np.linalg.norm(apart, axis=-1) + 1e6 * np.eye(len(places)) + 1e-6
        overlap = np.clip(reach - distance, 0, None) / distance
        places += 0.3 * (overlap[..., None] * apart).sum(axis=1)


def _stays(rng: np.random.Generator, frames: int, cells: int) -> NDArray[np.bool_]:
    """Tell when cells live: a few settle late, a few detach for good."""
    time = np.arange(frames)[:, None]
    first = np.where(rng.random(cells) < 0.05, rng.integers(0, frames, cells), 0)
    last = np.where(rng.random(cells) < 0.05, rng.integers(0, frames, cells), frames)
    present = (time >= first) & (time <= last)
    present[:, 0] = True
    return np.asarray(present)


def _divide(rng: np.random.Generator, before: Culture, mothers: NDArray[np.intp]) -> Culture:
    """Round mothers up and replace each by two daughters that draw apart and spread."""
    frames, cells = before.y.shape
    age = np.arange(frames)[:, None] - rng.integers(1, frames, len(mothers))
    roundness, present = before.roundness.copy(), before.present.copy()
    roundness[:, mothers] = np.clip(1.5 + 0.3 * age, 0, 1)
    present[:, mothers] &= age < 0
    axis = before.heading[:, mothers]
    radius = 0.8 * before.radius[:, mothers]
    apart = radius * np.clip(0.58 + 0.09 * age, 0, 1.3)
    young = np.clip(1.1 - rng.uniform(0.1, 0.3) * np.maximum(age, 0), 0, 1)
    born = before.present[:, mothers] & (age >= 0)
    down, along = apart * np.sin(axis), apart * np.cos(axis)
    y, x = before.y[:, mothers], before.x[:, mothers]
    ids = cells + 1 + np.arange(2 * len(mothers))
    pairs = zip(ids, np.tile(mothers + 1, 2), strict=True)
    return Culture(
        y=np.hstack([before.y, y - down, y + down]),
        x=np.hstack([before.x, x - along, x + along]),
        heading=np.hstack([before.heading, axis + np.pi, axis]),
        radius=np.hstack([before.radius, radius, radius]),
        roundness=np.hstack([roundness, young, young]),
        present=np.hstack([present, born, born]),
        above=np.hstack([before.above, before.above[mothers], before.above[mothers]]),
        parents=tuple((int(child), int(mother)) for child, mother in pairs),
    )
