"""A confocal z-stack of stained nuclei at the edge of a spheroid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import StackError
from napari_sam2.samples.fields import Floats, smooth_volume, spline_matrix
from napari_sam2.samples.sensor import expose, vignette
from napari_sam2.samples.stack import SampleStack

F = np.float32
SPACING = (0.5, 0.2, 0.2)
RADIUS = 4.2
PLATE = np.array([1.7, 4.2, 3.6])


@dataclass(frozen=True, slots=True, eq=False)
class _Nucleus:
    """``centre`` and half ``axes`` in micrometres; ``turn`` rows are the axes' directions."""

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    turn: NDArray[np.float64]
    brightness: float
    dividing: bool


def nuclei_stack(seed: int = 0, shape: tuple[int, int, int] = (40, 256, 256)) -> SampleStack:
    """Make a z-stack of touching nuclei as a confocal microscope shows them.

    Flattened ellipsoids with chromatin, nucleoli and bright envelopes, a few in mitosis; blur
    longer in z than in the plane, haze, light lost with depth, uneven field, shot and read noise.
    Nuclei at the first and last slices are cut, as in real stacks.

    Parameters
    ----------
    seed : int
        The same seed gives the same stack.
    shape : (int, int, int)
        Voxels (Z, Y, X) of 0.5 x 0.2 x 0.2 micrometres, at least 4 x 32 x 32.

    Returns
    -------
    SampleStack
        uint16 image and labels, axes ``"ZYX"``.

    Raises
    ------
    StackError
        If the shape is too small.
    """
    if shape[0] < 4 or min(shape[1:]) < 32:
        raise StackError(
            f"A nuclei stack of shape {shape} is too small.", remedy="Ask for 4 x 32 x 32 or more."
        )
    rng = np.random.default_rng(seed)
    nuclei = _arrange(rng, np.array(shape) * SPACING)
    labels, light = _draw(rng, nuclei, shape)
    image = _image(rng, light)
    return SampleStack(image, labels, "ZYX", SPACING, "Nuclei (z-stack)")


def _arrange(rng: np.random.Generator, extent: NDArray[np.float64]) -> list[_Nucleus]:
    """Pack nuclei into a ball whose rim crosses the field: push apart, pull in, repeat."""
    centre = extent * (0.45, 0.56, 0.46)
    ball = extent * (0.85, 0.53, 0.53)
    count = max(3, round(0.40 * float(np.prod(extent)) / (4.19 * RADIUS**3)))
    places = centre + rng.uniform(-0.8, 0.8, (count, 3)) * ball
    radii = RADIUS * np.exp(rng.normal(0, 0.09, count))
    reach = 0.93 * (radii[:, None] + radii[None, :])
    for _ in range(60):
        apart = places[:, None] - places[None, :]
        distance = np.sqrt((apart**2).sum(-1)) + np.eye(count) * 1e3
        push = np.clip(reach - distance, 0, None) / distance
        places += 0.35 * (push[..., None] * apart).sum(1)
        outward = (places - centre) / ball
        length = np.sqrt((outward**2).sum(1))
        places -= 0.5 * np.clip(length - 0.95, 0, None)[:, None] * (places - centre)
    return [_shape(rng, places[i], float(radii[i]), i % 29 == 12) for i in range(count)]


def _shape(
    rng: np.random.Generator, centre: NDArray[np.float64], radius: float, dividing: bool
) -> _Nucleus:
    if dividing:
        axes = PLATE * rng.uniform(0.9, 1.05)
    else:
        ratio = np.exp(rng.normal((-0.08, 0.0, 0.06), (0.06, 0.1, 0.1)))
        axes = radius * ratio / np.cbrt(ratio.prod())
    spin, tilt = rng.uniform(0, np.pi), rng.normal(0, 0.25) + (0.5 * np.pi if dividing else 0)
    around_z = np.array(
        [[1, 0, 0], [0, np.cos(spin), np.sin(spin)], [0, -np.sin(spin), np.cos(spin)]]
    )
    around_y = np.array(
        [[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]]
    )
    content = 1.0 if rng.random() < 0.6 else 1.45
    brightness = content * float(np.exp(rng.normal(0, 0.16)))
    return _Nucleus(centre, axes, around_y @ around_z, brightness, dividing)


def _draw(
    rng: np.random.Generator, nuclei: list[_Nucleus], shape: tuple[int, int, int]
) -> tuple[NDArray[np.uint16], Floats]:
    """Exact labels and the light that the stain gives off, before any optics."""
    grid = _bent_grid(rng, shape)
    labels = np.zeros(shape, np.uint16)
    depth = np.full(shape, 9, F)
    stain = np.zeros(shape, F)
    chromatin = smooth_volume(rng, shape, (1.6, 3.4, 3.4)) * F(0.62)
    chromatin += smooth_volume(rng, shape, (3.5, 8.5, 8.5)) * F(0.55)
    for number, nucleus in enumerate(nuclei, start=1):
        box = _box(nucleus, shape)
        if any(part.start >= part.stop for part in box):
            continue
        inner = [axis[box] - F(c) for axis, c in zip(grid, nucleus.centre, strict=True)]
        f = np.zeros(inner[0].shape, F)
        for direction, half in zip(nucleus.turn, nucleus.axes, strict=True):
            along = sum(F(d / half) * axis for d, axis in zip(direction, inner, strict=True))
            f += np.square(along)
        nearer = f < np.minimum(depth[box], 1)
        np.copyto(depth[box], f, where=nearer)
        np.copyto(labels[box], np.uint16(number), where=nearer)
        np.copyto(stain[box], _stain(rng, nucleus, f, inner, chromatin[box]), where=nearer)
    return _without_specks(labels), stain


