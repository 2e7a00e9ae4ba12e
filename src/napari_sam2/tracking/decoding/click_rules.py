"""What clicks do to a mask: clicked pixels obey, objects stay, and corrections act near by.

It runs on the session's thread.
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

_MARGIN = 1.0  # logit of a clicked pixel at least: enough to hold when the mask is upsampled
_SPREAD = 0.25  # standard deviation, of the root of the mask's area; measured on training stacks
_LEAST = 1.5  # pixels of the decoder's mask: an upsampled mask still turns
_SWEEPS = 4
_PRESENT = 0.01  # object score: enough to be there
_NEAR = 0.375  # of the longer side of the masks before and after; measured on training stacks
_BESIDE = 1  # pixels of the decoder's mask between a click and the part that it changes
_KEPT = 0.6  # share of the mask before that is kept so far from a click; docs/measurements
_SAME = 0.6  # IoU of a mask before and after: a correction, not something else
_MIDDLE = 0.5  # of the depth of a mask: a background click that deep may say that it is nothing


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
        With an object click the object is there.
    """
    logits = prediction.masks[0, 0].float()
    height, width = logits.shape
    x, y = points.float().round().unbind(1)
    clicked = logits[y.clamp(0, height - 1).long(), x.clamp(0, width - 1).long()]
    signs = [1.0 if on_object else -1.0 for on_object in positive]
    if not bool((clicked * clicked.new_tensor(signs) >= _MARGIN).all()):
        logits = _obeying(logits, points, signs)
    scores = prediction.object_scores
    if any(positive):
        scores = scores.clamp(min=_PRESENT)
    return replace(prediction, masks=logits[None, None], object_scores=scores)


def _obeying(logits: Tensor, points: Tensor, signs: Sequence[float]) -> Tensor:
    """Turn the pixels of the clicks, one after the other, until none contradicts."""
    spread = _SPREAD * float((logits > 0).sum()) ** 0.5
    spreads = [_limited(spread, points, signs, index) for index in range(len(signs))]
    for _ in range(_SWEEPS):  # turning one pixel may turn another back
        before = logits
        for point, sign, reach in zip(points, signs, spreads, strict=True):
            logits = _turned(logits, point, sign, reach)
        if logits is before:
            break
    return logits


def keep_object(
    prediction: MaskPrediction, previous: Tensor, points: Tensor, positive: Sequence[bool]
) -> MaskPrediction:
    """Keep an object that background clicks near its border would make vanish.

    A click near the border corrects the border. Only a click into the middle of the object,
    at least half as deep as its deepest pixel, can mean that there is none.

    Parameters
    ----------
    prediction : MaskPrediction
        One mask of one object, not yet corrected by the clicks.
    previous : Tensor, shape (h, w)
        Mask logits that were refined.
    points : Tensor, shape (P, 2)
        x, y in pixels of the decoder's mask.
    positive : sequence of P bools
        True on the object, False on background.

    Returns
    -------
    MaskPrediction
        The prediction, or the mask from before where that would be nothing.
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
        if inside and not on_object and depth[row, column] >= _MIDDLE * depth.max():
            return prediction
    return replace(
        prediction,
        masks=previous.float()[None, None],
        object_scores=prediction.object_scores.clamp(min=_PRESENT),
    )


def denies(logits: Tensor, object_click: Sequence[float], background: Sequence[float]) -> bool:
    """Tell whether a background click says that a mask is not the object at all.

    It does in the middle of the mask, at least half as deep as its deepest pixel, where it lies
    deeper than the click on the object; elsewhere it corrects the border.

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
    return denied > known and denied >= _MIDDLE * float(depth.max())


def keep_far(prediction: MaskPrediction, previous: Tensor, points: Tensor) -> MaskPrediction:
    """Mix a mask that was nearly right into the corrected one, the more the farther from clicks.

    What the network changes its mind about far from a click is worse as often as better. Where it
    finds something else altogether, the mask from before was wrong, and nothing of it is kept.

    Parameters
    ----------
    prediction : MaskPrediction
        One mask of one object, not yet corrected by the clicks.
    previous : Tensor, shape (h, w)
        Mask logits that were refined.
    points : Tensor, shape (P, 2)
        x, y of the new clicks in pixels of the decoder's mask.

    Returns
    -------
    MaskPrediction
        The prediction itself where the masks have too little in common.
    """
    logits = prediction.masks[0, 0].float()
    before, after = (previous > 0).cpu().numpy(), (logits > 0).cpu().numpy()
    box = box_of(before | after)
    if box is None or (before & after).sum() < _SAME * (before | after).sum():
        return prediction
    reach = _NEAR * max(side.stop - side.start for side in box)
    kept = _KEPT * (_distance(logits, points) / reach).clamp(max=1.0)
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
    """Change a mask that was nearly right only where clicks say that it was wrong.

    An object click adds, and a background click takes away, what is connected with it and near
    it. All else stays as it was: what the network changes its mind about elsewhere is worse as
    often as better.

    Parameters
    ----------
    prediction : MaskPrediction
        One mask of one object that obeys its clicks.
    previous : Tensor, shape (h, w)
        Mask logits that were refined.
    points : Tensor, shape (P, 2)
        x, y of the new clicks in pixels of the decoder's mask.
    positive : sequence of P bools
        True on the object, False on background.

    Returns
    -------
    MaskPrediction
        The prediction itself where there was no mask before, or there is no object now.
    """
    logits = prediction.masks[0, 0].float()
    before, after = (previous > 0).cpu().numpy(), (logits > 0).cpu().numpy()
    if not before.any() or bool(prediction.object_scores.item() <= 0):
        return prediction
    box = box_of(before | after)
    assert box is not None
    reach = _NEAR * max(side.stop - side.start for side in box)
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
    """Return the regions of a mask (Y, X) that touch a pixel or one beside it."""
    regions, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    top, left = max(row - _BESIDE, 0), max(column - _BESIDE, 0)
    numbers = np.unique(regions[top : row + _BESIDE + 1, left : column + _BESIDE + 1])
    return np.isin(regions, numbers[numbers > 0])


def click_inside(
    mask: NDArray[np.bool_], background: Sequence[tuple[float, float]]
) -> tuple[float, float] | None:
    """Return the pixel (y, x) of a mask (Y, X) that is farthest from its edge and from clicks.

    None if there is no pixel but those that were clicked.
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
    """Keep a spread away from the nearest click of the other kind."""
    opposed = torch.tensor([sign != signs[index] for sign in signs], device=points.device)
    if opposed.any():
        distances = (points[opposed] - points[index]).float().norm(dim=1)
        spread = min(spread, float(distances.min()) / 3)
    return max(_LEAST, spread)


def _turned(logits: Tensor, point: Tensor, sign: float, spread: float) -> Tensor:
    height, width = logits.shape
    x, y = point.float()
    row = int(y.round().clamp(0, height - 1))
    column = int(x.round().clamp(0, width - 1))
    found = float(logits[row, column]) * sign
    if found >= _MARGIN:
        return logits
    rows = torch.arange(height, device=logits.device) - row
    columns = torch.arange(width, device=logits.device) - column
    squared = rows[:, None] ** 2 + columns[None, :] ** 2
    return logits + sign * (_MARGIN - found) * torch.exp(-squared / (2 * spread**2))
