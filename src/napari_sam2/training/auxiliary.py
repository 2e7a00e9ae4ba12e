"""Dense supervision of the image features: every pixel teaches. Thrown away after training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from napari_sam2.network import ImageFeatures, Sam2Config

_OFFSET_UNIT = 32.0
_CHANNELS = 4  # object, border, offset to the object's centre (y, x)


@dataclass(frozen=True, slots=True, eq=False)
class DenseTargets:
    """What each pixel is; all float tensors of shape (B, channels, S, S).

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
        offsets.append((centre - spread) / _OFFSET_UNIT)
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


class DenseHeads(nn.Module):
    """1 x 1 heads on the three feature levels; they teach the trunk and the neck."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        width = config.width
        self.heads = nn.ModuleList(
            nn.Conv2d(channels, _CHANNELS, 1) for channels in (width // 8, width // 4, width)
        )

    def loss(self, features: ImageFeatures, targets: DenseTargets) -> torch.Tensor:
        """Cross-entropy of objects and borders plus smooth L1 of offsets, mean over levels."""
        levels = (features.stride4, features.stride8, features.stride16)
        total = targets.objects.new_zeros(())
        for stride, level, head in zip((4, 8, 16), levels, self.heads, strict=True):
            objects = functional.avg_pool2d(targets.objects, stride)
            borders = functional.avg_pool2d(targets.borders, stride)
            # Offsets of mixed pixels are averaged over the objects' share only.
            offsets = functional.avg_pool2d(targets.offsets * targets.objects, stride)
            offsets = offsets / objects.clamp(min=1e-3)
            out = head(level.float())
            total = total + functional.binary_cross_entropy_with_logits(out[:, :1], objects)
            total = total + functional.binary_cross_entropy_with_logits(out[:, 1:2], borders)
            error = functional.smooth_l1_loss(out[:, 2:], offsets, reduction="none", beta=0.25)
            total = total + (error * objects).sum() / objects.sum().clamp(min=1.0)
        return total / len(self.heads)
