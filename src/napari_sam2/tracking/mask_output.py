"""Mask logits of the decoder to clean masks in the frame's own pixels."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_sam2.labels import clean_mask
from napari_sam2.network import upsample_masks
from napari_sam2.tracking.prediction import ABSENT_LOGIT, ObjectPrediction
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.tracking.window import Window


@dataclass(frozen=True, slots=True, eq=False)
class FrameOutput:
    """Masks of N objects in one frame.

    Attributes
    ----------
    disjoint : ndarray of bool, shape (N, Y, X)
        Every pixel belongs to one object at most.
    masks : ndarray of bool, shape (N, Y, X)
        What users get: `disjoint`, or each mask whole where overlaps are allowed.
    logits : ndarray of float32, shape (N, Y, X), or None
    """

    disjoint: NDArray[np.bool_]
    masks: NDArray[np.bool_]
    logits: NDArray[np.float32] | None

    def clicked(self, index: int, points: Sequence[tuple[float, float]]) -> FrameOutput:
        """Keep of one mask only the connected parts that hold one of these points (y, x)."""
        mask = self.masks[index]
        kept = clicked_parts(mask, points)
        if kept is mask:
            return self
        disjoint, masks = self.disjoint.copy(), self.masks.copy()
        disjoint[index] &= kept
        masks[index] = kept
        return FrameOutput(disjoint, masks, self.logits)


def finish_masks(
    predictions: Sequence[ObjectPrediction],
    taken: NDArray[np.bool_],
    settings: TrackingSettings,
    keep_logits: bool,
    pierced: Set[int] = frozenset(),
) -> FrameOutput:
    """Upsample, resolve overlaps by logits, and clean.

    Parameters
    ----------
    predictions : sequence of ObjectPrediction
        Of N objects. Outside their windows they are not.
    taken : ndarray of bool, shape (Y, X)
        Pixels of other objects: these masks do not get them.
    settings : TrackingSettings
    keep_logits : bool
        Also return the upsampled logits.
    pierced : set of int
        Indices of masks whose holes stay open.
    """
    shape = (taken.shape[0], taken.shape[1])
    count = len(predictions)
    best = torch.zeros(shape, device=predictions[0].logits.device)
    owner = torch.zeros(shape, dtype=torch.int32, device=best.device)  # 0: nobody
    whole = np.zeros((count, *shape), dtype=bool) if settings.overlap else None
    kept = np.full((count, *shape), ABSENT_LOGIT, dtype=np.float32) if keep_logits else None
    # One object at a time, and only where it can be: the peak does not grow with their number.
    for index, prediction in enumerate(predictions):
        inside = prediction.window.inside(shape)
        high = _in_frame(prediction.logits, prediction.window, shape)
        wins = high > best[inside]
        owner[inside][wins] = index + 1
        best[inside] = torch.maximum(best[inside], high)
        if whole is not None:
            whole[(index, *inside)] = (high > 0).cpu().numpy()
        if kept is not None:
            kept[(index, *inside)] = high.cpu().numpy()
    owners = owner.cpu().numpy()
    owners[taken] = 0
    open_holes = replace(settings, max_hole=0)
    cleaning = [open_holes if index in pierced else settings for index in range(count)]
    disjoint = _split(owners, taken, cleaning)
    if whole is not None:
        whole = np.stack([_clean(*each) for each in zip(whole, cleaning, strict=True)])
    return FrameOutput(disjoint, disjoint if whole is None else whole, kept)


def spread_logits(
    logits: Tensor, window: Window, frame_shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return a window's mask logits (h, w) in the frame's own pixels; outside it the object is not.

    Parameters
    ----------
    logits : Tensor
    window : Window
    frame_shape : (Y, X)
    """
    spread = np.full(frame_shape, ABSENT_LOGIT, dtype=np.float32)
    spread[window.inside(frame_shape)] = _in_frame(logits, window, frame_shape).cpu().numpy()
    return spread


def clicked_parts(
    mask: NDArray[np.bool_], points: Sequence[tuple[float, float]]
) -> NDArray[np.bool_]:
    """Keep the connected parts (8-connected) of a mask that hold one of these points (y, x).

    A mask that holds none of them stays whole: then the clicks say nothing about its parts.
    """
    parts, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count < 2:
        return mask
    rows, columns = np.rint(np.asarray(points, dtype=np.float64)).astype(int).T
    rows = rows.clip(0, mask.shape[0] - 1)
    columns = columns.clip(0, mask.shape[1] - 1)
    clicked = np.unique(parts[rows, columns])
    clicked = clicked[clicked > 0]
    return np.isin(parts, clicked) if len(clicked) else mask


def _in_frame(logits: Tensor, window: Window, shape: tuple[int, int]) -> Tensor:
    """Upsample a window's logits to the pixels of the frame that it covers."""
    high = upsample_masks(logits[None, None], window.height, window.width)[0, 0]
    return high[window.part(shape)]


def _split(
    owners: NDArray[np.int32], taken: NDArray[np.bool_], cleaning: Sequence[TrackingSettings]
) -> NDArray[np.bool_]:
    masks = np.zeros((len(cleaning), *owners.shape), dtype=bool)
    free = (owners == 0) & ~taken
    # One pass finds the boxes of all masks; the rest of a large frame is never looked at again.
    boxes = ndimage.find_objects(owners, max_label=len(cleaning))
    for index, (box, settings) in enumerate(zip(boxes, cleaning, strict=True)):
        if box is None:
            continue
        mask = owners[box] == index + 1
        # A filled hole may hold another object: that keeps its pixels.
        masks[index][box] = _clean(mask, settings) & (mask | free[box])
        free[box] &= ~masks[index][box]
    return masks


def _clean(mask: NDArray[np.bool_], settings: TrackingSettings) -> NDArray[np.bool_]:
    return clean_mask(mask, settings.max_hole, settings.min_island)
