"""A fluorescence time-lapse of crawling, dividing cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import StackError
from napari_sam2.samples.blurs import blur
from napari_sam2.samples.cell_light import (
    TILE,
    VESICLES,
    Interior,
    flat_light,
    interiors,
    round_light,
    vesicles,
)
from napari_sam2.samples.fields import Floats, smooth_field, texture_tile, wander
from napari_sam2.samples.lives import Pose, live
from napari_sam2.samples.outline import relative_distance
from napari_sam2.samples.sensor import expose, vignette
from napari_sam2.samples.stack import SampleStack

F = np.float32
SMALLEST_AREA = 12


def dividing_cells(seed: int = 0, shape: tuple[int, int, int] = (40, 256, 256)) -> SampleStack:
    """Make a time-lapse of cells filled with a fluorescent protein.

    Cells crawl persistently, change shape, touch, leave and enter the field, round up, divide and
    spread again; the dye bleaches. Daughters have new ids; the mother ends when they begin.

    Parameters
    ----------
    seed : int
        The same seed gives the same stack.
    shape : (int, int, int)
        Frames and pixels (T, Y, X): 10 minutes and 0.65 micrometres; at least 2 x 64 x 64.

    Returns
    -------
    SampleStack
        uint16 image and labels, axes ``"TYX"``, with ``parents``.

    Raises
    ------
    StackError
        If the shape is too small.
    """
    if shape[0] < 2 or min(shape[1:]) < 64:
        raise StackError(
            f"A time-lapse of shape {shape} is too small.", remedy="Ask for 2 x 64 x 64 or more."
        )
    rng = np.random.default_rng(seed)
    history, parents = live(rng, shape[0], (shape[1], shape[2]))
    inside = interiors(rng, history, dict(parents))
    tiles = (
        texture_tile(rng, TILE, 5.0, "octaves"),
        texture_tile(rng, TILE, 14.0, "octaves"),
    )
    labels = np.zeros(shape, np.uint16)
    light = np.zeros(shape, F)
    drift = wander(rng, (shape[0], VESICLES, 2), 0.025, 0.3)
    for frame, poses in enumerate(history):
        depth = np.full(shape[1:], 1, F)
        for pose in poses:
            maps = (labels[frame], light[frame], depth)
            _draw_cell(pose, inside[pose.identity], tiles, drift[frame], maps)
    image = _image(rng, light)
    labels, kept = _renumber(labels, parents)
    return SampleStack(
        image, labels, "TYX", (10.0, 0.65, 0.65), "Dividing cells (time-lapse)", kept
    )


def _draw_cell(
    pose: Pose,
    interior: Interior,
    tiles: tuple[Floats, Floats],
    drift: NDArray[np.float64],
    maps: tuple[NDArray[np.uint16], Floats, Floats],
) -> None:
    """Draw one cell where it is closer, relative to its size, than the cells drawn before."""
    reach = pose.radius * float(pose.contour.max()) + 2
    height, width = maps[0].shape
    y0, y1 = max(0, int(pose.y - reach)), min(height, int(pose.y + reach) + 2)
    x0, x1 = max(0, int(pose.x - reach)), min(width, int(pose.x + reach) + 2)
    if y0 >= y1 or x0 >= x1:
        return
    box = (slice(y0, y1), slice(x0, x1))
    dy = (np.arange(y0, y1, dtype=F)[:, None] - F(pose.y)) / F(pose.radius)
    dx = (np.arange(x0, x1, dtype=F)[None, :] - F(pose.x)) / F(pose.radius)
    cos, sin = F(np.cos(pose.heading)), F(np.sin(pose.heading))
    u, v = cos * dx + sin * dy, cos * dy - sin * dx
    relative = relative_distance(u, v, pose.contour)
    labels, light, depth = (plane[box] for plane in maps)
    nearer = relative < depth
    junction = np.where(np.maximum(relative, depth) < 1, np.abs(relative - depth), F(1))
    np.copyto(depth, relative, where=nearer)
    np.copyto(labels, np.uint16(pose.identity), where=nearer)
    holes = vesicles(pose, box, interior, drift)
    shine = flat_light(u, v, relative, interior, tiles, holes)
    if pose.roundness > 0:
        shine = shine * F(1 - pose.roundness) + F(pose.roundness) * round_light(
            u, v, relative, pose.roundness, interior, tiles
        )
    np.copyto(light, shine * F(interior.brightness), where=nearer)
    # cells are thin where they meet
    light *= F(1) - F(0.5) * np.exp(-np.square(junction * F(14)))


def _image(rng: np.random.Generator, light: Floats) -> NDArray[np.uint16]:
    """Optics and camera: blur, haze, uneven field, floating debris, bleaching, noise."""
    frames, height, width = light.shape
    focus = 0.95 + 0.2 * np.abs(wander(rng, (frames,), 0.15, 0.6))
    sharp = np.stack([blur(light[t : t + 1], min(float(focus[t]), 1.6))[0] for t in range(frames)])
    sharp += F(0.1) * blur(light, 0.045 * width)
    ground = F(0.05) + F(0.006) * smooth_field(rng, (height, width), 0.3 * width)
    sharp += ground
    sharp += _debris(rng, light.shape)
    bleach = np.exp(-np.arange(frames) / 85.0) * np.exp(rng.normal(0, 0.012, frames))
    sharp *= bleach.astype(F)[:, None, None]
    sharp *= vignette((height, width), (0.55, 0.45), 0.6)
    return expose(rng, sharp, photons=420, gain=5, read_noise=6)


def _debris(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Small bright specks that float by, out of focus and unlabelled."""
    specks = np.zeros(shape, F)
    count = max(1, round(6 * shape[1] * shape[2] / 256**2))
    start = rng.uniform(0, 1, (count, 2)) * shape[1:]
    paths = start + wander(rng, (shape[0], count, 2), 1.5, 0.9)
    strength = rng.uniform(2, 9, count)
    for frame in range(shape[0]):
        for (y, x), light in zip(np.round(paths[frame]).astype(int), strength, strict=True):
            if 0 <= y < shape[1] and 0 <= x < shape[2]:
                specks[frame, y, x] = light
    return np.asarray(ndimage.gaussian_filter(specks, (0, 1.6, 1.6), truncate=3), F)


def _renumber(
    labels: NDArray[np.uint16], parents: tuple[tuple[int, int], ...]
) -> tuple[NDArray[np.uint16], tuple[tuple[int, int], ...]]:
    """Drop slivers at the border; number the visible cells from 1, and pair them."""
    for plane in labels:
        areas = np.bincount(plane.ravel())
        plane[areas[plane] < SMALLEST_AREA] = 0
    seen = np.unique(labels)
    seen = seen[seen > 0]
    table = np.zeros(int(labels.max()) + 1, np.uint16)
    table[seen] = np.arange(1, len(seen) + 1)
    known = set(seen.tolist())
    pairs = [(int(table[c]), int(table[p])) for c, p in parents if c in known and p in known]
    return table[labels], tuple(sorted(pairs))
