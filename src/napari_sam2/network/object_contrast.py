"""Brightness relative to that of an object where it was decided.

Networks with `own_contrast` see every window in its own contrast, so that dim images look like
bright ones. The haze above and below an object in a z-stack then looks like the object. Tracked
frames therefore also get a map that is 1 where a pixel is as bright as the object was, and 0 where
it is as bright as its surroundings were.

The same is measured to tell where an object that stands out ends: `remaining_contrast` says how
much of it is left, `dim_pixels` which part of a mask it has left.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, cat, ones_like, where

FADED = 0.08
"""Share of its contrast below which an object that stood out is no longer there."""

STANDS_OUT = 0.6
"""Share of the deviation of the window above which the contrast of an object stands out."""

_AROUND = 13  # side, in pixels of the input, of the neighbourhood that counts as surroundings
_FAINT = 0.4  # of the deviation of the window: less contrast than this says little
_LOWEST, _HIGHEST = -1.0, 2.0
_SMOOTHED = 5  # side, in pixels of the input, of the square whose mean is a pixel's brightness
_EXPLAINED = 0.9  # IoU with what is brighter than a level, of masks that end where it is dim
_LEVEL_LEFT = 0.5  # of that level, in tracked frames: objects may lose some of their brightness
_HOLE = 7  # side, in pixels of the input, up to which dim places inside an object are its own
_SHARP = 0.92  # of the brightness of a dim part, lost within a few pixels: it has a border
_REST = 0.05  # of a mask that is bright at least; else the light has changed, or it has faded


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
    near = _grown(inside, _AROUND) - inside
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
        its surroundings were; 1 too for empty masks and for objects that never stood out. Not less
        than half of how they stand out from what surrounds the mask now: in transmitted light the
        brightness of an object and of its surroundings changes, and in the haze beyond an object's
        end there is next to no edge.
    """
    inside, around, spread = contrast.float().unbind(1)
    step, now = inside - around, object_contrast(pixels, masks)
    clear = (step.abs() > STANDS_OUT * spread) & masks.flatten(1).any(dim=1)
    step = where(clear, step, 1.0)
    share = (now[:, 0] - around) / step
    here = (now[:, 0] - now[:, 1]) / step
    return where(clear, torch.maximum(share, here / 2), ones_like(share))


def bright_level(pixels: Tensor, masks: Tensor) -> Tensor:
    """Find the brightness that separates objects best from what is around them.

    Parameters
    ----------
    pixels : Tensor, shape (N or 1, 1, S, S)
        From `ImageFeatures.pixels`.
    masks : Tensor of bool, shape (N, 1, S, S)

    Returns
    -------
    Tensor of float32, shape (N, 2)
        That brightness less the mean of the surroundings, negative for dark objects; and the IoU of
        the mask with what is brighter (darker) than it, in the mask and around it. Zeros for an
        empty mask.
    """
    inside, around, _ = object_contrast(pixels, masks).unbind(1)
    sign = where(inside < around, -1.0, 1.0)
    height = (_smoothed(pixels) - around[:, None, None, None]) * sign[:, None, None, None]
    height = height.masked_fill(_grown(masks.float(), _AROUND) == 0, -torch.inf).flatten(1)
    order = height.argsort(dim=1, descending=True)
    inside_first = masks.flatten(1).gather(1, order).float()
    both = inside_first.cumsum(dim=1)
    above = torch.arange(1, order.shape[1] + 1, device=order.device)
    iou, last = (both / (above + both[:, -1:] - both).clamp(min=1.0)).max(dim=1)
    level = height.gather(1, order).gather(1, last[:, None])[:, 0]
    known = masks.flatten(1).any(dim=1)
    return where(known[:, None], torch.stack((level * sign, iou), dim=1), 0.0)


