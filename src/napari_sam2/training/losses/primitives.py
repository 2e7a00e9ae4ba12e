"""Losses of SAM 2 (arXiv 2408.00714, appendix D): focal, dice, predicted IoU, object score."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

_CERTAIN_LOGIT = -32.0  # its cross-entropy against background is 0 in float32


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the losses.

    Attributes
    ----------
    focal, dice, iou, object_score : float
        Weights of SAM 2's four losses.
    plain : float
        Weight of cross-entropy, mean over pixels.
    balanced : float
        Weight of cross-entropy averaged over object and background apart. Focal loss alone first
        learns that small objects are nowhere and stays there for long; this one does not.
    clicks : float
        Weight of cross-entropy at the clicked pixels alone: a click is law.
    others : float
        Share of the mask loss given to all masks alike, not to the best of their object: early
        on it keeps all of them learning.
    """

    focal: float = 20.0
    dice: float = 1.0
    iou: float = 1.0
    object_score: float = 1.0
    plain: float = 0.0
    balanced: float = 0.0
    clicks: float = 0.0
    others: float = 0.0


def focal_loss(
    logits: torch.Tensor, target: torch.Tensor, *, alpha: float = 0.25, gamma: float = 2.0
) -> torch.Tensor:
    """Sigmoid focal loss (arXiv 1708.02002), mean over pixels.

    Parameters
    ----------
    logits, target : float tensor, shape (..., Y, X)
        Targets in 0..1 may be soft (share of a coarse pixel that is object).
    alpha : float
        Weight of object pixels; background has 1 - alpha. Negative for no weights.
    gamma : float
        Exponent by which easy pixels are discounted.

    Returns
    -------
    float tensor, shape (...)
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = cross_entropy * (logits.sigmoid() - target).abs() ** gamma
    if alpha >= 0:
        loss = loss * (alpha * target + (1.0 - alpha) * (1.0 - target))
    return loss.mean(dim=(-2, -1))


def balanced_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, mean of object's and background's means; shapes as in `focal_loss`."""
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    inside, outside = target.sum(dim=(-2, -1)), (1.0 - target).sum(dim=(-2, -1))
    on_object = (loss * target).sum(dim=(-2, -1)) / inside.clamp(min=1.0)
    on_background = (loss * (1.0 - target)).sum(dim=(-2, -1)) / outside.clamp(min=1.0)
    return 0.5 * (on_object + on_background)


def dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """1 - soft Dice of each mask, with 1 added to both sides; shapes as in `focal_loss`."""
    probability = logits.sigmoid()
    overlap = (probability * target).sum(dim=(-2, -1))
    total = probability.sum(dim=(-2, -1)) + target.sum(dim=(-2, -1))
    return 1.0 - (2.0 * overlap + 1.0) / (total + 1.0)


def click_loss(
    logits: torch.Tensor, points: torch.Tensor, labels: torch.Tensor, stride: int
) -> torch.Tensor:
    """Cross-entropy of masks at the clicked pixels.

    Parameters
    ----------
    logits : float tensor, shape (N, M, Y, X)
    points : float tensor, shape (N, P, 2)
        x, y in pixels of the window.
    labels : int64 tensor, shape (N, P)
        1 object, 0 background; any other is no click.
    stride : int
        Pixels of the window per pixel of the masks.

    Returns
    -------
    scalar tensor
        Mean over clicks and masks; 0 without any click.
    """
    n, m, height, width = logits.shape
    limits = points.new_tensor([width - 1, height - 1])
    x, y = ((points + 0.5) / stride).floor().clamp(min=0.0).minimum(limits).long().unbind(-1)
    at_clicks = logits.flatten(2).gather(2, (y * width + x)[:, None].expand(n, m, -1)).float()
    clicked = (labels == 0) | (labels == 1)
    if not clicked.any():
        return at_clicks.new_zeros(())
    wanted = labels.clamp(0, 1).to(at_clicks.dtype)[:, None].expand_as(at_clicks)
    loss = functional.binary_cross_entropy_with_logits(at_clicks, wanted, reduction="none")
    return loss.mean(dim=1)[clicked].mean()


