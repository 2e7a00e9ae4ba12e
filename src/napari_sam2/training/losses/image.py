"""The losses of the prompted frame: encodes each image once and decodes every prompted object."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from napari_sam2.network import ImageFeatures, MaskPrediction, Sam2
from napari_sam2.network.logits import LOGIT_LIMIT
from napari_sam2.training.data.batches import ClipBatch
from napari_sam2.training.data.first_prompts import correction_points
from napari_sam2.training.losses.decoding import decode
from napari_sam2.training.losses.primitives import (
    LossWeights,
    click_loss,
    mask_iou,
    prediction_losses,
)
from napari_sam2.training.run.recipe import TrainingPhase


@dataclass(frozen=True, slots=True, eq=False)
class StepLosses:
    """The total loss of a step, and its parts for the log.

    Attributes
    ----------
    total : scalar tensor
        To be differentiated.
    prompted_iou : float
        Mean IoU of the chosen masks in the prompted frame.
    tracked_iou : float
        The same in the frames that follow (NaN without any).
    """

    total: torch.Tensor
    prompted_iou: float
    tracked_iou: float = float("nan")


def coarse_targets(batch: ClipBatch, frame: int, stride: int) -> torch.Tensor:
    """Return the target masks of every object in one frame, at the stride of the decoder.

    Parameters
    ----------
    batch : ClipBatch
    frame : int
    stride : int
        Pixels of the window per pixel of the masks.

    Returns
    -------
    float tensor, shape (N, S / stride, S / stride)
        Share of each of the decoder's pixels that is object; -1 where most of it is not known and
        none of it is object.
    """
    share, known = (
        functional.avg_pool2d(each.to(torch.float32)[:, None], stride)[:, 0]
        for each in (batch.masks(frame), batch.known(frame))
    )
    return torch.where((share > 0) | (known > 0.5), share, -1.0)


def first_prompt(batch: ClipBatch, use_boxes: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points (N, P, 2) and labels (N, P) of every object: one click, or two box corners."""
    n = len(batch.object_ids)
    if use_boxes:
        corners = torch.tensor([[2, 3]], device=batch.boxes.device)
        return batch.boxes.reshape(n, 2, 2), corners.expand(n, 2)
    return batch.points[:, None], batch.object_ids.new_ones((n, 1))


