"""The losses of one training step: dense heads, prompted frame, tracked frames, corrections."""

from __future__ import annotations

import torch

from napari_sam2.network import DenseHeads, Sam2
from napari_sam2.training.data.batches import ClipBatch
from napari_sam2.training.losses.auxiliary import dense_loss, dense_targets
from napari_sam2.training.losses.image import StepLosses, prompted_losses
from napari_sam2.training.losses.tracking import frame_features, tracked_losses
from napari_sam2.training.run.recipe import TrainingPhase


def clip_losses(
    network: Sam2,
    dense: DenseHeads,
    batch: ClipBatch,
    phase: TrainingPhase,
    generator: torch.Generator,
    bfloat16: bool,
) -> StepLosses:
    """Compute all losses of a batch.

    Parameters
    ----------
    network : Sam2
        In training mode.
    dense : DenseHeads
        The network's own, or heads that are thrown away after training.
    batch : ClipBatch
        Clips, labels, prompts.
    phase : TrainingPhase
        Weights and shares.
    generator : torch.Generator
        Decides prompt kinds and corrections.
    bfloat16 : bool
        Compute the network in bfloat16.

    Returns
    -------
    StepLosses
    """
    use_boxes = bool(torch.rand(1, generator=generator) < phase.boxes)
    taught = batch if use_boxes else batch.of_clickable()
    if not len(taught.object_ids):
        use_boxes, taught = True, batch
    images = batch.network_input()
    n_frames = batch.images.shape[1]
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        features = network.encode_image(images)
        first = frame_features(features, 0, n_frames)
        prompted, decoded = prompted_losses(network, first, taught, phase, use_boxes, generator)
        total, tracked_iou = prompted.total, float("nan")
        if n_frames > 1:
            tracked = tracked_losses(network, features, taught, decoded, phase, generator)
            total, tracked_iou = total + tracked.total, tracked.iou
    if phase.dense > 0:
        targets = dense_targets(batch.labels.flatten(0, 1))
        known = batch.complete.repeat_interleave(n_frames)
        total = total + phase.dense * dense_loss(dense, features, targets, known)
    return StepLosses(total, prompted.prompted_iou, tracked_iou)
