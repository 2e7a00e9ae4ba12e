"""The camera: photons to counts, with noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.fields import Floats


def expose(
    rng: np.random.Generator,
    light: Floats,
    *,
    photons: float,
    gain: float = 6.0,
    offset: float = 100.0,
    read_noise: float = 3.0,
) -> NDArray[np.uint16]:
    """Record light with a scientific camera or photomultiplier.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    light : ndarray of float32
        Relative light, 0 and up; 1 is a well-lit structure.
    photons : float
        Photons detected where ``light`` is 1: the shot noise is Poisson.
    gain : float
        Counts per photon.
    offset : float
        Counts in the dark.
    read_noise : float
        Standard deviation of the electronics' Gaussian noise, in counts.

    Returns
    -------
    ndarray of uint16
        Counts, clipped at 65535.
    """
    caught = rng.poisson(np.maximum(light, 0) * np.float32(photons)).astype(np.float32)
    caught *= np.float32(gain)
    caught += rng.standard_normal(light.shape, dtype=np.float32) * np.float32(read_noise)
    caught += np.float32(offset + 0.5)
    return np.clip(caught, 0, 65535).astype(np.uint16)


def vignette(shape: tuple[int, int], centre: tuple[float, float], strength: float) -> Floats:
    """Illumination of a field (Y, X): 1 at ``centre`` (fractions), less by ``strength`` at 1."""
    y = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    x = np.linspace(0, 1, shape[1], dtype=np.float32)[None, :] - np.float32(centre[1])
    field: Floats = 1 - np.float32(strength) * (y * y + x * x)
    return field
