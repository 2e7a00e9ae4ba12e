"""The fluorescence of one cell, in the coordinates of its body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.fields import Floats
from napari_sam2.samples.lives import Pose

F = np.float32
TILE = 512
VESICLES = 26


@dataclass(frozen=True, slots=True, eq=False)
class Interior:
    """The constant appearance of one cell (coordinates of its body, in units of its radius)."""

    brightness: float
    nucleus: tuple[float, float]
    nucleoli: NDArray[np.float64]
    offset: NDArray[np.intp]
    vesicles: NDArray[np.float64]
    vesicle_size: NDArray[np.float64]


def interiors(
    rng: np.random.Generator, history: tuple[tuple[Pose, ...], ...], mothers: dict[int, int]
) -> dict[int, Interior]:
    """Draw an interior for every cell that ever lives; daughters are as bright as their mother."""
    made: dict[int, Interior] = {}
    for identity in sorted({pose.identity for poses in history for pose in poses}):
        level = float(np.exp(rng.normal(0, 0.2)))
        if identity in mothers:
            level = made[mothers[identity]].brightness * float(rng.uniform(0.92, 1.08))
        around = rng.uniform(0, 2 * np.pi, VESICLES)
        away = 0.42 + np.abs(rng.normal(0, 0.14, VESICLES))
        made[identity] = Interior(
            brightness=level,
            nucleus=(float(rng.normal(-0.08, 0.06)), float(rng.normal(0, 0.05))),
            nucleoli=rng.normal(0, 0.13, (int(rng.integers(1, 4)), 2)),
            offset=rng.integers(0, TILE, 2),
            vesicles=np.stack([away * np.cos(around), away * np.sin(around)], axis=1),
            vesicle_size=rng.uniform(0.03, 0.075, VESICLES),
        )
    return made


def _sample(tile: Floats, y: Floats, x: Floats, offset: NDArray[np.intp]) -> Floats:
    rows = (y + F(offset[0] + 4 * TILE)).astype(np.intp) % TILE
    columns = (x + F(offset[1] + 4 * TILE)).astype(np.intp) % TILE
    return np.asarray(tile[rows, columns])


def flat_light(
    u: Floats,
    v: Floats,
    relative: Floats,
    interior: Interior,
    tiles: tuple[Floats, Floats],
    holes: Floats,
) -> Floats:
    """Light a spread cell: thin ruffled lamella, thick middle, nucleus, nucleoli, vesicles."""
    nu, nv = u - F(interior.nucleus[0]), v - F(interior.nucleus[1])
    centred = nu * nu * F(0.8) + nv * nv
    grain = _sample(tiles[0], v * F(70), u * F(70), interior.offset)
    folds = _sample(tiles[1], v * F(90), u * F(28), interior.offset)
    edge = np.clip((F(1) - relative) * F(6), 0, 1)
    light: Floats = F(0.2) + F(0.5) * np.exp(-centred * F(2.0))
    light = light * (F(1) + F(0.17) * grain + F(0.2) * folds) * (F(0.45) + F(0.55) * edge)
    ruffle = np.exp(-np.square((relative - F(0.93)) * F(14))) * np.clip(u + F(0.2), 0, 1)
    light += F(0.12) * ruffle * (F(1) + F(0.6) * grain)
    near = np.sqrt(centred) / F(0.36)
    nucleus = np.clip((F(1) - near) * F(5), 0, 1)
    light += nucleus * (F(0.26) + F(0.02) * grain)
    for spot in interior.nucleoli:
        dot = np.square(nu - F(spot[0])) + np.square(nv - F(spot[1]))
        light *= F(1) - F(0.3) * np.exp(-np.square(dot * F(120)))
    light *= holes
    return np.maximum(light, F(0.03))


def vesicles(
    pose: Pose, box: tuple[slice, slice], interior: Interior, drift: NDArray[np.float64]
) -> Floats:
    """Unstained vesicles around the nucleus, as a factor of the light in ``box`` of the frame."""
    at = interior.vesicles + drift
    cos, sin = np.cos(pose.heading), np.sin(pose.heading)
    y = pose.y + pose.radius * (sin * at[:, 0] + cos * at[:, 1])
    x = pose.x + pose.radius * (cos * at[:, 0] - sin * at[:, 1])
    size = (interior.vesicle_size * pose.radius)[:, None]
    down = np.exp(-(((np.arange(box[0].start, box[0].stop) - y[:, None]) / size) ** 2))
    along = np.exp(-(((np.arange(box[1].start, box[1].stop) - x[:, None]) / size) ** 2))
    return np.asarray(np.maximum(1 - 0.45 * (down.T @ along), 0.3), F)


def round_light(
    u: Floats,
    v: Floats,
    relative: Floats,
    roundness: float,
    interior: Interior,
    tiles: tuple[Floats, Floats],
) -> Floats:
    """Light a rounded cell: a bright ball whose chromosomes exclude the dye."""
    ball = np.sqrt(np.clip(F(1.02) - relative * relative, 0, 1))
    grain = _sample(tiles[0], v * F(45), u * F(45), interior.offset)
    light: Floats = (F(0.15) + F(1.35) * ball) * (F(1) + F(0.07) * grain)
    plate = np.exp(-np.square(u * F(4.5)) - np.square(np.square(v * F(1.7))))
    light *= F(1) - F(0.3 * roundness) * plate
    return light
