"""Prompts drawn as maps at the resolution of the model input."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_sam2.network.prompt_encoder import BACKGROUND, BOX_END, BOX_START, OBJECT

_RADIUS = 3.0  # of a click's disc, in pixels of the input


def draw_prompts(
    points: Tensor,
    labels: Tensor,
    size: int,
    mask: Tensor | None = None,
    carried: Tensor | None = None,
    brightness: Tensor | None = None,
) -> Tensor:
    """Draw the prompts of N objects.

    Parameters
    ----------
    points : Tensor, shape (N, P, 2)
        x, y in pixels of the model input, pixel centres at integers.
    labels : Tensor of int, shape (N, P)
        1 object, 0 background, 2 and 3 first and second box corner, -1 no point.
    size : int
        Side of the model input.
    mask : Tensor, shape (N or 1, 1, size, size), optional
        Mask logits that the prompts refine.
    carried : Tensor, shape (N or 1, 1, size, size), optional
        Mask logits of the frame before, where the object would be if it stood still.
    brightness : Tensor, shape (N, 1, size, size), optional
        From `relative_brightness`: one more map.

    Returns
    -------
    Tensor, shape (N, 5 or 6, size, size)
        Object clicks, background clicks, box, mask that is refined, mask of the frame before: in
        0..1; discs and boxes have soft edges, so that they move with fractions of a pixel. Then
        the brightness, if it is given.
    """
    count = len(points)
    line = torch.arange(size, device=points.device, dtype=torch.float32)
    points = points.float()
    dx = (line - points[:, :, :1]).square()
    dy = (line - points[:, :, 1:]).square()
    distance = (dy[:, :, :, None] + dx[:, :, None, :]).sqrt()
    discs = (_RADIUS + 0.5 - distance).clamp(0.0, 1.0)
    nothing = discs.new_zeros(count, size, size)
    maps = [
        (discs * (labels == kind)[:, :, None, None]).amax(dim=1) for kind in (OBJECT, BACKGROUND)
    ]
    maps.append(_boxes(points, labels, line))
    for logits in (mask, carried):
        drawn = nothing if logits is None else logits.float().sigmoid()[:, 0]
        maps.append(drawn.expand(count, -1, -1))
    if brightness is not None:
        maps.append(brightness[:, 0])
    return torch.stack(maps, dim=1)


def _boxes(points: Tensor, labels: Tensor, line: Tensor) -> Tensor:
    """Fill the rectangle between the corners of each object that has them."""
    first, last = labels == BOX_START, labels == BOX_END
    has = first.any(dim=1) & last.any(dim=1)
    low = (points * first[:, :, None]).sum(dim=1)
    high = (points * last[:, :, None]).sum(dim=1)
    x = _between(low[:, :1], high[:, :1], line)
    y = _between(low[:, 1:], high[:, 1:], line)
    return y[:, :, None] * x[:, None, :] * has[:, None, None]


def _between(low: Tensor, high: Tensor, line: Tensor) -> Tensor:
    # Corners are pixels of the box: it reaches half a pixel beyond their centres.
    return (line - low + 1.0).clamp(0.0, 1.0) * (high - line + 1.0).clamp(0.0, 1.0)
