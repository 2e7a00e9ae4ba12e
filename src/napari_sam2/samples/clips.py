"""Random labelled clips for training: many kinds of objects and images, made in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import StackError
from napari_sam2.samples import painters
from napari_sam2.samples.camera import photograph
from napari_sam2.samples.fields import Floats, texture_tile
from napari_sam2.samples.layout import Habit, choreograph, join, tissue
from napari_sam2.samples.scene import Drawing, Parts, draw, warped_grid
from napari_sam2.samples.stack import SampleStack

Painter = Callable[[np.random.Generator, Drawing, Floats], Floats]
SMALLEST_AREA = 12
SMALLEST_FRAME = 32


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of image.

    ``warp``: range of the irregularity of outlines; ``grain``: range of the texture's finest
    structures in radii; ``habit`` None means tissue that fills the frame, whose cells differ by
    ``variety``; ``reach``: see `draw`.
    """

    name: str
    painter: Painter
    weight: float
    habit: Habit | None
    warp: tuple[float, float] = (0.1, 0.7)
    grain: tuple[float, float] = (0.1, 0.4)
    variety: tuple[float, float] = (0.05, 0.2)
    invertible: bool = True
    reach: float = 1.5


FAMILIES: tuple[Family, ...] = (
    Family("nuclei", painters.fluorescence, 0.24, Habit(radius=(0.015, 0.38)), (0.1, 0.6)),
    Family(
        "crowd",
        painters.fluorescence,
        0.1,
        Habit(radius=(0.015, 0.08), packing=0.85, fill=0.95, elongation=(1, 2)),
        (0.1, 0.6),
    ),
    Family(
        "histology",
        painters.brightfield,
        0.14,
        Habit(radius=(0.02, 0.15), packing=0.85, fill=0.8, elongation=(1, 2.2), divides=0.02),
        (0.3, 0.9),
        reach=1.7,
    ),
    Family(
        "phase",
        painters.phase_contrast,
        0.14,
        Habit(
            radius=(0.045, 0.2),
            spindles=0.35,
            elongation=(1, 3.5),
            bend=0.3,
            lobes=0.2,
            arms=3,
            fill=0.3,
            packing=1.15,
        ),
        (0.4, 1.0),
        invertible=False,
        reach=1.8,
    ),
    Family("membranes", painters.membranes, 0.08, None, (0.1, 0.8), reach=1.5),
    Family(
        "electron", painters.electron, 0.08, None, (0.6, 1.4), (0.15, 0.5), (0.15, 0.55), reach=1.7
    ),
    Family(
        "tubes",
        painters.ring,
        0.05,
        Habit(radius=(0.03, 0.25), elongation=(1, 2), divides=0, motion=0.2, fill=0.4),
        (0.1, 0.6),
        reach=1.7,
    ),
    Family(
        "organs",
        painters.organs,
        0.08,
        Habit(
            radius=(0.04, 0.42),
            spread=0.5,
            elongation=(1, 2.5),
            bend=0.3,
            nested=0.35,
            divides=0,
            motion=0.04,
        ),
        (0.3, 1.1),
        reach=1.9,
    ),
    Family(
        "rods",
        painters.fluorescence,
        0.05,
        Habit(radius=(0.02, 0.08), elongation=(2.5, 6), bend=0.12, lobes=0, rods=True, packing=0.7),
        (0.0, 0.2),
    ),
    Family(
        "yeast",
        painters.ring,
        0.04,
        Habit(radius=(0.03, 0.2), elongation=(1, 1.35), lobes=0.02, packing=1.0, divides=0.1),
        (0.0, 0.2),
        reach=1.7,
    ),
    Family(
        "textured",
        painters.textured,
        0.06,
        Habit(radius=(0.05, 0.35), spread=0.4, elongation=(1, 2), fill=0.5),
        (0.4, 1.2),
        reach=1.9,
    ),
)


