"""Blurs of every frame of a stack: exact for small widths, approximate and fast for large ones."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_sam2.samples.fields import Floats, spline_matrix

F = np.float32


def blur(image: Floats, sigma: float) -> Floats:
    """Gaussian blur of every frame of a (T, Y, X) stack; wide blurs go through a small grid."""
    if sigma < 0.25:
        return image
    if sigma < 3.5:
        return np.asarray(
            ndimage.gaussian_filter(image, (0, sigma, sigma), truncate=2.5, mode="nearest"), F
        )
    return coarsen(image, 1.35 * sigma)


def coarsen(image: Floats, grain: float) -> Floats:
    """Every frame as if recorded with pixels of ``grain`` pixels and enlarged smoothly."""
    rows, columns = (spline_matrix(n, max(4, round(n / grain))) for n in image.shape[1:])
    small = (rows.T / rows.sum(0)[:, None]) @ image @ (columns / columns.sum(0))
    enlarged: Floats = rows @ small @ columns.T
    return enlarged
