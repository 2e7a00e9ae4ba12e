"""Tensors that travel together between the parts of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ImageFeatures:
    """What the image encoder says about a batch of B frames of side S.

    Attributes
    ----------
    stride4 : Tensor, shape (B, C / 8, S / 4, S / 4)
    stride8 : Tensor, shape (B, C / 4, S / 8, S / 8)
    stride16 : Tensor, shape (B, C, S / 16, S / 16)
    position : Tensor, shape (1, C, S / 16, S / 16)
        Sine encoding of the positions of `stride16`.
    """

    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    position: Tensor

    @classmethod
    def joined(cls, parts: Sequence[ImageFeatures]) -> ImageFeatures:
        """Put features of frames of one size together as a batch."""
        return cls(
            torch.cat([part.stride4 for part in parts]),
            torch.cat([part.stride8 for part in parts]),
            torch.cat([part.stride16 for part in parts]),
            parts[0].position,
        )

    def copied(self) -> ImageFeatures:
        """Return a copy that shares no memory with the batch it was taken from."""
        return ImageFeatures(
            self.stride4.clone(), self.stride8.clone(), self.stride16.clone(), self.position
        )

    def frame(self, index: int) -> ImageFeatures:
        """Return the features of one frame of the batch, still with a batch axis of one."""
        one = slice(index, index + 1)
        return ImageFeatures(
            self.stride4[one], self.stride8[one], self.stride16[one], self.position
        )


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrediction:
    """What the mask decoder says about N objects.

    Attributes
    ----------
    masks : Tensor, shape (N, M, S / 4, S / 4)
        Mask logits.
    ious : Tensor, shape (N, M)
        Predicted IoU of each mask, in 0..1.
    tokens : Tensor, shape (N, M, C)
        Decoder tokens from which object pointers are made.
    object_scores : Tensor, shape (N, 1)
        Logits: above zero, the object is in the frame.
    """

    masks: Tensor
    ious: Tensor
    tokens: Tensor
    object_scores: Tensor

    def best(self, rank: int = 0) -> MaskPrediction:
        """Keep the mask with the highest predicted IoU: M becomes 1.

        A rank of 1 or 2 keeps the second or third best instead, where there are so many.
        """
        rank = min(rank, self.ious.shape[1] - 1)
        choice = self.ious.argsort(dim=1, descending=True, stable=True)[:, rank]
        rows = torch.arange(len(choice), device=choice.device)
        token = choice if self.tokens.shape[1] > 1 else torch.zeros_like(choice)
        return MaskPrediction(
            masks=self.masks[rows, choice].unsqueeze(1),
            ious=self.ious[rows, choice].unsqueeze(1),
            tokens=self.tokens[rows, token].unsqueeze(1),
            object_scores=self.object_scores,
        )
