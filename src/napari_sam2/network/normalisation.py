"""The normalisation of images that all networks were trained with: that of ImageNet."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor) -> Tensor:
    """Normalise images (B, 1 or 3, h, w) with values in 0..1 to (B, 3, h, w); grey is repeated."""
    mean, std = _statistics(images.device)
    return (images.expand(-1, 3, -1, -1) - mean) / std


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation; once, since a GPU would be waited for each time."""
    mean, std = (torch.tensor(each, device=device).view(1, 3, 1, 1) for each in (_MEAN, _STD))
    return mean, std