def dim_pixels(pixels: Tensor, masks: Tensor, contrast: Tensor, level: Tensor) -> Tensor:
    """Return where masks in another frame reach into pixels that are too dim for their objects.

    Where a level of brightness separated an object from its surroundings when it was decided, what
    is clearly below that level now is not the object: compared with the surroundings then and also
    with those now. Not where the dim part ends sharply, as a cell does that has become flat, or is
    next to all of the mask; the haze of what lies above or below has no border.

    Parameters
    ----------
    pixels : Tensor, shape (N or 1, 1, S, S)
        From `ImageFeatures.pixels`.
    masks : Tensor of bool, shape (N, 1, S, S)
    contrast : Tensor, shape (N, 3)
        From `object_contrast`; zeros where nothing is known.
    level : Tensor, shape (N, 2)
        From `bright_level`; zeros where nothing is known.

    Returns
    -------
    Tensor of float32, shape (N, 1, S, S)
        How far pixels of the masks are below the level, as a share of it; 0 for all others.
    """
    inside, around, spread = contrast.float().unbind(1)
    height, explained = level.float().unbind(1)
    step = inside - around
    clear = (step.abs() > STANDS_OUT * spread) & (explained >= _EXPLAINED) & (height * step > 0)
    on_cpu = pixels.device.type == "cpu"  # elsewhere an answer is waited for
    if on_cpu and not clear.any():
        return torch.zeros_like(masks, dtype=torch.float32)
    sign, wanted = where(step < 0, -1.0, 1.0), where(clear, height.abs() * _LEVEL_LEFT, 1.0)
    background = torch.minimum(around * sign, object_contrast(pixels, masks)[:, 1] * sign)
    each = (slice(None), None, None, None)
    height_now = _smoothed(pixels) * sign[each]
    above = (height_now - background[each]) / wanted[each] - 1.0
    bright = ((above >= 0) & masks).float()
    closed = _shrunk(_grown(bright, _HOLE), _HOLE)
    dim = masks.float() * (1.0 - closed) * clear[each].float()
    if on_cpu and not dim.any():
        return dim
    hazy = _border_sharpness(pixels.float() * sign[each], masks.float(), dim) < _SHARP
    hazy = hazy & (
        (masks.float() - dim).flatten(1).sum(dim=1) > _REST * masks.flatten(1).sum(dim=1)
    )
    return where((dim > 0) & hazy[each], (-above).clamp(min=0.0), 0.0)


def _border_sharpness(height: Tensor, masks: Tensor, dim: Tensor) -> Tensor:
    """Return the step at the borders of dim parts of masks, as a share of their height, (N,).

    Infinite where a mask fills its window, so that nothing is known of what surrounds it.
    """
    beside = _grown(dim, 11) * (_grown(masks, 9) - _grown(masks, 3))
    rim = dim * (1.0 - _shrunk(masks, 7))
    far = _grown(masks, 19) - _grown(masks, 7)
    inner, outer, part, ground = (
        (height * where_).flatten(1).sum(dim=1) / where_.flatten(1).sum(dim=1).clamp(min=1.0)
        for where_ in (rim, beside, dim, far)
    )
    raised = part > ground
    sharpness = where(raised, (inner - outer) / where(raised, part - ground, 1.0), 0.0)
    return where(far.flatten(1).amax(dim=1) > 0, sharpness, torch.inf)


def _grown(masks: Tensor, side: int) -> Tensor:
    """Dilate masks (N, 1, S, S) with a square of an odd side.

    By doubling: ten times as fast on a CPU as pooling.
    """
    for dim, margins in ((2, (0, 0, side // 2, side // 2)), (3, (side // 2, side // 2, 0, 0))):
        masks, width = F.pad(masks, margins), 1
        while width < side:
            shift = min(width, side - width)
            length = masks.shape[dim] - shift
            masks = torch.maximum(masks.narrow(dim, 0, length), masks.narrow(dim, shift, length))
            width += shift
    return masks


def _shrunk(masks: Tensor, side: int) -> Tensor:
    return 1.0 - _grown(1.0 - masks, side)


def _smoothed(pixels: Tensor) -> Tensor:
    half = _SMOOTHED // 2
    rows = F.avg_pool2d(pixels.float(), (_SMOOTHED, 1), 1, (half, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, _SMOOTHED), 1, (0, half), count_include_pad=False)
