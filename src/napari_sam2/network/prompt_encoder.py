"""The prompt encoder: points and box corners as tokens, masks as dense embeddings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_sam2.network.layers import LayerNorm2d, full_precision

PAD = -1
"""Label of a point that is not there."""
BACKGROUND, OBJECT, BOX_START, BOX_END = 0, 1, 2, 3


class RandomFourierEncoding(nn.Module):
    """Encode points of the unit square by random spatial frequencies (arXiv 2006.10739).

    Parameters
    ----------
    channels : int
        Channels of the encoding; half of them sines, half cosines.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.empty(2, channels // 2))
        self.positional_encoding_gaussian_matrix: Tensor
        nn.init.normal_(self.positional_encoding_gaussian_matrix)

    def forward(self, xy: Tensor) -> Tensor:
        """Encode (..., 2) coordinates in 0..1, x first, as (..., channels)."""
        # Angles reach tens of radians: in half precision they would lose their fraction.
        matrix = self.positional_encoding_gaussian_matrix.float()
        with full_precision(xy.device):
            angles = 2 * math.pi * ((2 * xy.float() - 1) @ matrix)
        return torch.cat((angles.sin(), angles.cos()), dim=-1)

    def grid(self, height: int, width: int) -> Tensor:
        """Encode the pixel centres of a grid as (1, channels, height, width)."""
        device = self.positional_encoding_gaussian_matrix.device
        y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
        yy, xx = torch.meshgrid(y, x, indexing="ij")
        return self(torch.stack((xx, yy), dim=-1)).permute(2, 0, 1).unsqueeze(0)  # type: ignore[no-any-return]


class PromptEncoder(nn.Module):
    """Encode points, box corners and mask logits for the decoder.

    Parameters
    ----------
    width : int
        Channels of the tokens.
    mask_channels : int
        Channels inside the mask's downscaling; 0 where masks are maps of their own.
    """

    def __init__(self, width: int, mask_channels: int) -> None:
        super().__init__()
        self.pe_layer = RandomFourierEncoding(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, width)
        if not mask_channels:
            return
        self.no_mask_embed = nn.Embedding(1, width)
        quarter = mask_channels // 4
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, quarter, kernel_size=2, stride=2),
            LayerNorm2d(quarter),
            nn.GELU(),
            nn.Conv2d(quarter, mask_channels, kernel_size=2, stride=2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, width, kernel_size=1),
        )

    def encode_points(self, points: Tensor, labels: Tensor, image_size: int) -> Tensor:
        """Encode points, adding the padding point that the models were trained with.

        Parameters
        ----------
        points : Tensor, shape (N, P, 2)
            x, y in pixels of the model input, pixel centres at integers.
        labels : Tensor of int, shape (N, P)
            1 object, 0 background, 2 and 3 first and second box corner, -1 no point.
        image_size : int
            Side of the model input.

        Returns
        -------
        Tensor, shape (N, P + 1, C)
        """
        padding = labels.new_full((len(labels), 1), PAD)
        labels = torch.cat((labels, padding), dim=1)
        encoded = self.pe_layer((points + 0.5) / image_size)
        encoded = torch.cat((encoded, encoded.new_zeros(len(labels), 1, encoded.shape[2])), dim=1)
        kinds = torch.cat((self.not_a_point_embed.weight, *self.point_embeddings.parameters()))
        real = (labels != PAD).unsqueeze(2)
        return encoded * real + kinds[labels - PAD]

    def encode_mask(self, masks: Tensor) -> Tensor:
        """Encode mask logits (N, 1, 4 h, 4 w) as (N, C, h, w)."""
        return self.mask_downscaling(masks)  # type: ignore[no-any-return]

    def no_mask(self) -> Tensor:
        """Return the dense embedding of no mask, (1, C, 1, 1)."""
        return self.no_mask_embed.weight[:, :, None, None]
