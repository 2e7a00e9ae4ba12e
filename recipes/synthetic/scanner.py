"""CT and MR images of tissue: coarse voxels, bias field, Rician or Gaussian noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sam2.samples.blurs import blur, coarsen
from napari_sam2.samples.fields import Floats, smooth_field
from synthetic.camera import stretch

F = np.float32


def scan(rng: np.random.Generator, image: Floats, invertible: bool) -> NDArray[np.uint8]:
    """Record a clip as some scanner would.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    image : ndarray of float32, shape (T, Y, X)
        Tissue's grey, about 0 to 1.
    invertible : bool
        Whether grey values may be inverted.

    Returns
    -------
    ndarray of uint8, shape (T, Y, X)
        One contrast for all slices.

    References
    ----------
    Gudbjartsson, Patz, Magnetic Resonance in Medicine 34 (1995) 910: Rician noise.
    """
    image = blur(image, rng.uniform(0.5, 1.6))
    voxel = float(rng.uniform(1.3, 5.0)) if rng.random() < 0.6 else 1.0
    noise = F(np.exp(rng.uniform(-4.6, -2.3)) * voxel)
    if rng.random() < 0.65:
        _bias(rng, image)
        real = image + noise * rng.standard_normal(image.shape, dtype=F)
        image = np.hypot(real, noise * rng.standard_normal(image.shape, dtype=F))
    else:
        image = image + noise * rng.standard_normal(image.shape, dtype=F)
    if voxel > 1:
        image = coarsen(image, voxel)
    stretch(image, float(rng.uniform(-0.08, 0.1)))
    np.clip(image, 0, 1, out=image)
    if rng.random() < 0.5:
        np.power(image, F(np.exp(rng.normal(0, 0.3))), out=image)
    if invertible and rng.random() < 0.1:
        np.subtract(F(1), image, out=image)
    return (image * F(255) + F(0.5)).astype(np.uint8)


def _bias(rng: np.random.Generator, image: Floats) -> None:
    """Sensitivity of the coils, which varies smoothly; in some scans gain jumps between slices."""
    size = image.shape[-1]
    field = smooth_field(rng, (size, size), rng.uniform(0.4, 0.9) * size, len(image))
    image *= np.exp(F(rng.uniform(0.02, 0.35)) * field)
    if rng.random() < 0.2:
        image *= np.exp(rng.normal(0, 0.05, len(image))).astype(F)[:, None, None]
