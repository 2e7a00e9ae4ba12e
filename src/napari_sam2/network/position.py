"""Position encodings: sines over a grid, and sines over time."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

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
