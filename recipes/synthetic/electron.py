"""Electron microscopy of neuropil: thin dark membranes, grey cytoplasm, organelles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.samples.blurs import blur
from napari_sam2.samples.fields import Floats, smooth_field, texture_tile
from synthetic.camera import photograph
from synthetic.footage import Footage
from synthetic.neuropil import neurites, organelles
from synthetic.scene import Drawing, draw, warped_grid

F = np.float32
MARGIN = 1
REACH = 1.05


def film_neuropil(rng: np.random.Generator, frames: int, size: int) -> Footage:
    """Record a block of neuropil slice by slice.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    frames, size : int
        Number of slices, side of the square frames in pixels.
    """
    slices = frames + 2 * MARGIN if frames > 1 else 1
    cells = neurites(rng, slices, size)
    inside = organelles(rng, cells, size)
    radius = float(np.median(np.sqrt(cells.a * cells.b)))
    grid = warped_grid(rng, slices, size, radius, rng.uniform(0.3, 1.1))
    if rng.random() < 0.25:
        # sections are cut and imaged one by one: they do not lie exactly over each other
        off = rng.normal(0, rng.uniform(0.3, 2.0), (2, slices, 1, 1)).astype(F)
        grid = (grid[0] + off[0], grid[1] + off[1])
    grain = max(2.2, size * float(rng.uniform(0.008, 0.025)))
    tiles = texture_tile(rng, size, grain, str(rng.choice(["octaves", "ridges", "spots"])))
    tiles = np.tile(tiles, (1, 2, 2))
    cell_drawing, inner_drawing = (
        draw(parts, grid, tiles, rng.integers(0, size, (len(parts.ids), 2)), REACH, borders=False)
        for parts in (cells, inside)
    )
    light = _stained(rng, cell_drawing, inner_drawing)
    owner = cell_drawing.owner
    if slices > 1:
        sigma = float(rng.uniform(0.25, 0.9))
        light = ndimage.gaussian_filter1d(light, sigma, axis=0, truncate=2.5, mode="nearest")
        light, owner = light[MARGIN:-MARGIN], owner[MARGIN:-MARGIN]
    image = photograph(rng, light, invertible=rng.random() < 0.3)
    return Footage(image, owner, int(cells.ids.max()), "ZYX")


def _stained(rng: np.random.Generator, cells: Drawing, inside: Drawing) -> Floats:
    """Brightness of the section: stain makes membranes and organelles dark."""
    count = int(cells.owner.max()) + 1
    tone = rng.uniform(0.6, 0.85) * np.exp(rng.normal(0, rng.uniform(0.03, 0.15), count))
    tone[rng.random(count) < 0.12] *= rng.uniform(0.4, 0.75)
    body: Floats = tone.astype(F)[cells.owner]
    size = body.shape[-1]
    body -= F(rng.uniform(0.0, 0.07)) * cells.texture
    body += F(rng.uniform(0.01, 0.05)) * smooth_field(rng, (size, size), rng.uniform(2, 4))
    wall = _walls(cells.owner, rng.uniform(0.6, 1.5))
    _stain_organelles(rng, body, wall, inside, cells.owner)
    dark = F(rng.uniform(0.05, 0.3))
    body += (dark - body) * np.minimum(wall * F(rng.uniform(0.8, 1.6)), 1)
    return body


def _walls(owner: NDArray[np.uint16], sigma: float) -> Floats:
    """Membranes between neighbours: everywhere of one width, 1 in their middle."""
    border = np.zeros(owner.shape, F)
    for axis in (1, 2):
        lead = [slice(None)] * 3
        lag = [slice(None)] * 3
        lead[axis], lag[axis] = slice(1, None), slice(None, -1)
        differs = owner[tuple(lead)] != owner[tuple(lag)]
        border[tuple(lead)][differs] = 1
        border[tuple(lag)][differs] = 1
    # a line of two pixels keeps 0.8 / sigma of its height
    return blur(border, sigma) * F(max(1.0, sigma / 0.8))


def _stain_organelles(
    rng: np.random.Generator,
    body: Floats,
    wall: Floats,
    inside: Drawing,
    owner: NDArray[np.uint16],
) -> None:
    """Darken mitochondria, clear of their host's membrane; changes ``body``."""
    own = np.nonzero((inside.owner == owner) & (inside.owner > 0) & (wall < 0.5))
    root = np.sqrt(inside.depth[own])
    tone = F(rng.uniform(0.35, 0.85)) * (F(1) + F(rng.uniform(0.05, 0.3)) * inside.texture[own])
    rim = np.exp(-np.square((root - F(0.9)) * F(9)))
    tone -= F(rng.uniform(0, 0.3)) * rim
    body[own] *= np.clip(tone, 0.1, 1)
