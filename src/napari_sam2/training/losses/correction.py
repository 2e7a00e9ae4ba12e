"""The losses of correcting a tracked frame by clicks.

They compute as inference does: only the thresholded mask of a tracked frame is kept, and the
correction attends to the object's conditioning frames, not to the recent ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from napari_sam2.network import ImageFeatures, MaskPrediction, Sam2
from napari_sam2.network.logits import DRAWN_LOGIT, LOGIT_LIMIT
from napari_sam2.training.data.batches import ClipBatch
from napari_sam2.training.losses.decoding import decode
from napari_sam2.training.losses.image import (
    as_mask_prompt,
    chosen_mask,
    clicked_losses,
    corrective_clicks,
)
from napari_sam2.training.run.recipe import TrainingPhase


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """Prediction and losses of a corrected frame.

    Attributes
    ----------
    losses : tuple of scalar tensors
        One per round.
    prediction : MaskPrediction
        Prediction of the last round.
    mask : tensor, shape (N, h, w)
        Logits of the mask that inference would take.
    choice : int64 tensor, shape (N,)
        Index of the mask among the four.
    """

    losses: tuple[torch.Tensor, ...]
    prediction: MaskPrediction
    mask: torch.Tensor
    choice: torch.Tensor


def correct(
    network: Sam2,
    features: ImageFeatures,
    conditioned: torch.Tensor,
    batch: ClipBatch,
    tracked: torch.Tensor,
    target: torch.Tensor,
    phase: TrainingPhase,
    generator: torch.Generator,
) -> Corrected:
    """Click where tracked masks are wrong, round after round.

    Parameters
    ----------
    network : Sam2
        In training mode.
    features : ImageFeatures
        Features of the frame in B clips.
    conditioned : tensor, shape (N, C, h, w)
        Its features conditioned on the decided frames.
    batch : ClipBatch
        The clips.
    tracked : bool tensor, shape (N, h, w)
        The masks as they were tracked; nothing where the object was taken for absent.
    target : tensor, shape (N, h, w)
        The truth, 0..1.
    phase : TrainingPhase
        Weights, and rounds at most.
    generator : torch.Generator
        Decides rounds and clicks.

    Returns
    -------
    Corrected
    """
    rounds = 1 + int(torch.rand(1, generator=generator) * phase.rounds)
    stride = network.config.mask_stride
    points, labels = corrective_clicks(tracked, target, stride, generator)
    prompt = drawn_prompt(tracked, stride)
    losses = []
    for number in range(1, rounds + 1):
        prediction = decode(
            network, features, conditioned, batch.clip_index, points, labels, batch.window, prompt
        )
        losses.append(clicked_losses(prediction, target, phase.losses, points, labels, stride))
        mask, choice = chosen_mask(prediction, multimask=number == 1)
        if number < rounds:
            present = prediction.object_scores.detach() > 0
            shown = torch.where(present[:, :, None], mask.detach(), -LOGIT_LIMIT)
            click, kind = corrective_clicks(shown > 0, target, stride, generator)
            points, labels = torch.cat([points, click], dim=1), torch.cat([labels, kind], dim=1)
            prompt = as_mask_prompt(shown)
    return Corrected(tuple(losses), prediction, mask, choice)


def drawn_prompt(masks: torch.Tensor, stride: int) -> torch.Tensor:
    """Return bool masks (N, h, w) as inference prompts with a drawn mask: logits (N, 1, h, w).

    `stride`: pixels of the window per pixel of the masks.
    """
    h, w = masks.shape[1:]
    full = (h * stride, w * stride)
    drawn = functional.interpolate(masks[:, None].float(), size=full, mode="nearest")
    logits = (2 * drawn - 1) * DRAWN_LOGIT
    return functional.interpolate(logits, size=(h, w), mode="bilinear", antialias=True)