def random_clip(
    rng: np.random.Generator, frames: int = 8, size: int = 256, family: str | None = None
) -> SampleStack:
    """Make one clip of a random family, motion, contrast and noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of randomness: the same state gives the same clip.
    frames : int
        Number of frames, at least 1.
    size : int
        Side of the square frames in pixels, at least 32.
    family : str, optional
        Name of a family of `FAMILIES`; drawn by weight when not given.

    Returns
    -------
    SampleStack
        uint8 image and labels, at least one object somewhere.

    Raises
    ------
    StackError
        If the size is too small or the family is not known.
    """
    if frames < 1 or size < SMALLEST_FRAME:
        raise StackError(
            f"A clip of {frames} frames of {size} pixels cannot be made.",
            remedy=f"Ask for at least 1 frame of {SMALLEST_FRAME} pixels.",
        )
    kind = _choose(rng, family)
    clip = _make(rng, kind, frames, size)
    while not clip.labels.any():
        clip = _make(rng, kind, frames, size)
    return clip


def _make(rng: np.random.Generator, kind: Family, frames: int, size: int) -> SampleStack:
    parts, parents = _lay_out(rng, kind, frames, size)
    count = int(parts.ids.max())
    if kind.habit is not None and rng.random() < 0.25:
        parts = _add_clutter(rng, parts, kind.habit, size)
    radius = float(np.median(np.sqrt(parts.a * parts.b)))
    grid = warped_grid(rng, frames, size, radius, rng.uniform(*kind.warp))
    texture = str(rng.choice(["soft", "octaves", "ridges", "spots"]))
    tile = texture_tile(rng, size, max(2.5, rng.uniform(*kind.grain) * radius), texture)
    offsets = rng.integers(0, size, (len(parts.ids), 2))
    drawing = draw(parts, grid, np.tile(tile, (2, 2)), offsets, kind.reach, kind.habit is None)
    image = photograph(rng, kind.painter(rng, drawing, _light_table(parts)), kind.invertible)
    labels, alive = _finish_labels(drawing.owner, count)
    kept = tuple((child, parent) for child, parent in parents if alive[child] and alive[parent])
    return SampleStack(image, labels, "TYX", (1.0, 1.0, 1.0), kind.name, kept)


def _lay_out(
    rng: np.random.Generator, kind: Family, frames: int, size: int
) -> tuple[Parts, tuple[tuple[int, int], ...]]:
    if kind.habit is not None:
        return choreograph(rng, kind.habit, frames, size)
    most = float(np.clip((size / 20) ** 2, 5, 70))
    cells = float(np.exp(rng.uniform(np.log(4), np.log(most))))
    return tissue(rng, frames, size, cells, rng.uniform(*kind.variety)), ()


def _choose(rng: np.random.Generator, family: str | None) -> Family:
    if family is None:
        weights = np.array([kind.weight for kind in FAMILIES])
        return FAMILIES[int(rng.choice(len(FAMILIES), p=weights / weights.sum()))]
    for kind in FAMILIES:
        if kind.name == family:
            return kind
    names = ", ".join(kind.name for kind in FAMILIES)
    raise StackError(f"There is no family {family!r} of clips.", remedy=f"Choose from {names}.")


def _add_clutter(rng: np.random.Generator, parts: Parts, habit: Habit, size: int) -> Parts:
    """Unlabelled debris, or something opaque that passes in front."""
    frames = parts.y.shape[0]
    opaque = rng.random() < 0.3
    habit = replace(habit, motion=0.4, divides=0.0, arms=0, radius=(0.008, 0.02), fill=0.02)
    if opaque:
        habit = replace(habit, motion=1.0, radius=(0.06, 0.15), fill=0.05)
    debris, _ = choreograph(rng, habit, frames, size)
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


def _finish_labels(
    owner: NDArray[np.uint16], count: int
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Drop clutter and specks that nobody could click; also tell which ids are left."""
    labels = np.empty_like(owner)
    alive = np.zeros(count + 1, np.bool_)
    for frame, plane in enumerate(owner):
        areas = np.bincount(plane.ravel(), minlength=count + 1)
        table = np.arange(len(areas), dtype=np.uint16)
        table[areas < SMALLEST_AREA] = 0
        table[count + 1 :] = 0
        labels[frame] = table[plane]
        alive |= table[: count + 1] > 0
    return labels, alive
