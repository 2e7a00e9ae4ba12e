"""Objects as warped ellipses, and their drawing into label and depth maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.fields import Floats, smooth_field

FAR = 9.0


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """P parts in T frames; parts with one id make one object.

    All arrays are (T, P) unless said otherwise. ``y, x``: centre in pixels; ``a, b``: half axes in
    pixels; ``angle``: of the first axis, radians; ``bend``: banana-likeness (0 is straight);
    ``lobes``: strength of three-fold irregularity; ``lift``: squared height of the middle above or
    below the frame, in units of the half height; ``present``: drawn at all; ``light``:
    brightness. Per part (P,): ``ids`` from 1; ``rod``: parallel sides instead of an ellipse's;
    ``rank``: 1 covers what was drawn before, -1 shows only where nothing else is, 0 shares borders
    with its neighbours.
    """

    ids: NDArray[np.intp]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    angle: NDArray[np.float64]
    bend: NDArray[np.float64]
    lobes: NDArray[np.float64]
    lift: NDArray[np.float64]
    present: NDArray[np.bool_]
    light: NDArray[np.float64]
    rod: NDArray[np.bool_]
    rank: NDArray[np.intp]


def take(parts: Parts, which: NDArray[np.intp]) -> Parts:
    """Choose some of the parts."""
    return Parts(*(getattr(parts, name)[..., which] for name in Parts.__slots__))


def join(first: Parts, second: Parts) -> Parts:
    """Both sets of parts as one."""
    return Parts(
        *(
            np.concatenate([getattr(first, name), getattr(second, name)], axis=-1)
            for name in Parts.__slots__
        )
    )


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Positions and shapes of all objects of a clip.

    Attributes
    ----------
    parts : Parts
        In all frames and ``margin`` more on both sides.
    parents : tuple of (int, int)
        Divisions, (child id, parent id).
    margin : int
        Slices above and below the clip that still shine into it; 0 for a time-lapse.
    filled : bool
        Whether cells fill the frame.
    clutter : int
        How many of the highest ids are not objects.
    """

    parts: Parts
    parents: tuple[tuple[int, int], ...] = ()
    margin: int = 0
    filled: bool = False
    clutter: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """Maps of parts, depths and texture for a painter, all (T, Y, X).

    ``owner``: id of the part in front, 0 outside; ``depth``: 0 in the middle of a part, 1 on its
    outline, growing outside (squared relative distance, at most `FAR`); ``second``: the depth
    of the next part; ``texture``: each part's own piece of the texture tile, moving with it.
    """

    owner: NDArray[np.uint16]
    depth: Floats
    second: Floats
    texture: Floats


def warped_grid(
    rng: np.random.Generator, frames: int, size: int, radius: float, strength: float
) -> tuple[Floats, Floats]:
    """Pixel coordinates (T, Y, X) bent by smooth fields: ellipses drawn on them are irregular.

    ``radius`` is that of the typical object: coarse bends are of its size, fine ones of a third.
    """
    axis = np.arange(size, dtype=np.float32)
    grids = []
    coarse, fine = max(8.0, 1.3 * radius), max(4.0, 0.45 * radius)
    for plane in (axis[:, None], axis[None, :]):
        bent = smooth_field(rng, (size, size), coarse, frames)
        bent *= np.float32(strength * 0.22 * coarse)
        bent += smooth_field(rng, (size, size), fine, frames) * np.float32(strength * 0.13 * fine)
        bent += plane
        grids.append(bent)
    return grids[0], grids[1]