def mask_iou(
    logits: torch.Tensor, target: torch.Tensor, beyond: torch.Tensor | float = 0.0
) -> torch.Tensor:
    """Return the IoU of masks cut at logit 0 and target 0.5 on known pixels; 1 if both are empty.

    `beyond`: pixels of the target that lie outside, and are missed.
    """
    predicted, wanted = (logits > 0) & (target >= 0), target > 0.5
    overlap = (predicted & wanted).sum(dim=(-2, -1)).to(torch.float32)
    union = (predicted | wanted).sum(dim=(-2, -1)).to(torch.float32) + beyond
    return torch.where(union > 0, overlap / union.clamp(min=1.0), torch.ones_like(union))


def silenced(masks: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Remove unlabelled pixels from the losses.

    Parameters
    ----------
    masks : float tensor, shape (N, M, Y, X)
        Mask logits.
    target : float tensor, shape (N, Y, X)
        Below 0 where it is not known what a pixel is.

    Returns
    -------
    masks, target : float tensor
        Where nothing is known, both say background: no loss of masks has a gradient there, and the
        weight of every other pixel stays what it is.
    """
    unknown = target < 0
    if not unknown.any():
        return masks, target
    return masks.masked_fill(unknown[:, None], _CERTAIN_LOGIT), target.clamp(min=0.0)


@dataclass(frozen=True, slots=True, eq=False)
class MaskLosses:
    """Mean losses over objects, each a scalar tensor, and their weighted sum."""

    total: torch.Tensor
    mask: torch.Tensor
    iou: torch.Tensor
    object_score: torch.Tensor


def prediction_losses(
    masks: torch.Tensor,
    ious: torch.Tensor,
    object_scores: torch.Tensor,
    target: torch.Tensor,
    weights: LossWeights,
    beyond: torch.Tensor | None = None,
) -> MaskLosses:
    """Losses of N objects with M candidate masks each; the best candidate is taught.

    Parameters
    ----------
    masks : float tensor, shape (N, M, Y, X)
        Mask logits.
    ious : float tensor, shape (N, M)
        Predicted IoU.
    object_scores : float tensor, shape (N, 1)
        Logits of the object being in the frame.
    target : float tensor, shape (N, Y, X)
        Share of each pixel that is object; all zero where the object is absent: then only the
        object score is taught. Below 0 where it is not known what a pixel is: nothing is taught
        there.
    weights : LossWeights
        Weight of each loss.
    beyond : float tensor, shape (N,), optional
        Pixels of each object outside of the window: the IoU that is to be predicted counts them
        as missed, so that a window that cuts its object off is not taken for a good one.

    Returns
    -------
    MaskLosses
    """
    masks, target = silenced(masks.float(), target)
    present = (target > 0.5).flatten(1).any(dim=1).to(masks.dtype)
    wanted = target[:, None].expand_as(masks)
    each = weights.dice * dice_loss(masks, wanted)
    if weights.focal > 0:
        each = each + weights.focal * focal_loss(masks, wanted)
    if weights.plain > 0:
        cross_entropy = functional.binary_cross_entropy_with_logits(masks, wanted, reduction="none")
        each = each + weights.plain * cross_entropy.mean(dim=(-2, -1))
    if weights.balanced > 0:
        each = each + weights.balanced * balanced_loss(masks, wanted)
    best = each.min(dim=1).values
    mask_loss = (1.0 - weights.others) * best + weights.others * each.mean(dim=1)
    with torch.no_grad():
        actual = mask_iou(masks, wanted, 0.0 if beyond is None else beyond[:, None])
    iou_loss = (ious.float() - actual).abs().mean(dim=1)
    count = present.sum().clamp(min=1.0)
    mask_mean = (mask_loss * present).sum() / count
    iou_mean = (iou_loss * present).sum() / count
    score = functional.binary_cross_entropy_with_logits(object_scores.float()[:, 0], present)
    total = mask_mean + weights.iou * iou_mean + weights.object_score * score
    return MaskLosses(total, mask_mean.detach(), iou_mean.detach(), score.detach())