def _bent_grid(rng: np.random.Generator, shape: tuple[int, int, int]) -> list[Floats]:
    """Voxel coordinates in micrometres, bent a little: no nucleus is a perfect ellipsoid."""
    grid = []
    for axis, (length, step) in enumerate(zip(shape, SPACING, strict=True)):
        line = np.arange(length, dtype=F) * F(step)
        bent = smooth_volume(rng, shape, (7, 17, 17)) * F(0.24)
        bent += smooth_volume(rng, shape, (14, 40, 40)) * F(0.5)
        bent += line.reshape([-1 if axis == i else 1 for i in range(3)])
        grid.append(bent)
    return grid


def _box(nucleus: _Nucleus, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    reach = np.sqrt(((nucleus.turn * nucleus.axes[:, None]) ** 2).sum(0)) * 1.05 + 1.8
    low = np.floor((nucleus.centre - reach) / SPACING).astype(int)
    high = np.ceil((nucleus.centre + reach) / SPACING).astype(int) + 1
    limits = zip(low, high, shape, strict=True)
    start_stop = [(max(0, int(a)), min(n, int(b))) for a, b, n in limits]
    return slice(*start_stop[0]), slice(*start_stop[1]), slice(*start_stop[2])


def _stain(
    rng: np.random.Generator,
    nucleus: _Nucleus,
    f: Floats,
    inner: list[Floats],
    chromatin: Floats,
) -> Floats:
    """Stain within one nucleus: chromatin, envelope, dark nucleoli, bright foci."""
    light: Floats
    if nucleus.dividing:
        light = F(1.55) + F(0.3) * chromatin
        return light * F(nucleus.brightness)
    light = F(0.78) + F(0.2) * chromatin
    light += F(0.22) * np.exp(-np.square((f - F(0.9)) * F(9)))
    for kind, count in (("nucleolus", rng.integers(2, 5)), ("focus", rng.integers(4, 9))):
        for _ in range(count):
            toward = rng.normal(0, 1, 3)
            spot = toward / np.linalg.norm(toward) * rng.uniform(0.15, 0.72) * nucleus.axes.min()
            size = rng.uniform(0.7, 1.2) if kind == "nucleolus" else rng.uniform(0.25, 0.42)
            near = sum(np.square(a - F(s)) for a, s in zip(inner, spot, strict=True))
            dot = np.exp(-np.square(near / F(size**2)))
            if kind == "nucleolus":
                light *= F(1) - F(0.62) * dot
            else:
                light += F(rng.uniform(0.25, 0.6)) * dot
    return np.maximum(light, F(0.12)) * F(nucleus.brightness)


def _without_specks(labels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Renumber from 1 without objects of fewer than 60 voxels: slivers at the stack's faces."""
    sizes = np.bincount(labels.ravel())
    keep = sizes >= 60
    keep[0] = False
    table = np.where(keep, np.cumsum(keep), 0).astype(np.uint16)
    return np.asarray(table[labels])


def _image(rng: np.random.Generator, stain: Floats) -> NDArray[np.uint16]:
    """Optics and camera: point spread, haze, loss with depth, uneven field, noise."""
    shape = stain.shape
    sharp = ndimage.gaussian_filter(stain, (1.3, 0.95, 0.95), truncate=3)
    light: Floats = sharp + F(0.22) * _haze(stain)
    light += F(0.035) + F(0.006) * smooth_volume(rng, shape, (12, 60, 60))
    light *= np.exp(-np.arange(shape[0], dtype=F) / F(55))[:, None, None]
    light *= vignette(shape[1:], (0.42, 0.55), 0.75)
    return expose(rng, light, photons=70, gain=18, read_noise=9)


def _haze(stain: Floats) -> Floats:
    """Out-of-focus light: a very wide blur, made on a small grid."""
    spreads = [
        spline_matrix(n, max(3, round(n / g))) for n, g in zip(stain.shape, (4, 9, 9), strict=True)
    ]
    small = stain
    for axis, spread in enumerate(spreads):
        small = np.moveaxis(np.tensordot((spread / spread.sum(0)).T, small, (1, axis)), 0, axis)
    for axis, spread in enumerate(spreads):
        small = np.moveaxis(np.tensordot(spread, small, (1, axis)), 0, axis)
    return np.asarray(small, F)