def draw(
    parts: Parts,
    grid: tuple[Floats, Floats],
    tiles: Floats,
    offsets: NDArray[np.intp],
    reach: float,
    borders: bool,
) -> Drawing:
    """Draw all parts; where they meet, the relatively nearer one wins.

    Parameters
    ----------
    parts : Parts
        What to draw.
    grid : pair of ndarray, shape (T, Y, X)
        Warped y and x coordinates.
    tiles : ndarray of float32, shape (1 or T, 2 Y, 2 X)
        Texture of all frames or of each, periodic with half its size.
    offsets : ndarray of int, shape (P, 2)
        Where in the tile each part's texture begins.
    reach : float
        How far, in half axes, a part's depth is computed: 1.3 for lone objects, 2 and more for
        tissue without gaps.
    borders : bool
        Whether to compute ``second``, for tissue; else it stays `FAR`.
    """
    shape = grid[0].shape
    owner = np.zeros(shape, np.uint16)
    depth = np.full(shape, FAR, np.float32)
    second = np.full(shape, FAR, np.float32)
    texture = np.zeros(shape, np.float32)
    for frame in range(shape[0]):
        maps = (owner[frame], depth[frame], second[frame], texture[frame])
        planes = (grid[0][frame], grid[1][frame])
        for part in np.flatnonzero(parts.present[frame]):
            surface = (tiles[min(frame, len(tiles) - 1)], offsets[part])
            _draw_part(parts, frame, int(part), planes, maps, surface, reach, borders)
    return Drawing(owner, depth, second, texture)


def _draw_part(
    parts: Parts,
    frame: int,
    part: int,
    planes: tuple[Floats, Floats],
    maps: tuple[NDArray[np.uint16], Floats, Floats, Floats],
    surface: tuple[Floats, NDArray[np.intp]],
    reach: float,
    borders: bool,
) -> None:
    at = (frame, part)
    y, x = float(parts.y[at]), float(parts.x[at])
    a, b, angle = float(parts.a[at]), float(parts.b[at]), float(parts.angle[at])
    cos, sin, bend = np.cos(angle), np.sin(angle), float(parts.bend[at])
    sag = abs(bend) * b
    reach = float(np.sqrt(max(reach**2 - float(parts.lift[at]), 0.01)))
    extent_y = reach * (np.hypot(a * sin, b * cos) + sag) + 4
    extent_x = reach * (np.hypot(a * cos, b * sin) + sag) + 4
    size_y, size_x = planes[0].shape
    y0, y1 = max(0, int(y - extent_y)), min(size_y, int(y + extent_y) + 1)
    x0, x1 = max(0, int(x - extent_x)), min(size_x, int(x + extent_x) + 1)
    if y0 >= y1 or x0 >= x1:
        return
    box = (slice(y0, y1), slice(x0, x1))
    f = _depth(parts, at, (planes[0][box], planes[1][box]))
    owner, depth, second, texture = (plane[box] for plane in maps)
    nearer = f < depth if parts.rank[part] == 0 else f < 1
    if parts.rank[part] < 0:
        nearer &= depth >= 1
    if borders:
        np.minimum(second, np.maximum(f, depth), out=second)
    np.copyto(depth, f, where=nearer)
    tile, offset = surface
    ty, tx = int(offset[0] + y0 - round(y)) % size_y, int(offset[1] + x0 - round(x)) % size_x
    np.copyto(texture, tile[ty : ty + y1 - y0, tx : tx + x1 - x0], where=nearer)
    nearer &= f < 1
    np.copyto(owner, np.uint16(parts.ids[part]), where=nearer)


def _depth(parts: Parts, at: tuple[int, int], planes: tuple[Floats, Floats]) -> Floats:
    """Squared distance from the centre in units of the outline's."""
    angle, a, b = float(parts.angle[at]), float(parts.a[at]), float(parts.b[at])
    cos, sin = np.cos(angle), np.sin(angle)
    dy = planes[0] - np.float32(parts.y[at])
    dx = planes[1] - np.float32(parts.x[at])
    u = dx * np.float32(cos / a)
    u += dy * np.float32(sin / a)
    dy *= np.float32(cos / b)
    dx *= np.float32(sin / b)
    v = dy - dx
    bend, lobes, part = float(parts.bend[at]), float(parts.lobes[at]), at[1]
    uu = u * u
    if bend:
        v += np.float32(bend) * (uu - np.float32(0.5))
    vv = v * v
    f: Floats = uu * uu + vv if parts.rod[part] else uu + vv
    if lobes:
        # cos(3 angle) at the outline; bounded so that far pixels do not come near again
        uu -= np.float32(3) * vv
        u *= uu
        np.clip(u, -1.5, 1.5, out=u)
        u *= np.float32(lobes)
        f -= u
    if parts.lift[at]:
        f += np.float32(parts.lift[at])
    return f
