"""Appearance and movement of separate objects in each frame of a random clip."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.fields import wander
from synthetic.scene import Layout, Parts, join, take

Doubles = NDArray[np.float64]
SECTION_MARGIN = 2


@dataclass(frozen=True, slots=True)
class Habit:
    """Appearance and movement of the objects of one family.

    Attributes
    ----------
    radius : (float, float)
        Range of the typical radius as fractions of the frame (never below 4 pixels).
    spread : float
        Standard deviation of log radius within a frame.
    elongation : (float, float)
        Range of the axis ratio.
    bend, lobes : float
        Typical strength of bending and of three-fold irregularity.
    rods : bool
        Parallel sides and round ends.
    packing : float
        Centre distance of neighbours in sums of radii; below 1 they touch.
    fill : float
        Largest fraction of the frame that objects may cover.
    motion : float
        Step per frame as a fraction of the radius.
    divides, blinks : float
        Probability per object and clip to divide, and to vanish and return.
    through_depth : float
        Probability that the frames are slices through solid objects, not times.
    nested : float
        Share of objects with another object inside.
    """

    radius: tuple[float, float] = (0.015, 0.3)
    spread: float = 0.2
    elongation: tuple[float, float] = (1.0, 1.6)
    bend: float = 0.05
    lobes: float = 0.1
    rods: bool = False
    packing: float = 0.95
    fill: float = 0.6
    motion: float = 0.12
    divides: float = 0.06
    blinks: float = 0.08
    through_depth: float = 0.4
    nested: float = 0.0

    def lay_out(self, rng: np.random.Generator, frames: int, size: int) -> Layout:
        """Lay out one clip, see `choreograph`."""
        return choreograph(rng, self, frames, size)


def place(
    rng: np.random.Generator, radii: Doubles, size: int, packing: float, clumped: bool
) -> tuple[Doubles, Doubles]:
    """Centres (y, x) of discs that rarely overlap; ``clumped`` ones prefer to touch a neighbour."""
    n = len(radii)
    tries = rng.uniform(-0.04 * size, 1.04 * size, (n, 12, 2))
    centres = np.empty((n, 2))
    centres[0] = rng.uniform(0.15 * size, 0.85 * size, 2)
    for i in range(1, n):
        apart = tries[i][:, None] - centres[None, :i]
        gaps = np.hypot(apart[..., 0], apart[..., 1]) - packing * (radii[:i] + radii[i])
        gap = gaps.min(axis=1)
        wish = np.where(gap < 0, 4 * gap, -gap if clumped else np.minimum(gap, radii[i]))
        centres[i] = tries[i, int(np.argmax(wish))]
    return centres[:, 0], centres[:, 1]


def choreograph(rng: np.random.Generator, habit: Habit, frames: int, size: int) -> Layout:
    """Lay out one clip's objects; ids run from 1.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    habit : Habit
        How the objects look and move.
    frames, size : int
        Number of frames, side of the square frames in pixels.
    """
    sections = frames > 1 and rng.random() < habit.through_depth
    margin = SECTION_MARGIN if sections else 0
    low = max(4.2, habit.radius[0] * size)
    typical = float(np.exp(rng.uniform(np.log(low), np.log(max(low, habit.radius[1] * size)))))
    room = habit.fill * size**2 / (np.pi * typical**2)
    n = int(np.clip(rng.integers(1, max(2, int(room) + 1)), 1, 40))
    radii = np.maximum(4.0, typical * np.exp(rng.normal(0, habit.spread, n)))
    radii = np.minimum(radii, 0.45 * size)
    y, x = place(rng, radii, size, habit.packing, bool(rng.random() < 0.4))
    parts = _move(rng, habit, radii, (y, x), frames + 2 * margin)
    parents: tuple[tuple[int, int], ...] = ()
    if sections:
        parts = _slice_solids(rng, parts)
    elif frames > 1:
        parts, parents = _divide(rng, parts, habit.divides)
        parts = _blink(rng, parts, habit.blinks)
    if habit.nested:
        parts = _nest(rng, parts, habit.nested)
    return Layout(parts, parents, margin)


def _move(
    rng: np.random.Generator,
    habit: Habit,
    radii: Doubles,
    centres: tuple[Doubles, Doubles],
    frames: int,
) -> Parts:
    n, typical = len(radii), float(np.median(radii))
    shape = (frames, n)
    pace = habit.motion * np.exp(rng.normal(0, 0.7)) * min(typical, 25.0)
    drift = wander(rng, (frames, 2), 0.3 * pace, 0.95)
    y = centres[0] + wander(rng, shape, pace) + drift[:, :1]
    x = centres[1] + wander(rng, shape, pace) + drift[:, 1:]
    ratio = rng.uniform(*habit.elongation, n) * np.exp(wander(rng, shape, 0.03))
    ratio = np.maximum(ratio, 1.0)
    swelling = np.exp(wander(rng, shape, 0.02))
    aligned = rng.random() < 0.3
    heading = rng.uniform(0, np.pi) + rng.normal(0, 0.25 if aligned else 3.0, n)
    turning = wander(rng, shape, 0.06 * min(1.0, 4 * habit.motion))
    light = np.exp(rng.normal(0, rng.uniform(0.05, 0.35), n) + wander(rng, shape, 0.03))
    if rng.random() < 0.3:
        light *= np.exp(-rng.uniform(0, 0.15) * np.arange(frames))[:, None]
    return Parts(
        ids=np.arange(1, n + 1),
        y=y,
        x=x,
        a=radii * swelling * np.sqrt(ratio),
        b=radii * swelling / np.sqrt(ratio),
        angle=heading + turning,
        bend=rng.normal(0, habit.bend, n) + wander(rng, shape, 0.2 * habit.bend),
        lobes=rng.normal(0, habit.lobes, n) + wander(rng, shape, 0.1 * habit.lobes),
        lift=np.zeros(shape),
        present=np.ones(shape, np.bool_),
        light=light,
        rod=np.full(n, habit.rods),
        rank=np.zeros(n, np.intp),
    )


def _slice_solids(rng: np.random.Generator, parts: Parts) -> Parts:
    """Frames as slices: every object is an ellipsoid whose outline grows and shrinks."""
    frames, n = parts.y.shape
    middle = rng.uniform(-0.2 * frames, 1.2 * frames, n)
    half = np.maximum(1.5, rng.uniform(0.3, 1.6, n) * frames)
    height = (np.arange(frames)[:, None] - middle) / half
    return replace(parts, lift=height**2, present=parts.present & (np.abs(height) < 1))


def _divide(
    rng: np.random.Generator, parts: Parts, probability: float
) -> tuple[Parts, tuple[tuple[int, int], ...]]:
    """End some objects; two new ones begin in place of each and draw apart."""
    frames, n = parts.y.shape
    mothers = np.flatnonzero(rng.random(n) < probability)
    if not len(mothers):
        return parts, ()
    time = np.arange(frames)[:, None]
    when = rng.integers(1, frames, len(mothers))
    born = time >= when
    age = np.where(born, time - when + 1, 0)
    radius = np.sqrt(parts.a[:, mothers] * parts.b[:, mothers])
    apart = radius * np.minimum(0.62 + 0.12 * age, 1.1)
    axis = parts.angle[:, mothers]
    shrink = 0.72 + 0.07 * (1 - np.exp(-age / 4.0))
    parents: list[tuple[int, int]] = []
    whole = parts.present.copy()
    whole[:, mothers] &= ~born
    merged = replace(parts, present=whole)
    for side in (-1, 1):
        ids = int(merged.ids.max()) + 1 + np.arange(len(mothers))
        parents += [(int(c), int(parts.ids[m])) for c, m in zip(ids, mothers, strict=True)]
        daughter = replace(
            take(parts, mothers),
            ids=ids,
            y=parts.y[:, mothers] + side * apart * np.sin(axis),
            x=parts.x[:, mothers] + side * apart * np.cos(axis),
            a=radius * shrink * 0.95,
            b=radius * shrink * 1.05,
            present=parts.present[:, mothers] & born,
            light=parts.light[:, mothers] * rng.uniform(0.95, 1.15),
        )
        merged = join(merged, daughter)
    return merged, tuple(sorted(parents))


def _blink(rng: np.random.Generator, parts: Parts, probability: float) -> Parts:
    """Take some objects away for a few frames."""
    frames, n = parts.y.shape
    start = rng.integers(1, max(2, frames - 1), n)
    length = rng.integers(1, max(2, frames // 2), n)
    time = np.arange(frames)[:, None]
    gone = (rng.random(n) < probability) & (time >= start) & (time < start + length)
    return replace(parts, present=parts.present & ~gone)


def _nest(rng: np.random.Generator, parts: Parts, share: float) -> Parts:
    """Put an object of its own into the middle of some, such as the cord in its fluid."""
    large = np.sqrt(parts.a * parts.b).max(axis=0) > 12
    chosen = np.flatnonzero(large & (rng.random(parts.y.shape[1]) < share))
    if not len(chosen):
        return parts
    outer = take(parts, chosen)
    width = rng.uniform(0.4, 0.75, len(chosen))
    inner = replace(
        outer,
        ids=int(parts.ids.max()) + 1 + np.arange(len(chosen)),
        y=outer.y + 0.15 * outer.b * rng.normal(0, 1, len(chosen)),
        x=outer.x + 0.15 * outer.b * rng.normal(0, 1, len(chosen)),
        a=outer.a * width,
        b=outer.b * width,
        light=outer.light * np.exp(rng.choice([-1, 1]) * rng.uniform(0.5, 1.0, len(chosen))),
        rank=np.ones(len(chosen), np.intp),
    )
    return join(parts, inner)
