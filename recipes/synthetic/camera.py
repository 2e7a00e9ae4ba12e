"""The recording of images: clutter, focus, shading, noise, scratches, contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.blurs import blur, coarsen
from napari_sam2.samples.fields import Floats, smooth_field

F = np.float32


def photograph(
    rng: np.random.Generator,
    image: Floats,
    invertible: bool,
    noise: float = 1.0,
    dim: float = 0.06,
) -> NDArray[np.uint8]:
    """Take a clip as some camera would.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    image : ndarray of float32, shape (T, Y, X)
        Light, any range; changed in place.
    invertible : bool
        Whether grey values may be inverted.
    noise : float
        Strength of noise; below 1 for transmitted light, of which there is plenty.
    dim : float
        Probability of so little light that single photons are seen.

    Returns
    -------
    ndarray of uint8, shape (T, Y, X)
        One contrast for all frames.
    """
    stretch(image, 0.0)
    image = _soften(rng, image)
    if rng.random() < 0.5:
        _shade(rng, image)
    if rng.random() < 0.08:
        _scratch(rng, image)
    if rng.random() < 0.25:
        image *= np.exp(rng.normal(0, 0.06, len(image))).astype(F)[:, None, None]
    if rng.random() < dim:
        image = _count_photons(rng, image)
    else:
        _add_noise(rng, image, noise)
    kind = rng.random()
    if kind < 0.12:
        image = blur(image, rng.uniform(0.4, 0.9))
    elif kind < 0.22:
        image = coarsen(image, rng.uniform(1.5, 3.5))
    stretch(image, rng.uniform(0, 0.08) if rng.random() < 0.3 else 0.0)
    np.clip(image, 0, 1, out=image)
    if rng.random() < 0.5:
        np.power(image, F(np.exp(rng.normal(0, 0.35))), out=image)
    if invertible and rng.random() < 0.15:
        np.subtract(F(1), image, out=image)
    return (image * F(255) + F(0.5)).astype(np.uint8)


def stretch(image: Floats, margin: float) -> None:
    """Map robust extremes of a clip to 0 and 1, or to ``margin`` from them; changes ``image``."""
    sample = image[:: max(1, len(image) // 4), 1::5, ::5].ravel()
    low, high = np.percentile(sample, [0.3, 99.7])
    span = max(float(high - low), 1e-3)
    image -= F(low - margin * span)
    image *= F(1 / (span * (1 + 2 * margin)))


def _soften(rng: np.random.Generator, image: Floats) -> Floats:
    """Point-spread blur; sometimes the focus wanders from frame to frame."""
    sigma = float(np.clip(np.exp(rng.normal(-0.1, 0.45)), 0.3, 2.8))
    image = blur(image, sigma)
    if len(image) > 1 and rng.random() < 0.2:
        for frame in np.flatnonzero(rng.random(len(image)) < 0.35):
            image[frame] = blur(image[frame : frame + 1], rng.uniform(0.8, 2.5))[0]
    return image


def _shade(rng: np.random.Generator, image: Floats) -> None:
    """Uneven illumination: darker corners and a smooth field."""
    height, width = image.shape[1:]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    centre = rng.uniform(-0.4, 0.4, 2)
    corner = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2).astype(F)
    shade = F(1) - F(rng.uniform(0.05, 0.3)) * corner
    shade += F(rng.uniform(0, 0.08)) * smooth_field(rng, (height, width), 0.5 * width)[0]
    image *= np.maximum(shade, F(0.2))


def _scratch(rng: np.random.Generator, image: Floats) -> None:
    """Draw a straight line across the field, dust, or a stripe of the detector."""
    height, width = image.shape[1:]
    y, x = np.ogrid[:height, :width]
    angle = rng.uniform(0, np.pi)
    across = (y - rng.uniform(0, height)) * np.cos(angle) + (x - rng.uniform(0, width)) * np.sin(
        angle
    )
    line = np.exp(-((across / rng.uniform(0.6, 2.0)) ** 2)).astype(F)
    image += line * F(rng.uniform(-0.6, 0.8))


def _count_photons(rng: np.random.Generator, image: Floats) -> Floats:
    """Record a few photons per pixel."""
    most = F(np.exp(rng.uniform(0.7, 3.0)))
    counts: Floats = rng.poisson(np.clip(image, 0, 2) * most).astype(F)
    return counts


def _add_noise(rng: np.random.Generator, image: Floats, strength: float) -> None:
    """Add shot noise, which grows with the square root of light, and read noise; rarely a lot."""
    dim = rng.random() < 0.08
    read = F(rng.uniform(0.08, 0.25) if dim else np.exp(rng.uniform(-5.5, -2.6)))
    shot = F(np.exp(rng.uniform(-5.0, -1.9)))
    noise = rng.standard_normal(image.shape, dtype=F)
    noise *= F(strength) * np.sqrt(np.maximum(image, 0) * shot**2 + read**2)
    image += noise