def chosen_mask(
    prediction: MaskPrediction, multimask: bool, carried: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mask (N, h, w) and index that inference would take of all four.

    `carried`: mask logits (N, 1, h, w) of the frame before, where the network is given them.
    """
    if carried is not None:
        choice = prediction.most_similar(carried)
        rows = torch.arange(len(choice), device=choice.device)
        return prediction.masks[rows, choice].float(), choice
    if not multimask:
        masks = prediction.masks[:, 0].float()
        return masks, torch.zeros(len(masks), dtype=torch.int64, device=masks.device)
    best = 1 + prediction.ious[:, 1:].argmax(dim=1)
    rows = torch.arange(len(best), device=best.device)
    return prediction.masks[rows, best].float(), best


def four_mask_losses(
    prediction: MaskPrediction,
    target: torch.Tensor,
    weights: LossWeights,
    beyond: torch.Tensor | None = None,
) -> torch.Tensor:
    """Teach the single mask and, best of three, the ambiguous ones; the object score once.

    `beyond`: see `prediction_losses`.
    """
    single = prediction_losses(
        prediction.masks[:, :1],
        prediction.ious[:, :1],
        prediction.object_scores,
        target,
        weights,
        beyond,
    )
    several = prediction_losses(
        prediction.masks[:, 1:],
        prediction.ious[:, 1:],
        prediction.object_scores,
        target,
        replace(weights, object_score=0.0),
        beyond,
    )
    return single.total + several.total


def clicked_losses(
    prediction: MaskPrediction,
    target: torch.Tensor,
    weights: LossWeights,
    points: torch.Tensor,
    labels: torch.Tensor,
    stride: int,
    beyond: torch.Tensor | None = None,
) -> torch.Tensor:
    """Teach all masks as `four_mask_losses` does, and that clicks (N, P, 2) are obeyed."""
    total = four_mask_losses(prediction, target, weights, beyond)
    if weights.clicks > 0:
        clicks = click_loss(prediction.masks, points, labels, stride)
        total = total + weights.clicks * clicks
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Prompted:
    """The last predictions of the prompted frame.

    Attributes
    ----------
    prediction : MaskPrediction
        All four masks of N objects.
    mask : tensor, shape (N, h, w)
        Logits of the mask that inference would take.
    choice : int64 tensor, shape (N,)
        Index of the mask among the four.
    """

    prediction: MaskPrediction
    mask: torch.Tensor
    choice: torch.Tensor


def corrective_clicks(
    mask: torch.Tensor, target: torch.Tensor, stride: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Click once where masks are wrong.

    Parameters
    ----------
    mask : bool tensor, shape (N, h, w)
    target : tensor, shape (N, h, w)
        The truth, 0..1, or below 0 where it is not known.
    stride : int
        Pixels of the window per pixel of the masks.
    generator : torch.Generator
        Decides which of the wrong pixels.

    Returns
    -------
    points : float tensor, shape (N, 1, 2)
        (x, y) in pixels of the window.
    labels : int64 tensor, shape (N, 1)
        1 on missed object, 0 on wrongly covered background.
    """
    # The generator is on the CPU, so that runs draw the same clicks on every device.
    labelled = mask & (target >= 0)
    click, kind = correction_points(labelled.cpu(), (target > 0.5).cpu(), generator)
    click = (click.to(mask.device) + 0.5) * stride - 0.5
    return click[:, None], kind.to(mask.device)[:, None]


def as_mask_prompt(mask: torch.Tensor) -> torch.Tensor:
    """Return logits (N, h, w) as the mask prompt (N, 1, h, w) of a refinement."""
    return mask.detach().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)[:, None]


def prompted_losses(
    network: Sam2,
    features: ImageFeatures,
    batch: ClipBatch,
    phase: TrainingPhase,
    use_boxes: bool,
    generator: torch.Generator,
) -> tuple[StepLosses, Prompted]:
    """Decode the first frame from first prompts and, sometimes, a few corrections.

    Parameters
    ----------
    network : Sam2
        In training mode.
    features : ImageFeatures
        Features of the first frames of the B clips.
    batch : ClipBatch
        Prompts and labels.
    phase : TrainingPhase
        Weights and shares.
    use_boxes : bool
        The first prompts are boxes instead of clicks.
    generator : torch.Generator
        Decides how many corrections there are and where they fall.

    Returns
    -------
    StepLosses
    Prompted
        Prediction of the last round.
    """
    draws = torch.rand(2, generator=generator)
    rounds = 1 + int(draws[1] * phase.rounds) if draws[0] < phase.corrections else 0
    points, labels = first_prompt(batch, use_boxes)
    conditioned = network.without_memory(features.stride16)[batch.clip_index]
    stride = network.config.mask_stride
    target = coarse_targets(batch, 0, stride)
    inside = target.clamp(min=0.0).sum(dim=(1, 2))
    beyond = (batch.areas / stride**2 - inside).clamp(min=0.0)
    arguments = (network, features, conditioned, batch.clip_index)
    prediction = decode(*arguments, points, labels, batch.window)
    total = clicked_losses(prediction, target, phase.losses, points, labels, stride, beyond)
    mask, choice = chosen_mask(prediction, multimask=not use_boxes)
    iou = float(mask_iou(mask.detach(), target).mean())
    for _ in range(rounds):
        click, kind = corrective_clicks(mask.detach() > 0, target, stride, generator)
        points, labels = torch.cat([points, click], dim=1), torch.cat([labels, kind], dim=1)
        prediction = decode(*arguments, points, labels, batch.window, as_mask_prompt(mask))
        total = total + clicked_losses(
            prediction, target, phase.losses, points, labels, stride, beyond
        )
        mask, choice = chosen_mask(prediction, multimask=False)
    return StepLosses(total / (1 + rounds), iou), Prompted(prediction, mask, choice)
