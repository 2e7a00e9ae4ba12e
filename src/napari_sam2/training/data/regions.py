"""Regions of any image as objects, enclosed by its own borders, at a random scale.

Labels made of superpixels teach a network to find the region around a click without knowing
what it is (ScribblePrompt, arXiv 2312.07381; nnInteractive, arXiv 2503.08373).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import felzenszwalb, watershed

_LEAST_AREA = 20
_LEAST_FILLING = 0.15  # area over the square of the longer side: no threads and no scattered rims
_LEVELS = (2, 5)
_RIM = 3  # pixels around a region that it is compared with
_LEAST_CONTRAST = 0.4  # difference of the means, in standard deviations of both together


def random_regions(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int32]:
    """Divide an image into regions of a random kind and scale.

    Parameters
    ----------
    image : ndarray of float32, shape (Y, X)
        Grey values in 0..1.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int32, shape (Y, X)
        Ids from 1; 0 where a region is too small or too thin to be an object.
    """
    kind = rng.random()
    if kind < 0.4:
        found = _by_graph(image, rng)
    elif kind < 0.7:
        found = _by_levels(image, rng)
    else:
        found = _by_basins(image, rng)
    return _distinct(_compact(found), image)


def _by_graph(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.integer]:
    """Merge pixels that differ less than the pixels within a region do (Felzenszwalb, 2004)."""
    regions = felzenszwalb(
        image,
        scale=_log_uniform(rng, 5, 1000),
        sigma=float(rng.uniform(0.3, 2.0)),
        min_size=int(_log_uniform(rng, 20, 400)),
    )
    return np.asarray(regions + 1)


def _by_levels(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.integer]:
    """Cut the smoothed image at quantiles; every connected part of a level is a region."""
    smooth = ndimage.gaussian_filter(image, _log_uniform(rng, 0.7, 6.0))
    if rng.random() < 0.5:
        smooth = smooth - ndimage.gaussian_filter(image, _log_uniform(rng, 8.0, 40.0))
    cuts = np.quantile(smooth, np.sort(rng.uniform(0.05, 0.95, int(rng.integers(*_LEVELS)))))
    levels = np.searchsorted(cuts, smooth)
    out = np.zeros(image.shape, np.int64)
    for level in np.unique(levels):
        parts, _ = ndimage.label(levels == level)
        out[parts > 0] = parts[parts > 0] + out.max()
    return out


def _by_basins(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.integer]:
    """Flood the gradient, or the grey values themselves, from their minima."""
    sigma = _log_uniform(rng, 1.0, 5.0)
    if rng.random() < 0.5:
        height = ndimage.gaussian_gradient_magnitude(image, sigma)
    else:
        height = ndimage.gaussian_filter(image, sigma) * rng.choice((-1.0, 1.0))
    side = int(_log_uniform(rng, 5, 41)) | 1
    minima = height == ndimage.minimum_filter(height, side)
    seeds, _ = ndimage.label(minima)
    return np.asarray(watershed(height, seeds))


def _compact(regions: NDArray[np.integer]) -> NDArray[np.int32]:
    out = regions.astype(np.int32)
    counts = np.bincount(out.ravel())
    for index, box in enumerate(ndimage.find_objects(out), start=1):
        if box is None:
            continue
        side = max(axis.stop - axis.start for axis in box)
        if counts[index] < max(_LEAST_AREA, _LEAST_FILLING * side**2):
            inside = out[box]
            inside[inside == index] = 0
    return out


def _distinct(regions: NDArray[np.int32], image: NDArray[np.float32]) -> NDArray[np.int32]:
    """Drop regions that no border separates from their surroundings."""
    out = regions.copy()
    height, width = image.shape
    for index, box in enumerate(ndimage.find_objects(regions), start=1):
        if box is None:
            continue
        wider = tuple(
            slice(max(0, axis.start - _RIM), min(n, axis.stop + _RIM))
            for axis, n in zip(box, (height, width), strict=True)
        )
        inside, pixels = regions[wider] == index, image[wider]
        rim = ndimage.binary_dilation(inside, iterations=_RIM) & ~inside
        spread = pixels[inside | rim].std() + 1e-6
        enclosed = rim.any() and (
            abs(pixels[inside].mean() - pixels[rim].mean()) >= _LEAST_CONTRAST * spread
        )
        if not enclosed:
            out[wider][inside] = 0
    return out


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))
