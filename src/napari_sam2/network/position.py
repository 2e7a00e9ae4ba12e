"""Position encodings: sines over a grid, sines over time, random Fourier features of points."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from napari_sam2.network.precision import full_precision

_TEMPERATURE = 10000.0


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def sine_grid(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Encode the positions of a grid, normalised to 0..2 pi (as in DETR, arXiv 2005.12872).

    Returns
    -------
    Tensor of float32, shape (1, channels, height, width)
        The first half of the channels encodes y, the second x. The same tensor for the same grid:
        it is not to be changed.
    """
    half = channels // 2
    powers = 2 * torch.div(torch.arange(half, device=device), 2, rounding_mode="floor") / half
    periods = _TEMPERATURE**powers

    def axis(length: int) -> Tensor:
        steps = torch.arange(1, length + 1, device=device, dtype=torch.float32)
        angles = (steps / (length + 1e-6) * (2 * math.pi))[:, None] / periods
        return torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=2).flatten(1)

    rows = axis(height)[:, None, :].expand(height, width, half)
    columns = axis(width)[None, :, :].expand(height, width, half)
    return torch.cat((rows, columns), dim=2).permute(2, 0, 1).unsqueeze(0)


def sine_time(times: Tensor, channels: int) -> Tensor:
    """Encode times (shape (N,), float32) as (N, channels): sines first, then cosines."""
    half = channels // 2
    powers = 2 * torch.div(torch.arange(half, device=times.device), 2, rounding_mode="floor") / half
    angles = times[:, None] / _TEMPERATURE**powers
    return torch.cat((angles.sin(), angles.cos()), dim=1)


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
