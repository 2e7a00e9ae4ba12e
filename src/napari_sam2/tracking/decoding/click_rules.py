"""Rules that make a predicted mask agree with clicks, and limit what a correction changes.

The functions run on the session's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_sam2.labels.masks import box_of
from napari_sam2.network import MaskPrediction
from napari_sam2.network.logits import LOGIT_LIMIT

# Logit, up to its sign, that a clicked pixel gets at least: the sign then survives upsampling.
_MIN_CLICK_LOGIT = 1.0
# Standard deviation of the bump that a click adds to the logits, as a fraction of the square root
# of the mask's area; measured on training stacks.
_CLICK_SPREAD = 0.25
# The same in pixels of the decoder's mask, at least: narrower bumps vanish in upsampling.
_MIN_CLICK_SPREAD = 1.5
# Passes over all clicks, as the bump of one click may undo another click.
_MAX_PASSES = 4
# Object score (logit) of a clicked object, at least: above 0 it is present.
_MIN_OBJECT_SCORE = 0.01
# Farthest distance from a click that a correction changes, as a fraction of the longer side of the
# box around old and new mask. Chosen on twelve sets; see "Corrections" in
# docs/measurements/bundled_model.md, also for the next two.
_CORRECTION_REACH = 0.375
# Weight of the previous logits at that distance; it falls linearly to 0 at the click.
_PREVIOUS_WEIGHT = 0.6
# IoU of old and new mask below which the new mask is another object, not a correction.
_MIN_CORRECTION_IOU = 0.6
# Pixels of the decoder's mask between a click and the region that it changes.
_CLICK_TOLERANCE = 1
# Depth of a background click, as a fraction of the deepest pixel's, from which on it may reject the
# whole mask; shallower clicks correct the border.
_MIN_REJECTION_DEPTH = 0.5


def enforce_clicks(
    prediction: MaskPrediction, points: Tensor, positive: Sequence[bool]
) -> MaskPrediction:
    """Correct the mask at clicked pixels that contradict it; later clicks take precedence.

    Parameters
    ----------
    prediction : MaskPrediction
        One mask of one object.
    points : Tensor, shape (P, 2)
        x, y in pixels of the decoder's mask.
    positive : sequence of P bools
        True on the object, False on background.

    Returns
    -------
    MaskPrediction
        The mask agrees with all clicks; an object click makes the object present.
    """
    logits = prediction.masks[0, 0].float()
    height, width = logits.shape
    x, y = points.float().round().unbind(1)
    clicked = logits[y.clamp(0, height - 1).long(), x.clamp(0, width - 1).long()]
    signs = [1.0 if on_object else -1.0 for on_object in positive]
    if not bool((clicked * clicked.new_tensor(signs) >= _MIN_CLICK_LOGIT).all()):
        logits = _with_clicks_obeyed(logits, points, signs)
    scores = prediction.object_scores
    if any(positive):
        scores = scores.clamp(min=_MIN_OBJECT_SCORE)
    return replace(prediction, masks=logits[None, None], object_scores=scores)


def _with_clicks_obeyed(logits: Tensor, points: Tensor, signs: Sequence[float]) -> Tensor:
    """Add a bump at each contradicted click, in turn, until the mask agrees with all clicks."""
    spread = _CLICK_SPREAD * float((logits > 0).sum()) ** 0.5
    spreads = [_limited(spread, points, signs, index) for index in range(len(signs))]
    for _ in range(_MAX_PASSES):
        before = logits
        for point, sign, reach in zip(points, signs, spreads, strict=True):
            logits = _with_bump(logits, point, sign, reach)
        if logits is before:
            break
    return logits


def keep_object(
    prediction: MaskPrediction, previous: Tensor, points: Tensor, positive: Sequence[bool]
) -> MaskPrediction:
    """Keep an object that background clicks near its border would remove.

    A click near the border corrects the border. Only a click in the middle of the object, at least
    half as deep as its deepest pixel, can mean that there is no object.

    Parameters
    ----------
    prediction : MaskPrediction
        One mask of one object, not yet corrected by the clicks.
    previous : Tensor, shape (h, w)
        Mask logits before the clicks.
    points : Tensor, shape (P, 2)
        x, y in pixels of the decoder's mask.
    positive : sequence of P bools
        True on the object, False on background.

    Returns
    -------
    MaskPrediction
        The prediction, or the previous mask if the prediction is empty.
    """
    there = bool(prediction.object_scores.item() > 0)
    if (there and bool((prediction.masks > 0).any())) or not bool((previous > 0).any()):
        return prediction
    before = (previous > 0).cpu().numpy()
    depth = ndimage.distance_transform_edt(np.pad(before, 1))[1:-1, 1:-1]
    height, width = before.shape
    for (x, y), on_object in zip(points.tolist(), positive, strict=True):
        row, column = round(y), round(x)
        inside = 0 <= row < height and 0 <= column < width
        if inside and not on_object and depth[row, column] >= _MIN_REJECTION_DEPTH * depth.max():
            return prediction
    return replace(
        prediction,
        masks=previous.float()[None, None],
        object_scores=prediction.object_scores.clamp(min=_MIN_OBJECT_SCORE),
    )


def rejects_mask(
    logits: Tensor, object_click: Sequence[float], background: Sequence[float]
) -> bool:
    """Return whether a background click rejects the whole mask.

    It does if it lies deeper in the mask than the object click and at least half as deep as the
    deepest pixel. Otherwise it corrects the border.

    Parameters
    ----------
    logits : Tensor, shape (h, w)
        The mask.
    object_click, background : (float, float)
        x, y in pixels of the mask.
    """
    depth = ndimage.distance_transform_edt(np.pad((logits > 0).cpu().numpy(), 1))[1:-1, 1:-1]
    height, width = depth.shape
    known, denied = (
        float(depth[min(max(round(y), 0), height - 1), min(max(round(x), 0), width - 1)])
        for x, y in (object_click, background)
    )
    return denied > known and denied >= _MIN_REJECTION_DEPTH * float(depth.max())


def keep_far(prediction: MaskPrediction, previous: Tensor, points: Tensor) -> MaskPrediction:
    """Blend the previous mask into the corrected one; its weight grows with distance from clicks.

    Far from clicks, changes by the network make the mask worse as often as better. If the two masks
    differ too much, the previous one was another object, and the prediction is returned unchanged.

    Parameters
    ----------
    prediction : MaskPrediction
        One mask of one object, not yet corrected by the clicks.
    previous : Tensor, shape (h, w)
        Mask logits before the clicks.
    points : Tensor, shape (P, 2)
        x, y of the new clicks in pixels of the decoder's mask.

    Returns
    -------
    MaskPrediction
        The blended mask.
    """
    logits = prediction.masks[0, 0].float()
    before, after = (previous > 0).cpu().numpy(), (logits > 0).cpu().numpy()
    box = box_of(before | after)
    if box is None or (before & after).sum() < _MIN_CORRECTION_IOU * (before | after).sum():
        return prediction
    reach = _CORRECTION_REACH * max(side.stop - side.start for side in box)
    kept = _PREVIOUS_WEIGHT * (_distance(logits, points) / reach).clamp(max=1.0)
    earlier = previous.float().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    return replace(prediction, masks=torch.lerp(logits, earlier, kept)[None, None])


def _distance(logits: Tensor, points: Tensor) -> Tensor:
    """Return the distance of each pixel of a mask (h, w) from the nearest of P points (x, y)."""
    rows, columns = (torch.arange(side, device=logits.device) for side in logits.shape)
    x, y = points.float().unbind(1)
    away = torch.hypot(rows[None, :, None] - y[:, None, None], columns - x[:, None, None])
    return away.amin(dim=0)


def change_near(
    prediction: MaskPrediction, previous: Tensor, points: Tensor, positive: Sequence[bool]
) -> MaskPrediction:
    """Change the previous mask only near the clicks.

    An object click adds the new pixels, and a background click removes the lost pixels, that are
    connected with the click and near it. All other pixels stay as they were: elsewhere, changes by
    the network make the mask worse as often as better.

    Parameters
    ----------
    prediction : MaskPrediction
        One mask of one object, already corrected by the clicks.
    previous : Tensor, shape (h, w)
        Mask logits before the clicks.
    points : Tensor, shape (P, 2)
        x, y of the new clicks in pixels of the decoder's mask.
    positive : sequence of P bools
        True on the object, False on background.

    Returns
    -------
    MaskPrediction
        The prediction itself if the previous mask is empty or the object is absent.
    """
    logits = prediction.masks[0, 0].float()
    before, after = (previous > 0).cpu().numpy(), (logits > 0).cpu().numpy()
    if not before.any() or bool(prediction.object_scores.item() <= 0):
        return prediction
    box = box_of(before | after)
    assert box is not None
    reach = _CORRECTION_REACH * max(side.stop - side.start for side in box)
    wrong = {True: after & ~before, False: before & ~after}
    stays = before ^ after
    rows, columns = np.ogrid[: before.shape[0], : before.shape[1]]
    for (x, y), on_object in zip(points.tolist(), positive, strict=True):
        near = np.hypot(rows - y, columns - x) <= reach
        stays &= ~(near & _connected(wrong[on_object], round(y), round(x)))
    kept = torch.from_numpy(stays).to(logits.device)
    masks = torch.where(kept, previous.to(logits.dtype), logits)
    return replace(prediction, masks=masks[None, None])


def _connected(mask: NDArray[np.bool_], row: int, column: int) -> NDArray[np.bool_]:
    """Return the connected regions of a mask (Y, X) at a pixel or next to it."""
    regions, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    around = tuple(
        slice(max(at - _CLICK_TOLERANCE, 0), at + _CLICK_TOLERANCE + 1) for at in (row, column)
    )
    numbers = np.unique(regions[around])
    return np.isin(regions, numbers[numbers > 0])


def click_inside(
    mask: NDArray[np.bool_], background: Sequence[tuple[float, float]]
) -> tuple[float, float] | None:
    """Return the pixel (y, x) of a mask (Y, X) that is farthest from its edge and from clicks.

    None if every pixel of the mask was clicked.
    """
    box = box_of(mask)
    if box is None:
        return None
    rows, columns = box
    depth = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1]
    for y, x in background:
        away = np.hypot(
            np.arange(rows.start, rows.stop)[:, None] - round(y),
            np.arange(columns.start, columns.stop)[None, :] - round(x),
        )
        depth = np.minimum(depth, away)
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    if not depth[row, column]:
        return None
    return float(rows.start + row), float(columns.start + column)


def _limited(spread: float, points: Tensor, signs: Sequence[float], index: int) -> float:
    """Limit a spread to a third of the distance to the nearest click of the other kind."""
    opposed = torch.tensor([sign != signs[index] for sign in signs], device=points.device)
    if opposed.any():
        distances = (points[opposed] - points[index]).float().norm(dim=1)
        spread = min(spread, float(distances.min()) / 3)
    return max(_MIN_CLICK_SPREAD, spread)


def _with_bump(logits: Tensor, point: Tensor, sign: float, spread: float) -> Tensor:
    """Add a Gaussian bump at a clicked pixel (x, y) whose logit contradicts the click."""
    height, width = logits.shape
    x, y = point.float()
    row = int(y.round().clamp(0, height - 1))
    column = int(x.round().clamp(0, width - 1))
    found = float(logits[row, column]) * sign
    if found >= _MIN_CLICK_LOGIT:
        return logits
    rows = torch.arange(height, device=logits.device) - row
    columns = torch.arange(width, device=logits.device) - column
    squared = rows[:, None] ** 2 + columns[None, :] ** 2
    return logits + sign * (_MIN_CLICK_LOGIT - found) * torch.exp(-squared / (2 * spread**2))
