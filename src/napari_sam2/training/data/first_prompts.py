"""Simulated prompts: first clicks and boxes from labels, corrective clicks from errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

_AROUND = 7  # pixels of the decoder's masks


@dataclass(frozen=True, slots=True, eq=False)
class FirstPrompts:
    """A click and a box for each of K objects in one frame; coordinates are (x, y) pixels.

    Attributes
    ----------
    object_ids : ndarray of int32, shape (K,)
        Label ids in the frame.
    points : ndarray of float32, shape (K, 2)
        A pixel inside each object.
    boxes : ndarray of float32, shape (K, 4)
        x0, y0, x1, y1 with jitter, kept inside the frame.
    areas : ndarray of float32, shape (K,)
        Pixels of each object, those outside of the frame included as far as they are known.
    """

    object_ids: NDArray[np.int32]
    points: NDArray[np.float32]
    boxes: NDArray[np.float32]
    areas: NDArray[np.float32]


def border_distance(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Distance of every pixel to the nearest other label, at least 0.5.

    The frame's edges are no borders.
    """
    differs = np.zeros(labels.shape, bool)
    vertical = labels[1:] != labels[:-1]
    horizontal = labels[:, 1:] != labels[:, :-1]
    differs[1:] |= vertical
    differs[:-1] |= vertical
    differs[:, 1:] |= horizontal
    differs[:, :-1] |= horizontal
    if not differs.any():
        return np.full(labels.shape, max(labels.shape), np.float32)
    distance = ndimage.distance_transform_edt(~differs)
    return np.asarray(distance + 0.5, dtype=np.float32)


def choose_objects(
    labels: NDArray[np.integer],
    rng: np.random.Generator,
    *,
    most: int,
    min_area: int,
    first: int = 0,
) -> NDArray[np.int32]:
    """Up to `most` ids of at least `min_area` pixels in random order, `first` before all."""
    counts = np.bincount(np.maximum(labels, 0).ravel())  # what is not known is below 0
    counts[0] = 0
    ids = rng.permutation(np.flatnonzero(counts >= min_area))
    return ids[np.argsort(ids != first, kind="stable")][:most].astype(np.int32)


def first_prompts(
    labels: NDArray[np.integer],
    object_ids: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    central: float = 0.5,
    jitter: float = 0.08,
) -> FirstPrompts:
    """Simulate first prompts.

    Parameters
    ----------
    labels : ndarray of integers, shape (Y, X)
        The frame; every id must be in it.
    object_ids : ndarray of int32, shape (K,)
        The objects to prompt.
    rng : numpy.random.Generator
        Source of randomness.
    central : float
        Probability of the most interior pixel; otherwise any, more likely far from the border.
    jitter : float
        Largest standard deviation of each box side relative to the object's size (at most 12
        pixels): some users draw boxes carefully, some do not.
    """
    distance = border_distance(labels)
    height, width = labels.shape
    slices = ndimage.find_objects(labels.astype(np.int32))
    points = np.zeros((len(object_ids), 2), np.float32)
    boxes = np.zeros((len(object_ids), 4), np.float32)
    areas = np.zeros(len(object_ids), np.float32)
    for row, object_id in enumerate(object_ids):
        window = slices[int(object_id) - 1]
        inside = labels[window] == object_id
        areas[row] = inside.sum()
        depth = np.where(inside, distance[window], 0.0).ravel().astype(np.float64)
        if rng.random() < central:
            flat = int(depth.argmax())
        else:
            flat = int(rng.choice(depth.size, p=depth / depth.sum()))
        y, x = divmod(flat, inside.shape[1])
        y0, x0 = window[0].start, window[1].start
        points[row] = (x + x0, y + y0)
        box = np.array([x0, y0, window[1].stop - 1, window[0].stop - 1], np.float64)
        sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
        care = jitter * rng.random()
        box += np.clip(rng.normal(0.0, 1.0, 4) * care * sides, -12.0, 12.0)
        boxes[row] = np.clip(box, 0.0, [width - 1, height - 1] * 2)
    return FirstPrompts(np.asarray(object_ids, np.int32), points, boxes, areas)


def correction_points(
    predicted: torch.Tensor,
    target: torch.Tensor,
    generator: torch.Generator | None = None,
    *,
    central: float = 0.5,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose one corrective click per object, on a wrong pixel.

    People click into the middle of what is wrong, not on a border that is one pixel off: on the
    innermost pixel of the largest wrong region, or on any where pixels count by the square of how
    much is wrong around them.

    Parameters
    ----------
    predicted, target : bool tensor, shape (N, Y, X)
        Without wrong pixels the click is on the object; without an object, anywhere.
    generator : torch.Generator, optional
    central : float
        Probability of the innermost pixel of the largest wrong region.

    Returns
    -------
    points : float tensor, shape (N, 2)
        (x, y) in pixels of the masks.
    labels : int64 tensor, shape (N,)
        1 on missed object, 0 on wrongly covered background.
    """
    n, _, width = target.shape
    wrong = predicted ^ target
    flat_target = target.flatten(1)
    around = functional.avg_pool2d(
        wrong[:, None].to(torch.float32), _AROUND, stride=1, padding=_AROUND // 2
    )[:, 0]
    weights = (wrong * around**2).flatten(1)
    weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, flat_target.to(torch.float32))
    weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, torch.ones_like(weights))
    chosen = torch.multinomial(weights, 1, generator=generator)[:, 0]
    middle = torch.rand(n, generator=generator) < central
    for row in torch.nonzero(middle & wrong.any(dim=2).any(dim=1))[:, 0].tolist():
        chosen[row] = _innermost(predicted[row].numpy(), target[row].numpy())
    labels = flat_target[torch.arange(n, device=chosen.device), chosen].to(torch.int64)
    points = torch.stack([chosen % width, chosen // width], dim=1).to(torch.float32)
    return points, labels


def _innermost(predicted: NDArray[np.bool_], target: NDArray[np.bool_]) -> int:
    """Return the flat index of the innermost pixel of the largest region that is wrong."""
    largest = np.zeros(target.shape, dtype=bool)
    for wrong in (target & ~predicted, predicted & ~target):
        regions, _ = ndimage.label(wrong, structure=np.ones((3, 3)))
        sizes = np.bincount(regions.ravel())
        sizes[0] = 0
        if sizes.max() > largest.sum():
            largest = regions == sizes.argmax()
    return int(ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1].argmax())
