"""Smooth random fields, made on a small grid and enlarged by spline matrices."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@lru_cache(maxsize=256)
def spline_matrix(size: int, knots: int) -> Floats:
    """Cubic B-spline weights that spread ``knots`` periodic values over ``size`` pixels.

    Parameters
    ----------
    size, knots : int
        Number of pixels and of control values, both at least 1.

    Returns
    -------
    ndarray of float32, shape (size, knots)
        Read-only; every row sums to 1.
    """
    position = np.arange(size, dtype=np.float64) * (knots / size)
    base = np.floor(position).astype(np.intp)
    t = position - base
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    matrix = np.zeros((size, knots), np.float32)
    rows = np.arange(size)
    for offset, weight in enumerate(weights):
        np.add.at(matrix, (rows, (base + offset - 1) % knots), weight.astype(np.float32))
    matrix.setflags(write=False)
    return matrix


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, int], grain: float, frames: int = 1
) -> Floats:
    """Periodic smooth noise of standard deviation about 1, evolving gently from frame to frame.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    shape : (int, int)
        Pixels (Y, X).
    grain : float
        Distance between control values in pixels: the size of the blobs.
    frames : int
        Number of frames; successive frames are about 0.97 correlated.

    Returns
    -------
    ndarray of float32, shape (frames, Y, X)
    """
    knots = [max(2, round(length / grain)) for length in shape]
    noise = rng.standard_normal((min(frames, 2), *knots), dtype=np.float32)
    rows, columns = (spline_matrix(n, k) for n, k in zip(shape, knots, strict=True))
    # A cubic B-spline keeps about (0.48)^2 of the variance of its control values, per axis.
    basis = (rows @ noise @ columns.T) * np.float32(2.09)
    if frames == 1:
        return np.asarray(basis)
    turn = np.arange(frames, dtype=np.float32) * rng.uniform(0.02, 0.25)
    first, second = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    field: Floats = first * basis[0] + second * basis[1]
    return field


def texture_tile(rng: np.random.Generator, size: int, grain: float, kind: str) -> Floats:
    """Return a periodic texture with mean about 0 and standard deviation about 1.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    size : int
        Pixels along each side.
    grain : float
        Size of the finest structures in pixels.
    kind : {"soft", "octaves", "ridges", "spots"}
        Smooth blobs, blobs of several sizes, bright strands, or sparse bright grains.

    Returns
    -------
    ndarray of float32, shape (size, size)
    """
    shape = (size, size)
    fine: Floats = smooth_field(rng, shape, grain)[0]
    if kind == "soft":
        return fine
    coarse: Floats = smooth_field(rng, shape, 2.6 * grain)[0]
    texture: Floats
    if kind == "octaves":
        texture = (fine + coarse) * np.float32(0.707)
    elif kind == "ridges":
        texture = (np.float32(0.7) - np.abs(fine + np.float32(0.5) * coarse)) * np.float32(1.5)
    else:
        spots = np.maximum(fine + np.float32(0.3) * coarse - np.float32(1.1), 0)
        texture = (spots - np.float32(0.09)) * np.float32(4.0)
    return texture


def wander(
    rng: np.random.Generator, shape: tuple[int, ...], step: float, persistence: float = 0.8
) -> NDArray[np.float64]:
    """Draw persistent random walks along the first axis, starting at 0.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    shape : tuple of int
        (frames, ...): one walk per trailing element.
    step : float
        Typical change from one frame to the next.
    persistence : float
        Correlation of successive steps, 0 to 1.

    Returns
    -------
    ndarray of float64, shape ``shape``
    """
    steps = rng.standard_normal(shape) * step
    fresh = float(np.sqrt(1 - persistence**2))
    for frame in range(1, shape[0]):
        steps[frame] = persistence * steps[frame - 1] + fresh * steps[frame]
    walk = np.cumsum(steps, axis=0)
    return np.asarray(walk - walk[:1])


def smooth_volume(
    rng: np.random.Generator, shape: tuple[int, int, int], grain: tuple[float, float, float]
) -> Floats:
    """Periodic smooth noise in three dimensions, standard deviation about 1.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    shape : (int, int, int)
        Voxels (Z, Y, X).
    grain : (float, float, float)
        Distance between control values along each axis, in voxels.

    Returns
    -------
    ndarray of float32, shape ``shape``
    """
    knots = [max(2, round(n / g)) for n, g in zip(shape, grain, strict=True)]
    noise = rng.standard_normal(knots, dtype=np.float32) * np.float32(3.02)
    depth, rows, columns = (spline_matrix(n, k) for n, k in zip(shape, knots, strict=True))
    flat = (depth @ noise.reshape(knots[0], -1)).reshape(shape[0], knots[1], knots[2])
    volume: Floats = rows @ flat @ columns.T
    return volume
