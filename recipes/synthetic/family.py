"""`Family`: layout, painting and recording of one kind of image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.samples.fields import Floats, texture_tile
from synthetic.camera import photograph
from synthetic.footage import Footage
from synthetic.habit import Habit, choreograph
from synthetic.scene import Drawing, Layout, Parts, draw, join, warped_grid

Painter = Callable[[np.random.Generator, Drawing, Floats], Floats]
Recorder = Callable[[np.random.Generator, Floats, bool], NDArray[np.uint8]]
TEXTURES = ("soft", "octaves", "ridges", "spots")


class Plan(Protocol):
    """Layout of the objects of a clip: a `Habit`, a `Tissue`, a `Packing` or an anatomy."""

    def lay_out(self, rng: np.random.Generator, frames: int, size: int) -> Layout:
        """Lay out one clip."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of image.

    Attributes
    ----------
    plan : Plan
        Where objects are.
    painter : callable
        From a drawing and brightness (T, ids + 1) to light (T, Y, X).
    warp : (float, float)
        Range of the irregularity of outlines.
    grain : (float, float)
        Range of the texture's finest structures in radii.
    invertible : bool
        Whether grey values may be inverted.
    reach : float
        See `draw`.
    clutter : float
        Probability of debris.
    sideways : float
        Probability that a volume is cut across its slices: depth runs down the frames.
    recorder : callable
        From light to grey values, a camera unless a scanner is given.
    """

    plan: Plan
    painter: Painter
    warp: tuple[float, float] = (0.1, 0.7)
    grain: tuple[float, float] = (0.1, 0.4)
    invertible: bool = True
    reach: float = 1.5
    clutter: float = 0.25
    sideways: float = 0.0
    recorder: Recorder = photograph

    def film(self, rng: np.random.Generator, frames: int, size: int) -> Footage:
        """Make one clip.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        frames, size : int
            Number of frames, side of the square frames in pixels.
        """
        layout = self.plan.lay_out(rng, frames, size)
        parts, margin = layout.parts, layout.margin
        count = int(parts.ids.max()) - layout.clutter
        if rng.random() < self.clutter:
            parts = _add_clutter(rng, parts, size)
        slices = frames + 2 * margin
        radius = float(np.median(np.sqrt(parts.a * parts.b)))
        grid = warped_grid(rng, slices, size, radius, rng.uniform(*self.warp))
        grain = max(2.5, rng.uniform(*self.grain) * radius)
        tiles = _textures(rng, slices if margin else 1, size, grain)
        offsets = rng.integers(0, size, (len(parts.ids), 2))
        drawing = draw(parts, grid, tiles, offsets, self.reach, layout.filled)
        light = self.painter(rng, drawing, _light_table(parts))
        owner = drawing.owner
        if margin:
            if rng.random() < self.sideways:
                light = _smear(rng, light, radius)
            light = _section(rng, light, margin)
            owner = owner[margin:-margin]
        image = self.recorder(rng, light, self.invertible)
        axes = "ZYX" if margin else "TYX"
        return Footage(image, owner, count, axes, layout.parents)


def _textures(rng: np.random.Generator, frames: int, size: int, grain: float) -> Floats:
    """Tile of all frames, or one for each that blends into the next through depth."""
    kind = str(rng.choice(TEXTURES))
    tiles = [texture_tile(rng, size, grain, kind) for _ in range(1 if frames == 1 else 2)]
    if frames > 1:
        turn = np.arange(frames) * rng.uniform(0.15, 0.7)
        tiles = [np.float32(np.cos(t)) * tiles[0] + np.float32(np.sin(t)) * tiles[1] for t in turn]
    return np.tile(np.stack(tiles), (1, 2, 2))


def _smear(rng: np.random.Generator, light: Floats, radius: float) -> Floats:
    """Blur along the rows' axis, and rows that were few and far between."""
    sigma = max(1.0, radius * float(rng.uniform(0.1, 0.4)))
    light = ndimage.gaussian_filter1d(light, sigma, axis=1, truncate=2.5, mode="nearest")
    step = int(rng.integers(1, max(2, round(sigma)) + 1))
    return np.asarray(np.repeat(light[:, ::step], step, axis=1)[:, : light.shape[1]], np.float32)


def _section(rng: np.random.Generator, light: Floats, margin: int) -> Floats:
    """Cut the margin off after the blur along depth, through which neighbours shine in."""
    sigma = float(rng.uniform(0.3, 1.3))
    blurred = ndimage.gaussian_filter1d(light, sigma, axis=0, truncate=2.5, mode="nearest")
    return np.asarray(blurred[margin:-margin], np.float32)


def _add_clutter(rng: np.random.Generator, parts: Parts, size: int) -> Parts:
    """Unlabelled debris, or something opaque that passes in front."""
    frames = parts.y.shape[0]
    habit = Habit(motion=0.4, divides=0.0, radius=(0.008, 0.02), fill=0.02, through_depth=0.0)
    opaque = rng.random() < 0.3
    if opaque:
        habit = replace(habit, motion=1.0, radius=(0.06, 0.15), fill=0.05)
    debris = choreograph(rng, habit, frames, size).parts
    debris = replace(
        debris,
        ids=debris.ids + int(parts.ids.max()),
        light=debris.light * rng.uniform(0.3, 1.6),
        rank=np.full(len(debris.ids), 1 if opaque else -1),
    )
    return join(parts, debris)


def _light_table(parts: Parts) -> Floats:
    table = np.zeros((parts.y.shape[0], int(parts.ids.max()) + 1), np.float32)
    table[:, parts.ids] = parts.light
    return table
