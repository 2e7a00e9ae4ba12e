"""The optical thickness of spread cells, and who owns which pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.culture import Culture
from napari_sam2.samples.fields import Floats, texture_tile
from napari_sam2.samples.outline import Doubles, outlines, random_manner, relative_distance

F = np.float32
ROUNDED_SHARE = 0.62


@dataclass(frozen=True, slots=True)
class Body:
    """How thick the cells of a culture are, in radians of phase.

    Attributes
    ----------
    lamella, middle : float
        Thickness of the flat rim, and of the bulge around the nucleus on top of it.
    ball : float
        Thickness of the middle of a cell that has rounded up.
    edge : float
        Width of the outermost slope in pixels.
    grain : float
        Relative strength of the granules.
    """

    lamella: float
    middle: float
    ball: float
    edge: float
    grain: float


def random_body(rng: np.random.Generator) -> Body:
    """Draw cells between nearly transparent sheets and thick spindles."""
    return Body(
        lamella=float(rng.uniform(0.12, 0.5)),
        middle=float(rng.uniform(0.15, 0.9)),
        ball=float(rng.uniform(1.4, 3.0)),
        edge=float(rng.uniform(1.0, 3.0)),
        grain=float(rng.uniform(0.08, 0.3)),
    )


def phase_map(
    rng: np.random.Generator, culture: Culture, size: int
) -> tuple[Floats, NDArray[np.uint16]]:
    """Draw a culture.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    culture : Culture
        Where the cells are.
    size : int
        Side of the field in pixels.

    Returns
    -------
    ndarray of float32, shape (T, Y, X)
        Phase that the cells add, in radians; where cells cross, both count.
    ndarray of uint16, shape (T, Y, X)
        Ids; the upper cell's where cells cross.
    """
    frames, cells = culture.y.shape
    body = random_body(rng)
    contour = outlines(rng, random_manner(rng), frames, cells)
    grain = max(2.2, float(np.median(culture.radius)) * rng.uniform(0.07, 0.16))
    tile = texture_tile(rng, size, grain, "octaves")
    tile += F(0.8) * texture_tile(rng, size, 0.9 * grain, "spots")
    tile = np.tile(np.clip(tile, -1.5, 2.2), (2, 2))
    offsets = rng.integers(0, size, (cells, 2))
    bend = rng.normal(0, 0.14, (cells,))
    thick = np.exp(rng.normal(0, 0.2, (cells,)))
    nucleoli = rng.normal(0, 0.12, (cells, 3, 2))
    phase = np.zeros((frames, size, size), F)
    owner = np.zeros((frames, size, size), np.uint16)
    order = np.argsort(culture.above, kind="stable")
    for frame in range(frames):
        relative = np.ones((size, size), F)
        for cell in order[culture.present[frame, order]]:
            at = (frame, int(cell))
            maps = (phase[frame], owner[frame], relative)
            shape = (contour[at], float(bend[cell]), float(thick[cell]), nucleoli[cell])
            _add_cell(culture, at, body, shape, (tile, offsets[cell]), maps)
    return phase, owner


def _add_cell(
    culture: Culture,
    at: tuple[int, int],
    body: Body,
    shape: tuple[Doubles, float, float, Doubles],
    surface: tuple[Floats, NDArray[np.intp]],
    maps: tuple[Floats, NDArray[np.uint16], Floats],
) -> None:
    y, x = float(culture.y[at]), float(culture.x[at])
    contour, bend, thick, nucleoli = shape
    roundness = float(culture.roundness[at])
    radius = float(culture.radius[at]) * (1 - (1 - ROUNDED_SHARE) * roundness)
    contour = 1 + (1 - roundness) * (contour - 1)
    reach = radius * float(contour.max()) * (1 + 0.5 * abs(bend)) + 2
    size = maps[0].shape[0]
    y0, y1 = max(0, int(y - reach)), min(size, int(y + reach) + 2)
    x0, x1 = max(0, int(x - reach)), min(size, int(x + reach) + 2)
    if y0 >= y1 or x0 >= x1:
        return
    dy = (np.arange(y0, y1, dtype=F)[:, None] - F(y)) / F(radius)
    dx = (np.arange(x0, x1, dtype=F)[None, :] - F(x)) / F(radius)
    cos, sin = F(np.cos(culture.heading[at])), F(np.sin(culture.heading[at]))
    u, v = cos * dx + sin * dy, cos * dy - sin * dx
    v += F(bend * (1 - roundness)) * (u * u - F(0.3))
    relative = relative_distance(u, v, contour)
    tile, offset = surface
    ty, tx = int(offset[0] + y0 - round(y)) % size, int(offset[1] + x0 - round(x)) % size
    grain = tile[ty : ty + y1 - y0, tx : tx + x1 - x0]
    own = _thickness(u, v, relative, radius, body, (thick, roundness), nucleoli, grain)
    phase, owner, nearest = (plane[y0:y1, x0:x1] for plane in maps)
    inside = relative < 1
    if culture.above[at[1]]:
        phase += own
        np.copyto(owner, np.uint16(at[1] + 1), where=inside)
        return
    nearer = inside & (relative < nearest)
    shared = (nearest < 1) & inside
    np.copyto(phase, own, where=nearer)
    # neighbours are thin where they meet
    seam = np.exp(-np.square((relative - nearest) * F(0.4 * radius)))
    phase -= np.where(shared, F(0.6) * seam, F(0)) * phase
    np.copyto(nearest, relative, where=nearer)
    np.copyto(owner, np.uint16(at[1] + 1), where=nearer)


def _thickness(
    u: Floats,
    v: Floats,
    relative: Floats,
    radius: float,
    body: Body,
    mass: tuple[float, float],
    nucleoli: Doubles,
    grain: Floats,
) -> Floats:
    """Thickness of one cell, 0 outside: thin rim, bulging middle, nucleus, granules."""
    thick, roundness = mass
    near = u * u * F(0.7) + v * v
    slope = np.clip((F(1) - relative) * F(radius / body.edge), 0, 1)
    bulge = np.exp(near * F(-2.2))
    path: Floats = F(body.lamella) + F(body.middle) * bulge
    path *= F(1) + F(body.grain) * grain * (F(0.35) + bulge)
    nucleus = np.clip((F(0.34) - np.sqrt(near)) * F(0.3 * radius), 0, 1)
    path -= nucleus * F(0.3 * body.middle) * (F(0.6) + F(0.7 * body.grain) * grain)
    for spot in nucleoli:
        dot = np.square(u - F(spot[0])) + np.square(v - F(spot[1]))
        path += F(0.45 * body.middle) * np.exp(dot * F(-170))
    path *= F(thick)
    if roundness > 0:
        ball = np.sqrt(np.clip(F(1) - relative * relative, 0, 1))
        ball *= F(body.ball) * (F(1) + F(0.4 * body.grain) * grain)
        path = path * F(1 - roundness) + ball * F(roundness)
    return np.asarray(path * slope)
