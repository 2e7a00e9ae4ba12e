"""Random stacks: shapes with a thickness, seen slice by slice through an axial blur.

In a z-stack an object does not vanish at once: it grows smaller towards its poles, its haze stays
for a while, and what lies below it comes into view. `bundled_model.shapes` moves flat shapes; here
each has a middle and a height of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from scipy import ndimage

from bundled_model.shapes import (
    ARRANGEMENTS,
    Field,
    Labels,
    Paint,
    WindowCourse,
    camera,
    log_uniform,
)

_MARGIN = 1.25  # side of the canvas over that of the clip
_BLUR = ((-1.5, 0.12), (-0.75, 0.23), (0.0, 0.3), (0.75, 0.23), (1.5, 0.12))
"""Offsets of an axial Gaussian in its deviations, and their weights."""


class _Layer(NamedTuple):
    """Bodies that do not overlap: ids and half their height at each pixel, middles by id."""

    labels: Labels
    height: Field
    middles: Field

    def depth(self, z: float) -> Field:
        """Return how far inside its body each pixel is at z; below 0 outside."""
        within: Field = self.height - np.abs(z - self.middles[self.labels])
        return np.where(self.labels > 0, within, -1.0).astype(np.float32)


def random_stack(rng: np.random.Generator, n_frames: int, size: int) -> tuple[Field, Labels]:
    """Make slices of one stack of bodies.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_frames : int
    size : int
        Side of the slices in pixels.

    Returns
    -------
    image : ndarray of float32, shape (n_frames, size, size)
        Grey values in 0..1.
    labels : ndarray of int32, shape (n_frames, size, size)
    """
    side = int(size * _MARGIN)
    typical = log_uniform(rng, 1.0, 8.0)  # half height of a body, in slices
    layers = [_layer(rng, side, typical, 0.6 * typical, 0)]
    if rng.random() < 0.6:
        first = int(layers[0].labels.max())
        layers.append(_layer(rng, side, typical, 3.0 * typical, first))
    paint = Paint(side, max(int(layer.labels.max()) for layer in layers), rng)
    axial = rng.choice((0.0, log_uniform(rng, 0.3, 2.5)))
    lateral = rng.uniform(0.0, 3.0)
    course = WindowCourse(side, size, rng, fastest=0.4)
    frames, ids = [], []
    for z in range(n_frames):
        maps = course.step()
        now = _slice(layers, z).astype(np.float32)
        ids.append(cv2.remap(now, *maps, cv2.INTER_NEAREST).astype(np.int32))
        seen = _seen(layers, z, paint, axial, lateral)
        frames.append(cv2.remap(seen, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    return camera(np.stack(frames), rng), np.stack(ids)


def _layer(
    rng: np.random.Generator, side: int, typical: float, spread: float, first: int
) -> _Layer:
    """Give the shapes of one arrangement a thickness; ids go on from `first`."""
    labels = np.zeros((side, side), np.int32)
    while not labels.any():
        labels = ARRANGEMENTS[rng.integers(len(ARRANGEMENTS))](rng, side)
    count = int(labels.max())
    border = np.zeros(labels.shape, np.uint8)
    border[1:] |= labels[1:] != labels[:-1]
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    inside = cv2.distanceTransform(1 - border, cv2.DIST_L2, 3)
    most = np.asarray(ndimage.maximum(inside, labels, np.arange(count + 1)), np.float32)
    share = np.clip(inside / np.maximum(most[labels], 1.0), 0.0, 1.0)
    profile = (np.sqrt(1.0 - (1.0 - share) ** 2), share, np.ones_like(share))[rng.integers(3)]
    half = typical * np.exp(rng.normal(0.0, 0.4, count + 1)).astype(np.float32)
    middles = rng.normal(0.0, spread, count + 1).astype(np.float32)
    numbered = np.where(labels > 0, labels + first, 0).astype(np.int32)
    ahead = np.zeros(first, np.float32)
    return _Layer(
        numbered,
        (half[labels] * profile).astype(np.float32),
        np.concatenate((middles[:1], ahead, middles[1:])),
    )


def _slice(layers: list[_Layer], z: float) -> Labels:
    """Return the ids at z; where bodies overlap, the one that is deeper in wins."""
    labels, deepest = np.zeros_like(layers[0].labels), np.zeros(layers[0].labels.shape, np.float32)
    for layer in layers:
        depth = layer.depth(z)
        wins = depth > deepest
        labels[wins], deepest[wins] = layer.labels[wins], depth[wins]
    return labels


def _seen(layers: list[_Layer], z: float, paint: Paint, axial: float, lateral: float) -> Field:
    """Return the slice at z as a microscope sees it: what lies above and below shines through."""
    if axial == 0.0:
        return paint.image(_slice(layers, z))
    out = np.zeros(layers[0].labels.shape, np.float32)
    for offset, weight in _BLUR:
        image = paint.image(_slice(layers, z + axial * offset))
        width = lateral * abs(offset)
        out += weight * (cv2.GaussianBlur(image, (0, 0), width) if width > 0.3 else image)
    return out
