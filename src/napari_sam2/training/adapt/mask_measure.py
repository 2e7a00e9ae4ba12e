"""The IoU of one-prompt predictions on held-out masks, predicted as a session does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.network import Sam2
from napari_sam2.stack import FrameStack
from napari_sam2.training.adapt.task import MeasuredFrame, PromptableSession, SessionTemplateLike
from napari_sam2.training.data.splitting import HeldOutIou

_CONTRAST = (0.0, 255.0)


def measure_masks(
    network: Sam2,
    frames: Sequence[MeasuredFrame],
    template: SessionTemplateLike,
    done: Callable[[int], None] = lambda _masks: None,
) -> HeldOutIou:
    """Predict every mask separately, from one click and from its box.

    Every mask is clicked in several places, as different people would, and its box is the tight
    one.

    Parameters
    ----------
    network : Sam2
        In evaluation mode.
    frames : sequence of MeasuredFrame
    template : SessionTemplateLike
        Opens the sessions that are prompted.
    done : callable
        Called with the number of masks that are done.

    Returns
    -------
    HeldOutIou
        Means over the masks; no tracking.
    """
    clicks: list[float] = []  # one per mask
    boxes: list[float] = []
    for frame in frames:
        contrast = _CONTRAST if frame.image.shape[-1] == 1 else (_CONTRAST,) * 3
        stack = FrameStack(frame.image, None, channel_axis=2, contrast=contrast)
        session: PromptableSession = template.open(network, stack)
        for object_id in frame.object_ids:
            wanted = frame.masks == object_id
            ious = []
            for point in likely_clicks(wanted):
                ious.append(_iou(session.add_points(1, 0, [point]).masks[0], wanted))
                session.remove_prompts(1)
            clicks.append(fmean(ious))
            boxes.append(_iou(session.add_box(1, 0, _box(wanted)).masks[0], wanted))
            session.remove_prompts(1)
            done(len(clicks))
    return HeldOutIou(fmean(clicks), fmean(boxes))


def likely_clicks(mask: NDArray[np.bool_], most: int = 3) -> tuple[tuple[float, float], ...]:
    """Return where people would click a mask (Y, X), the most interior pixel first.

    The others are no less than half as far from the border as that one, and as far as can be
    from those before them.

    Returns
    -------
    tuple of (float, float)
        (y, x); fewer in masks of fewer pixels.
    """
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    places = np.argwhere(distance >= 0.5 * distance.max())
    depths = distance[tuple(places.T)]
    chosen = [int(depths.argmax())]
    apart = np.full(len(places), np.inf)
    while len(chosen) < min(most, len(places)):
        apart = np.minimum(apart, np.hypot(*(places - places[chosen[-1]]).T))
        chosen.append(int(apart.argmax()))
    return tuple((float(y), float(x)) for y, x in places[chosen])


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return y0, x0, y1, x1 of the outermost pixels; never without an area."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    (y0, y1), (x0, x1) = (_sides(each) for each in (rows, columns))
    return y0, x0, y1, x1


def _sides(inside: NDArray[np.intp]) -> tuple[float, float]:
    low, high = float(inside[0]), float(inside[-1])
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _iou(mask: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    return float((mask & wanted).sum() / max(int((mask | wanted).sum()), 1))
