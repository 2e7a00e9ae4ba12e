"""The optical thickness of spread cells, and the cell of each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.fields import Floats, texture_tile
from napari_sam2.samples.outline import Doubles, outlines, random_manner, relative_distance
from synthetic.culture import Culture

F = np.float32
ROUNDED_SHARE = 0.62
BEND_ROOT = 0.3


@dataclass(frozen=True, slots=True)
class Body:
    """Thickness of the cells of a culture, in radians of phase.

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


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """One cell in one frame; ``contour`` and ``nucleoli`` in its own frame and radii."""

    y: float
    x: float
    heading: float
    radius: float
    roundness: float
    contour: Doubles
    bend: float
    thick: float
    nucleoli: Doubles

    def box(self, size: int) -> tuple[slice, slice]:
        """Pixels that the cell may cover."""
        angle = np.linspace(0, 2 * np.pi, len(self.contour), endpoint=False)
        u = self.contour * np.cos(angle)
        v = self.contour * np.sin(angle) - self.bend * (u * u - BEND_ROOT)
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        x, y = (
            self.x + self.radius * (cos * u - sin * v),
            self.y + self.radius * (sin * u + cos * v),
        )
        rows = slice(max(0, int(y.min()) - 1), max(0, min(size, int(y.max()) + 3)))
        return rows, slice(max(0, int(x.min()) - 1), max(0, min(size, int(x.max()) + 3)))

    def own_frame(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Coordinates of pixels along the heading and across it, in radii."""
        dy = (rows.astype(F) - F(self.y)) / F(self.radius)
        dx = (columns.astype(F) - F(self.x)) / F(self.radius)
        cos, sin = F(np.cos(self.heading)), F(np.sin(self.heading))
        u, v = cos * dx + sin * dy, cos * dy - sin * dx
        v += F(self.bend) * (u * u - F(BEND_ROOT))
        return u, v


def random_body(rng: np.random.Generator) -> Body:
    """Draw cells between nearly transparent sheets and thick spindles."""
    return Body(
        lamella=float(rng.uniform(0.07, 0.4)),
        middle=float(rng.uniform(0.2, 1.0)),
        ball=float(rng.uniform(1.6, 3.2)),
        edge=float(rng.uniform(0.8, 2.5)),
        grain=float(rng.uniform(0.08, 0.35)),
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
    typical = float(np.median(culture.radius))
    tile = _granules(rng, size, max(2.0, typical * rng.uniform(0.05, 0.14)))
    offsets = rng.integers(0, size, (cells, 2))
    bend = rng.normal(0, 0.14, (cells,))
    # the same volume spread wider is thinner
    thick = typical / culture.radius.mean(axis=0) * np.exp(rng.normal(0, 0.2, (cells,)))
    nucleoli = rng.normal(0, 0.12, (cells, 3, 2))
    phase = np.zeros((frames, size, size), F)
    owner = np.zeros((frames, size, size), np.uint16)
    order = np.argsort(culture.above, kind="stable")
    for frame in range(frames):
        nearest = np.ones((size, size), F)
        for index in order[culture.present[frame, order]]:
            at = (frame, int(index))
            spread = 1 - float(culture.roundness[at])
            cell = _Cell(
                y=float(culture.y[at]),
                x=float(culture.x[at]),
                heading=float(culture.heading[at]),
                radius=float(culture.radius[at]) * (ROUNDED_SHARE + (1 - ROUNDED_SHARE) * spread),
                roundness=1 - spread,
                contour=1 + spread * (contour[at] - 1),
                bend=float(bend[index]) * spread,
                thick=float(thick[index]),
                nucleoli=nucleoli[index],
            )
            maps = (phase[frame], owner[frame], nearest)
            above = bool(culture.above[index])
            _add_cell(cell, int(index) + 1, above, body, (tile, offsets[index]), maps)
    return phase, owner


def _granules(rng: np.random.Generator, size: int, grain: float) -> Floats:
    """Draw a texture of dense grains and sparse vesicles, repeated twice along each axis."""
    tile = texture_tile(rng, size, grain, "octaves")
    tile += F(0.8) * texture_tile(rng, size, 0.9 * grain, "spots")
    return np.tile(np.clip(tile, -1.5, 2.2), (2, 2))


def _add_cell(
    cell: _Cell,
    number: int,
    above: bool,
    body: Body,
    surface: tuple[Floats, NDArray[np.intp]],
    maps: tuple[Floats, NDArray[np.uint16], Floats],
) -> None:
    size = maps[0].shape[0]
    rows, columns = cell.box(size)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    phase, owner, nearest = (plane[rows, columns] for plane in maps)
    y = np.arange(rows.start, rows.stop)[:, None]
    x = np.arange(columns.start, columns.stop)[None, :]
    u, v = cell.own_frame(y, x)
    relative = relative_distance(u, v, cell.contour)
    # where neighbours meet the nearer one wins; a cell above covers
    mine = np.nonzero(relative < (1 if above else nearest))
    tile, offset = surface
    ty, tx = int(offset[0]) - round(cell.y), int(offset[1]) - round(cell.x)
    grain = tile[(ty + rows.start) % size :, (tx + columns.start) % size :][mine]
    own = _thickness(cell, (u[mine], v[mine]), relative[mine], body, grain)
    owner[mine] = number
    if above:
        phase[mine] += own
        return
    seam = np.where(nearest < 1, (relative - nearest) * F(0.4 * cell.radius), F(9))
    phase[mine] = own
    # neighbours are thin where they meet
    phase *= F(1) - F(0.6) * np.exp(-np.square(seam)) * (relative < 1)
    nearest[mine] = relative[mine]


def _thickness(
    cell: _Cell, place: tuple[Floats, Floats], relative: Floats, body: Body, grain: Floats
) -> Floats:
    """Thickness of pixels of one cell: thin rim, bulging middle, nucleus, granules."""
    u, v = place
    near = u * u * F(0.7) + v * v
    bulge = np.exp(near * F(-2.2))
    nucleus = np.clip((F(0.36) - np.sqrt(near)) * F(0.4 * cell.radius), 0, 1)
    grain = F(body.grain) * grain * (F(1) - F(0.7) * nucleus)
    path: Floats = F(body.lamella) + F(body.middle) * bulge
    path *= F(1) + grain * (F(0.35) + bulge)
    path -= nucleus * F(0.25 * body.middle)
    for spot in cell.nucleoli:
        dot = np.square(u - F(spot[0])) + np.square(v - F(spot[1]))
        path += F(0.45 * body.middle) * np.exp(dot * F(-170))
    path *= F(cell.thick)
    if cell.roundness > 0:
        ball = np.sqrt(np.clip(F(1) - relative * relative, 0, 1))
        ball *= F(body.ball) * (F(1) + F(0.4) * grain)
        path = path * F(1 - cell.roundness) + ball * F(cell.roundness)
    path *= np.clip((F(1) - relative) * F(cell.radius / body.edge), 0, 1)
    return path
