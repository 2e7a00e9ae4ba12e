"""Brightness relative to that of an object where it was decided.

Networks with `own_contrast` see every window in its own contrast, so that dim images look like
bright ones. The haze above and below an object in a z-stack then looks like the object. Tracked
frames therefore also get a map that is 1 where a pixel is as bright as the object was, and 0 where
it is as bright as its surroundings were.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, cat, ones_like, where

FADED = 0.08
"""Share of its contrast below which an object that stood out is no longer there."""

_AROUND = 13  # side, in pixels of the input, of the neighbourhood that counts as surroundings
_FAINT = 0.4  # of the deviation of the window: less contrast than this says little
_CLEAR = 0.6  # of the deviation of the window: objects with more contrast than this stand out
_LOWEST, _HIGHEST = -1.0, 2.0


def object_contrast(pixels: Tensor, masks: Tensor) -> Tensor:
    """Measure the brightness of objects and of what surrounds them.

    Parameters
    ----------
    pixels : Tensor, shape (N or 1, 1, S, S)
        From `ImageFeatures.pixels`.
    masks : Tensor of bool, shape (N, 1, S, S)

    Returns
    -------
    Tensor of float32, shape (N, 3)
        Mean inside, mean around, and standard deviation of the window; zeros for an empty mask.
    """
    pixels = pixels.float()
    inside = masks.float()
    near = F.max_pool2d(inside, _AROUND, stride=1, padding=_AROUND // 2) - inside
    known = inside.flatten(1).amax(dim=1, keepdim=True)
    means = [
        (pixels * weight).flatten(1).sum(dim=1, keepdim=True)
        / weight.flatten(1).sum(dim=1, keepdim=True).clamp(min=1.0)
        for weight in (inside, near)
    ]
    spread = pixels.flatten(1).std(dim=1, keepdim=True).expand(len(masks), -1)
    return cat((*means, spread), dim=1) * known


def relative_brightness(pixels: Tensor, contrast: Tensor) -> Tensor:
    """Return how bright pixels are between the surroundings (0) and the object (1).

    Parameters
    ----------
    pixels : Tensor, shape (N or 1, 1, S, S)
        From `ImageFeatures.pixels`.
    contrast : Tensor, shape (N, 3)
        From `object_contrast`; zeros where nothing is known.

    Returns
    -------
    Tensor of float32, shape (N, 1, S, S)
        In -1..2; near 0 everywhere where the object is no brighter or darker than what is around.
    """
    inside, around, spread = (each[:, None, None, None] for each in contrast.float().unbind(1))
    step = inside - around
    scale = step / (step.square() + (_FAINT * spread).square()).clamp(min=1e-6)
    relative = ((pixels.float() - around) * scale).clamp(_LOWEST, _HIGHEST)
    return where(spread > 0, relative, 0.0)


def remaining_contrast(pixels: Tensor, masks: Tensor, contrast: Tensor) -> Tensor:
    """Measure what is left of the contrast of objects under their masks in another frame.

    Parameters
    ----------
    pixels : Tensor, shape (N or 1, 1, S, S)
        From `ImageFeatures.pixels`.
    masks : Tensor of bool, shape (N, 1, S, S)
    contrast : Tensor, shape (N, 3)
        From `object_contrast`; zeros where nothing is known.

    Returns
    -------
    Tensor of float32, shape (N,)
        1 where pixels are on average as bright as the object was, 0 where they are as bright as
        its surroundings were; 1 too for empty masks and for objects that never stood out.
    """
    inside, around, spread = contrast.float().unbind(1)
    step, weight = inside - around, masks.float()
    area = weight.flatten(1).sum(dim=1)
    mean = (pixels.float() * weight).flatten(1).sum(dim=1) / area.clamp(min=1.0)
    clear = (step.abs() > _CLEAR * spread) & (area > 0)
    share = (mean - around) / where(clear, step, 1.0)
    return where(clear, share, ones_like(share))
