"""Spread cells in culture, filmed through phase contrast, interference contrast or a dye."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.blurs import blur
from napari_sam2.samples.fields import Floats, smooth_field, wander
from synthetic.camera import photograph
from synthetic.culture import random_culture
from synthetic.footage import Footage
from synthetic.interference import differential_interference, phase_contrast
from synthetic.thickness import phase_map

F = np.float32


def film_dish(rng: np.random.Generator, frames: int, size: int) -> Footage:
    """Film a random culture.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    frames, size : int
        Number of frames, side of the field in pixels.
    """
    culture = random_culture(rng, frames, size)
    phase, owner = phase_map(rng, culture, size)
    typical = float(np.median(culture.radius))
    way = rng.random()
    if way < 0.7:
        phase += _medium(rng, frames, size, typical)
        halo = float(np.clip(typical * rng.uniform(0.08, 0.3), 1.6, 9.0))
        light = phase_contrast(
            phase, halo, float(rng.uniform(0.45, 0.95)), float(rng.uniform(0.8, 2.2))
        )
    elif way < 0.85:
        phase += _medium(rng, frames, size, typical)
        phase = blur(phase, rng.uniform(0.6, 1.4))
        turn, bias = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.2)
        light = differential_interference(phase, float(turn), float(bias))
    else:
        light = _dyed(rng, phase, owner)
    dyed = way >= 0.85
    noise = 1.0 if dyed or rng.random() < 0.3 else 0.25
    image = photograph(rng, light, dyed, noise, dim=0.06 if dyed else 0.0)
    return Footage(image, owner, culture.y.shape[1], "TYX", culture.parents)


def _medium(rng: np.random.Generator, frames: int, size: int, typical: float) -> Floats:
    """Phase of the medium and the dish: fine grit, floating debris, slow unevenness."""
    shape = (size, size)
    grit = smooth_field(rng, shape, rng.uniform(2, 4))[0]
    grit = np.sign(grit) * np.maximum(np.abs(grit) - F(rng.uniform(0.2, 1.6)), 0)
    still = F(np.exp(rng.uniform(-4.5, -2.4))) * grit
    still += F(rng.uniform(0, 0.15)) * smooth_field(rng, shape, 0.4 * size)[0]
    phase = np.repeat(still[None], frames, axis=0)
    count = int(rng.integers(0, 14))
    start = rng.uniform(0, size, (count, 2))
    floats = rng.random(count)[:, None] < 0.4
    paths = start + floats * wander(rng, (frames, count, 2), 0.08 * typical)
    radius = rng.uniform(0.8, 2.2, count)
    strength = rng.choice([-0.6, 0.8, 1.6], count)
    axis = np.arange(size)
    for frame in range(frames):
        down = np.exp(-np.square((axis[:, None] - paths[frame, :, 0]) / radius))
        along = np.exp(-np.square((axis[:, None] - paths[frame, :, 1]) / radius)) * strength
        phase[frame] += (down @ along.T).astype(F)
    return phase


def _dyed(rng: np.random.Generator, phase: Floats, owner: NDArray[np.uint16]) -> Floats:
    """Fluorescence of a dye that fills cells: light by thickness, cells of unlike brightness."""
    level = np.exp(rng.normal(0, rng.uniform(0.1, 0.5), int(owner.max()) + 1)).astype(F)
    light: Floats = np.maximum(phase, 0) * level[owner]
    light += blur(light, 0.05 * light.shape[-1]) * F(rng.uniform(0.05, 0.4))
    bleach = np.exp(-rng.uniform(0, 0.08) * np.arange(len(light))).astype(F)
    light += F(rng.uniform(0.02, 0.1))
    light *= bleach[:, None, None]
    return light
