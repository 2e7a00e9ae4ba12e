"""Losses of the dense heads, which supervise the image features at every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from napari_sam2.network import DenseHeads, ImageFeatures
from napari_sam2.network.dense_heads import OFFSET_UNIT


@dataclass(frozen=True, slots=True, eq=False)
class DenseTargets:
    """Targets of the dense heads; all float tensors of shape (B, channels, S, S).

    Attributes
    ----------
    objects : one channel, 1 on any object.
    borders : one channel, 1 where neighbours belong to different labels.
    offsets : two channels (y, x), from the pixel to its object's centre, in units of 32 pixels.
    """

    objects: torch.Tensor
    borders: torch.Tensor
    offsets: torch.Tensor


def dense_targets(labels: torch.Tensor) -> DenseTargets:
    """Make targets from labels (int64 tensor, shape (B, S, S))."""
    batch, height, width = labels.shape
    largest = int(labels.max()) + 1
    flat = (labels + largest * torch.arange(batch, device=labels.device)[:, None, None]).flatten()
    y, x = torch.meshgrid(
        torch.arange(height, device=labels.device, dtype=torch.float32),
        torch.arange(width, device=labels.device, dtype=torch.float32),
        indexing="ij",
    )
    count = torch.bincount(flat, minlength=batch * largest).clamp(min=1).to(torch.float32)
    offsets = []
    for coordinate in (y, x):
        spread = coordinate.expand(batch, -1, -1)
        total = torch.bincount(flat, weights=spread.flatten(), minlength=batch * largest)
        centre = (total / count)[flat].reshape(labels.shape)
        offsets.append((centre - spread) / OFFSET_UNIT)
    border = torch.zeros_like(labels, dtype=torch.bool)
    vertical = labels[:, 1:] != labels[:, :-1]
    horizontal = labels[:, :, 1:] != labels[:, :, :-1]
    border[:, 1:] |= vertical
    border[:, :-1] |= vertical
    border[:, :, 1:] |= horizontal
    border[:, :, :-1] |= horizontal
    return DenseTargets(
        (labels > 0)[:, None].to(torch.float32),
        border[:, None].to(torch.float32),
        torch.stack(offsets, dim=1).to(torch.float32),
    )


def dense_loss(
    heads: DenseHeads, features: ImageFeatures, targets: DenseTargets, known: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of objects and borders plus smooth L1 of offsets, mean over levels.

    Parameters
    ----------
    heads : DenseHeads
    features : ImageFeatures
        Features of B images.
    targets : DenseTargets
    known : bool tensor, shape (B,)
        Images whose every object is labelled; the others teach nothing here.
    """
    total = targets.objects.new_zeros(())
    if not known.any():
        return total
    levels = heads(features)
    for stride, maps in zip(heads.strides, levels, strict=True):
        objects = functional.avg_pool2d(targets.objects[known], stride)
        borders = functional.avg_pool2d(targets.borders[known], stride)
        # Offsets of mixed pixels are averaged over the objects' share only.
        offsets = functional.avg_pool2d((targets.offsets * targets.objects)[known], stride)
        offsets = offsets / objects.clamp(min=1e-3)
        for logits, wanted in ((maps.objects, objects), (maps.borders, borders)):
            total = total + functional.binary_cross_entropy_with_logits(logits[known], wanted)
        error = functional.smooth_l1_loss(maps.offsets[known], offsets, reduction="none", beta=0.25)
        total = total + (error * objects).sum() / objects.sum().clamp(min=1.0)
    return total / len(levels)
