"""The choice among masks of one click, predicted in windows of several sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam2.network import MaskPrediction
from napari_sam2.tracking.images.object_window import Window

_RADII, _ANGLES = 64, 48
_NEAREST = 0.5  # pixels of the frame: the smallest circle around the click that counts


class ScaleChoice(NamedTuple):
    """Indices of the chosen window and of the chosen mask in it."""

    window: int
    mask: int


def choose_scale(
    prediction: MaskPrediction,
    windows: Sequence[Window],
    click: tuple[float, float],
) -> ScaleChoice:
    """Choose the mask that agrees best with the others, weighted by their predicted quality.

    The score of a mask is the sum over all masks of all windows of their predicted quality times
    their IoU with this mask: an object that the model finds at several scales is the likely one.

    Parameters
    ----------
    prediction : MaskPrediction
        M masks of the clicked object in each of W windows.
    windows : sequence of W Window
    click : (float, float)
        (y, x) in pixels of the frame.

    Returns
    -------
    ScaleChoice
    """
    votes = _votes(prediction, windows, click)
    return ScaleChoice(*divmod(int(votes.argmax()), votes.shape[1]))


def choose_other(
    prediction: MaskPrediction,
    windows: Sequence[Window],
    click: tuple[float, float],
    background: tuple[float, float],
) -> ScaleChoice | None:
    """Choose as `choose_scale` does among the masks that do not hold a background click.

    Returns
    -------
    ScaleChoice or None
        None if all masks hold the click (y, x) on the background or none holds that on the object.
    """
    wanted = torch.tensor(
        [
            [_holds(mask, window, click) and not _holds(mask, window, background) for mask in masks]
            for masks, window in zip((prediction.masks > 0).cpu(), windows, strict=True)
        ]
    )
    if not wanted.any():
        return None
    votes = torch.where(wanted, _votes(prediction, windows, click).cpu(), -1.0)
    return ScaleChoice(*divmod(int(votes.argmax()), votes.shape[1]))


def _holds(mask: Tensor, window: Window, click: tuple[float, float]) -> bool:
    """Return whether a mask (h, w) that covers a window is there at a (y, x) of the frame."""
    sides = (window.height, window.width)
    corner = (window.top, window.left)
    row, column = (
        math.floor((at + 0.5 - first) * size / side)
        for at, first, size, side in zip(click, corner, mask.shape, sides, strict=True)
    )
    inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
    return inside and bool(mask[row, column])


def _votes(
    prediction: MaskPrediction, windows: Sequence[Window], click: tuple[float, float]
) -> Tensor:
    """Return the score of every mask, (W, M); see `choose_scale`."""
    quality = (prediction.ious * prediction.object_scores.sigmoid()).float()
    agreement = agreements(prediction.masks, windows, click)
    return (agreement @ quality.flatten()).view_as(quality)


def agreements(masks: Tensor, windows: Sequence[Window], click: tuple[float, float]) -> Tensor:
    """Return the IoU of every mask with every other, as far as the windows reach.

    The scales of the windows differ too much for a common raster. Masks are compared at points on
    circles around the click whose radii grow by a constant ratio; each point is weighted by its
    area.

    Parameters
    ----------
    masks : Tensor, shape (W, M, h, w)
        Logits.
    windows : sequence of W Window
    click : (float, float)

    Returns
    -------
    Tensor, shape (W M, W M)
    """
    largest = max(max(window.height, window.width) for window in windows)
    device = masks.device
    radii = torch.logspace(
        math.log10(_NEAREST), math.log10(max(largest, 2 * _NEAREST)), _RADII, device=device
    )
    angles = torch.arange(_ANGLES, device=device) * (2 * math.pi / _ANGLES)
    y = (click[0] + radii[:, None] * angles.sin()).flatten()
    x = (click[1] + radii[:, None] * angles.cos()).flatten()
    grid = torch.stack(
        [
            torch.stack(
                (
                    2 * (x + 0.5 - window.left) / window.width - 1,
                    2 * (y + 0.5 - window.top) / window.height - 1,
                ),
                dim=-1,
            )
            for window in windows
        ]
    )[:, None]
    # A mask has no pixels beyond its window, so that the sampling pads it with zeros.
    covers = (masks > 0).float()
    inside = F.grid_sample(covers, grid, align_corners=False)[:, :, 0] > 0.5
    inside = inside.flatten(0, 1).float()
    area = radii.square().repeat_interleave(_ANGLES)
    shared = (inside * area) @ inside.T
    own = shared.diagonal()
    return shared / (own[:, None] + own[None, :] - shared).clamp(min=1e-6)
