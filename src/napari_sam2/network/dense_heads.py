"""Dense prediction heads: object, border and centre offset of every pixel from image features."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from napari_sam2.network.config import Sam2Config
from napari_sam2.network.features import ImageFeatures

OFFSET_UNIT = 32.0
"""Pixels of the input per unit of an offset."""
_CHANNELS = 4


class DenseMaps(NamedTuple):
    """Output of the dense heads for B images at one stride k.

    Attributes
    ----------
    objects : Tensor, shape (B, 1, S / k, S / k)
        Logits of belonging to any object.
    borders : Tensor, shape (B, 1, S / k, S / k)
        Logits of lying on a border between labels.
    offsets : Tensor, shape (B, 2, S / k, S / k)
        (y, x) from each pixel to its object's centre, in units of 32 pixels.
    """

    objects: Tensor
    borders: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, out: Tensor) -> DenseMaps:
        """Split the channels of a head."""
        return cls(out[:, :1], out[:, 1:2], out[:, 2:])


class DenseHeads(nn.Module):
    """1 x 1 heads on the feature levels, coarse ones too: they teach the trunk while it trains."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        width = config.width
        self.strides: tuple[int, ...] = (4, 8, 16)
        channels: tuple[int, ...] = (width // 8, width // 4, width)
        if config.fine_channels:
            c8, c4, c2, _ = config.fine_channels
            self.strides, channels = (2, 4, 8, 16), (c2, c4, c8, width)
        self.heads = nn.ModuleList(nn.Conv2d(each, _CHANNELS, 1) for each in channels)

    def forward(self, features: ImageFeatures) -> list[DenseMaps]:
        """Predict the dense maps of all pixels, one `DenseMaps` per stride of `strides`."""
        levels = (*features.finer[1:], features.stride4, features.stride8, features.stride16)
        heads = zip(self.heads, levels, strict=True)
        return [DenseMaps.of(head(level.float())) for head, level in heads]
