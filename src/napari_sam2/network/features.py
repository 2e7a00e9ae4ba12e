"""Groups of tensors that the parts of the network exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_LIKENESS = 0.25  # default power of the IoU with the previous mask; see `most_similar`


@dataclass(frozen=True, slots=True, eq=False)
class ImageFeatures:
    """Output of the image encoder for a batch of B frames of side S.

    Attributes
    ----------
    stride4 : Tensor, shape (B, C / 8, S / 4, S / 4)
    stride8 : Tensor, shape (B, C / 4, S / 8, S / 8)
    stride16 : Tensor, shape (B, C, S / 16, S / 16)
    position : Tensor, shape (1, C, S / 16, S / 16)
        Sine encoding of the positions of `stride16`.
    finer : tuple of Tensor
        Maps at strides 1 (one channel) and 2 for networks whose decoder goes up to there; there
        the channels of all maps are the configuration's `fine_channels`.
    contrast : Tensor, shape (B, 2), or None
        Mean and spread of the frames, for networks that see them in their own contrast.
    """

    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    position: Tensor
    finer: tuple[Tensor, ...] = ()
    contrast: Tensor | None = None

    @property
    def pixels(self) -> Tensor:
        """Grey values (B, 1, S, S) before the frames were seen in their own contrast.

        Only for networks with finer maps and `own_contrast`.
        """
        assert self.contrast is not None
        mean, spread = (each[:, None, None, None] for each in self.contrast.unbind(1))
        return self.finer[0].float() * spread + mean

    @classmethod
    def joined(cls, parts: Sequence[ImageFeatures]) -> ImageFeatures:
        """Batch features of frames of the same size."""
        known = [part.contrast for part in parts if part.contrast is not None]
        contrasts = known if len(known) == len(parts) else None
        return cls(
            torch.cat([part.stride4 for part in parts]),
            torch.cat([part.stride8 for part in parts]),
            torch.cat([part.stride16 for part in parts]),
            parts[0].position,
            tuple(torch.cat(maps) for maps in zip(*(part.finer for part in parts), strict=True)),
            None if contrasts is None else torch.cat(contrasts),
        )

    def copied(self) -> ImageFeatures:
        """Return a copy that shares no memory with the batch it was taken from."""
        return ImageFeatures(
            self.stride4.clone(),
            self.stride8.clone(),
            self.stride16.clone(),
            self.position,
            tuple(level.clone() for level in self.finer),
            None if self.contrast is None else self.contrast.clone(),
        )

    def frame(self, index: int) -> ImageFeatures:
        """Return the features of one frame of the batch, still with a batch axis of one."""
        return self.frames(slice(index, index + 1))

    def part(self, row: int, column: int, cells: int, position: Tensor) -> ImageFeatures:
        """Return a copy of a square of the frame, for networks with finer maps.

        Parameters
        ----------
        row, column : int
            Position of its first corner, in cells of `stride16`.
        cells : int
            Its side.
        position : Tensor, shape (1, C, cells, cells)
            Sine encoding of its own positions.
        """

        def cut(level: Tensor, stride: int) -> Tensor:
            scale = 16 // stride
            y, x, side = row * scale, column * scale, cells * scale
            return level[:, :, y : y + side, x : x + side].clone()

        finer = zip(self.finer, (1, 2), strict=True)
        return ImageFeatures(
            cut(self.stride4, 4),
            cut(self.stride8, 8),
            cut(self.stride16, 16),
            position,
            tuple(cut(level, stride) for level, stride in finer),
            self.contrast,
        )

    def frames(self, index: slice | Tensor) -> ImageFeatures:
        """Return the features of some frames of the batch, given by a slice or by indices."""
        return ImageFeatures(
            self.stride4[index],
            self.stride8[index],
            self.stride16[index],
            self.position,
            tuple(level[index] for level in self.finer),
            None if self.contrast is None else self.contrast[index],
        )


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrediction:
    """Output of the mask decoder for N objects.

    Attributes
    ----------
    masks : Tensor, shape (N, M, S / k, S / k)
        Mask logits; k is the configuration's `mask_stride`.
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

    @classmethod
    def joined(cls, parts: Sequence[MaskPrediction]) -> MaskPrediction:
        """Batch predictions with the same number of masks."""
        return cls(
            torch.cat([part.masks for part in parts]),
            torch.cat([part.ious for part in parts]),
            torch.cat([part.tokens for part in parts]),
            torch.cat([part.object_scores for part in parts]),
        )

    def select(self, row: int, mask: int) -> MaskPrediction:
        """Keep one mask of one object: N and M become 1."""
        token = mask if self.tokens.shape[1] > 1 else 0
        return MaskPrediction(
            self.masks[row : row + 1, mask : mask + 1],
            self.ious[row : row + 1, mask : mask + 1],
            self.tokens[row : row + 1, token : token + 1],
            self.object_scores[row : row + 1],
        )

    def most_similar(self, carried: Tensor, power: Tensor | float = _LIKENESS) -> Tensor:
        """Return the index of the mask that continues the mask of the previous frame.

        The predicted IoU is weighted with the IoU of the two masks (SAMURAI, arXiv 2411.11922, uses
        the IoU with an expected box): a tracked object stays what was prompted, even if something
        larger or smaller has clearer borders.

        Parameters
        ----------
        carried : Tensor, shape (N, 1, S / k, S / k)
            Mask logits of the previous frame; without an object there, the predicted IoU decides.
        power : float or Tensor, shape (N,)
            Power of the IoU of the two masks: 0 ignores it, 1 weighs it like the predicted IoU.

        Returns
        -------
        Tensor of int64, shape (N,)
        """
        now, before = self.masks > 0, carried > 0
        shared = (now & before).flatten(2).sum(dim=2)
        either = (now | before).flatten(2).sum(dim=2)
        alike = shared / either.clamp(min=1)
        known = before.flatten(2).any(dim=2)
        powers = power[:, None] if isinstance(power, Tensor) else power
        return torch.where(known, self.ious * alike**powers, self.ious).argmax(dim=1)

    def best(self, rank: int = 0) -> MaskPrediction:
        """Keep the mask with the highest predicted IoU: M becomes 1.

        A rank of 1 or 2 keeps the second or third best instead, where there are so many.
        """
        rank = min(rank, self.ious.shape[1] - 1)
        return self.chosen(self.ious.argsort(dim=1, descending=True, stable=True)[:, rank])

    def chosen(self, choice: Tensor) -> MaskPrediction:
        """Keep one mask of each object: M becomes 1.

        Parameters
        ----------
        choice : Tensor of int64, shape (N,)
        """
        rows = torch.arange(len(choice), device=choice.device)
        token = choice if self.tokens.shape[1] > 1 else torch.zeros_like(choice)
        return MaskPrediction(
            masks=self.masks[rows, choice].unsqueeze(1),
            ious=self.ious[rows, choice].unsqueeze(1),
            tokens=self.tokens[rows, token].unsqueeze(1),
            object_scores=self.object_scores,
        )
