"""Candidates from a grid of points: the automatic masks of SAM (arXiv 2304.02643, section 5).

Every point of the grid is a click. Masks are kept if their predicted IoU is high and if they hardly
change with their threshold. Of masks with nearly the same box, the best is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.detection.candidate import Candidate, DetectionSettings
from napari_sam2.detection.tiles import Tiles
from napari_sam2.network import OBJECT, ImageFeatures, Sam2
from napari_sam2.network.image_encoder import normalise

_TILE_SPACING = 8  # pixels of the input between points in a tile


class _Found(NamedTuple):
    """Point, predicted IoU and box of each mask of the grid that was kept."""

    points: NDArray[np.float64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64]


class _Sides(NamedTuple):
    """Whether a tile has a neighbour on each side; without one, the frame ends there."""

    top: bool
    bottom: bool
    left: bool
    right: bool


_NO_NEIGHBOURS = _Sides(False, False, False, False)


def grid_candidates(
    network: Sam2,
    pixels: NDArray[np.float32],
    image_size: int,
    device: torch.device,
    settings: DetectionSettings,
    follows: bool,
    advance: Callable[[float], None],
) -> list[Candidate]:
    """Find candidates by a click on every point of a grid.

    Parameters
    ----------
    network : Sam2
    pixels : ndarray of float32, shape (Y, X, C)
    image_size : int
        Side of the network's input.
    device : torch.device
    settings : DetectionSettings
    follows : bool
        True if the network sees windows: the grid then lies in tiles at the scale of the frame and
        coarser ones. Otherwise it lies in the whole frame, resized to the input.
    advance : callable
        Called with the share of the work that is done, in 0..1; may raise to end the search.

    Returns
    -------
    list of Candidate
        The best first.
    """
    parts: list[_Found] = []
    if not follows:
        parts.append(_whole_frame(network, pixels, image_size, device, settings, advance))
    else:
        scales = [1.0]
        while max(pixels.shape[:2]) * scales[-1] > 1.5 * image_size:
            scales.append(scales[-1] / 2)
        for number, scale in enumerate(scales):
            tiles = Tiles(pixels, scale, image_size, image_size // 3, device)
            parts.append(_tiled(network, tiles, settings))
            advance((number + 1) / len(scales))
    found = _Found(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    kept = without_duplicates(found.boxes, found.scores, settings.max_box_iou)
    last = np.array(pixels.shape[:2]) - 1.0
    candidates = []
    for i in kept:
        y, x = np.clip(found.points[i], 0, last).tolist()
        extent = float(max(found.boxes[i, 2:] - found.boxes[i, :2]))
        candidates.append(Candidate(y, x, float(found.scores[i]), extent))
    return candidates


def without_duplicates(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], largest: float
) -> list[int]:
    """Return indices of boxes, the best first; no two of them have an IoU above `largest`.

    Parameters
    ----------
    boxes : ndarray, shape (N, 4)
        y0, x0, y1, x1.
    scores : ndarray, shape (N,)
    largest : float
        Largest IoU of two boxes that are both kept.
    """
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while len(waiting):
        first, rest = int(waiting[0]), waiting[1:]
        kept.append(first)
        low = np.maximum(boxes[first, :2], boxes[rest, :2])
        high = np.minimum(boxes[first, 2:], boxes[rest, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        union = area[first] + area[rest] - shared
        waiting = rest[shared <= largest * np.maximum(union, 1e-9)]
    return kept


def _whole_frame(
    network: Sam2,
    pixels: NDArray[np.float32],
    size: int,
    device: torch.device,
    settings: DetectionSettings,
    advance: Callable[[float], None],
) -> _Found:
    image = torch.from_numpy(pixels.astype(np.float32, copy=True)).permute(2, 0, 1)[None]
    image = torch.nn.functional.interpolate(
        image.to(device), size=(size, size), mode="bicubic", antialias=True
    )
    features = network.encode_image(normalise(image.clamp(0, 1)))
    middles = (np.arange(settings.points_per_side) + 0.5) / settings.points_per_side * size - 0.5
    points = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
    scale = np.array(pixels.shape[:2]) / size
    return _decoded(network, features, points, scale, (0, 0), _NO_NEIGHBOURS, settings, advance)


def _tiled(network: Sam2, tiles: Tiles, settings: DetectionSettings) -> _Found:
    """Decode the grid in every tile, without masks that the border to a neighbour cuts off.

    The neighbour finds these. Masks that the end of the frame cuts off are kept.
    """
    middles = np.arange(_TILE_SPACING // 2, tiles.side, _TILE_SPACING) - 0.5
    points = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
    scale = np.full(2, 1 / tiles.scale)
    parts = []
    for corners, images in tiles.batches(1):
        features = network.encode_image(images)
        (top, left), (rows, columns) = corners[0], tiles.shape
        neighbours = _Sides(top > 0, top + tiles.side < rows, left > 0, left + tiles.side < columns)
        found = _decoded(
            network,
            features,
            points,
            scale,
            (top, left),
            neighbours,
            settings,
            _no_report,
        )
        parts.append(found)
    return _Found(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _no_report(done: float) -> None:
    """Report nothing: a tile is done in a moment."""


def _decoded(
    network: Sam2,
    features: ImageFeatures,
    points: NDArray[np.float64],
    scale: NDArray[np.float64],
    corner: tuple[int, int],
    neighbours: _Sides,
    settings: DetectionSettings,
    advance: Callable[[float], None],
) -> _Found:
    """Decode points (y, x) of one input, keep good masks, and return them in the frame's pixels."""
    conditioned = network.without_memory(features.stride16)
    kept_points, kept_scores, kept_boxes = [], [], []
    for start in range(0, len(points), settings.points_per_batch):
        batch = points[start : start + settings.points_per_batch]
        clicks = torch.from_numpy(batch[:, None, ::-1].astype(np.float32)).to(conditioned.device)
        prediction = network.predict_masks(
            conditioned.expand(len(batch), -1, -1, -1),
            features.stride8,
            features.stride4,
            features.finer,
            points=clicks,
            point_labels=torch.full((len(batch), 1), OBJECT, device=conditioned.device),
            multimask=True,
        )
        best = prediction.best()
        masks, ious = best.masks[:, 0].float(), best.ious[:, 0].float()
        good = (ious >= settings.min_iou) & (
            _stability(masks, settings.stability_offset) >= settings.min_stability
        )
        if network.config.object_windows:
            good &= best.object_scores[:, 0] > 0
            good &= ~_cut_off(masks, neighbours)
        rows = torch.nonzero(good)[:, 0].tolist()
        for row in rows:
            inside = (masks[row] > 0).cpu().numpy()
            ys, xs = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
            if len(ys):
                kept_points.append(batch[row])
                kept_scores.append(float(ious[row]))
                kept_boxes.append((ys[0], xs[0], ys[-1] + 1, xs[-1] + 1))
        advance(min(1.0, (start + len(batch)) / len(points)))
    stride = network.config.mask_stride
    at = (np.array(kept_points).reshape(-1, 2) + 0.5 + np.array(corner)) * scale - 0.5
    boxes = np.array(kept_boxes, np.float64).reshape(-1, 4) * stride + np.tile(corner, 2)
    return _Found(at, np.array(kept_scores, np.float64), boxes * np.tile(scale, 2))


def _stability(masks: Tensor, offset: float) -> Tensor:
    """Return the IoU of each mask (N, h, w), cut above and below its threshold."""
    high = (masks > offset).sum(dim=(1, 2))
    low = (masks > -offset).sum(dim=(1, 2))
    return high / low.clamp(min=1)


def _cut_off(masks: Tensor, neighbours: _Sides) -> Tensor:
    """Return which masks (N, h, w) reach a side of their tile that has a neighbour."""
    inside = masks > 0
    ends = inside[:, 0], inside[:, -1], inside[:, :, 0], inside[:, :, -1]
    cut = torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
    for end, goes_on in zip(ends, neighbours, strict=True):
        if goes_on:
            cut |= end.any(dim=1)
    return cut
