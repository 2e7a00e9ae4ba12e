"""Seeds of the watershed: the marks of each object in one frame and the region it may fill."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from scipy import ndimage

from napari_sam2.evaluation.baseline.grey_frame import Cut, GreyFrame
from napari_sam2.evaluation.label_masks import MaskPatch, Window, hull, window_shape
from napari_sam2.evaluation.metrics import Mask
from napari_sam2.evaluation.simulated_user import Pixel, distance_to, interior_pixel, regions_of

_CORE = 0.5
"""Depth from which a mask is core, as a part of its greatest depth."""

_STEP = 0.25
"""How far an object may grow or move from one frame to the next, in its radii."""

_LEAST_STEP = 2.0
"""The same in pixels, at least."""


@dataclass(slots=True)
class Marks:
    """The prompts of one object in one frame.

    Attributes
    ----------
    base : MaskPatch, optional
        Its mask there before the first click.
    box : Window, optional
    radius : float, optional
        That of the disc with the object's area in the frame of its first prompt, if known.
    positive, negative : list of (int, int)
        Pixels (y, x).
    """

    base: MaskPatch | None = None
    box: Window | None = None
    radius: float | None = None
    positive: list[Pixel] = field(default_factory=list)
    negative: list[Pixel] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class GrowthSeed:
    """The pixels from which one object grows in one frame, and their limits.

    Attributes
    ----------
    object_id : int
    cut : Cut
    reach : MaskPatch, optional
        The object stays in here; None: it may be anywhere.
    core : MaskPatch, optional
        Pixels that are the object's in any case.
    positive, negative : tuple of (int, int)
        Clicked pixels (y, x).
    """

    object_id: int
    cut: Cut
    reach: MaskPatch | None = None
    core: MaskPatch | None = None
    positive: tuple[Pixel, ...] = ()
    negative: tuple[Pixel, ...] = ()


def followed_seed(frame: GreyFrame, mask: MaskPatch, cut: Cut) -> GrowthSeed | None:
    """Follow an object from its mask in the neighbouring frame; None if it is gone.

    It is where its old mask still is foreground, and moves by a quarter of its radius at most.
    """
    kept = mask.mask & frame.foreground(cut, mask.window)
    if not kept.any():
        return None
    core = MaskPatch(mask.object_id, mask.window, core_of(kept))
    return GrowthSeed(mask.object_id, cut, reach_of(mask, frame.shape), core)


def clicked_seed(frame: GreyFrame, object_id: int, marks: Marks, cut: Cut) -> GrowthSeed | None:
    """Return the seed of a prompted object; None if its clicks exclude all of it.

    Parameters
    ----------
    frame : GreyFrame
    object_id : int
    marks : Marks
    cut : Cut
        That of the object's first prompt.
    """
    if marks.box is not None:
        return _boxed_seed(frame, object_id, marks, marks.box, cut)
    positive, negative = tuple(marks.positive), tuple(marks.negative)
    core = None if marks.base is None else _kept_core(marks.base, negative)
    if core is None and not positive:
        return None
    reach = _clicked_reach(frame.shape, object_id, marks)
    return GrowthSeed(object_id, cut, reach, core, positive, negative)


def core_of(mask: Mask) -> Mask:
    """Return the pixels of a mask that are at least half as deep as its deepest pixel."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    core: Mask = depth >= max(1.0, _CORE * float(depth.max()))
    return core


def reach_of(mask: MaskPatch, shape: tuple[int, int]) -> MaskPatch:
    """Find where an object may be in the next frame of shape (Y, X)."""
    step = max(_LEAST_STEP, _STEP * mask.radius)
    margin = math.ceil(step)
    window = grown(mask.window, margin, shape)
    before = [old.start - new.start for old, new in zip(mask.window, window, strict=True)]
    after = [new.stop - old.stop for old, new in zip(mask.window, window, strict=True)]
    inside = np.pad(mask.mask, list(zip(before, after, strict=True)))
    near: Mask = ndimage.distance_transform_edt(~inside) <= step
    return MaskPatch(mask.object_id, window, near)


def grown(window: Window, margin: int, shape: tuple[int, int]) -> Window:
    """Widen a window on all sides, within a frame of shape (Y, X)."""
    rows, columns = (
        slice(max(0, side.start - margin), min(size, side.stop + margin))
        for side, size in zip(window, shape, strict=True)
    )
    return rows, columns


def _boxed_seed(
    frame: GreyFrame, object_id: int, marks: Marks, box: Window, cut: Cut
) -> GrowthSeed:
    """Keep an object in its box, and mark the middle of the largest foreground there."""
    foreground = frame.foreground(cut, box)
    regions = regions_of(foreground)
    pixel = interior_pixel(regions[0].mask) if regions else None
    if pixel is None:
        pixel = (foreground.shape[0] // 2, foreground.shape[1] // 2)
    middle = (pixel[0] + box[0].start, pixel[1] + box[1].start)
    reach = MaskPatch(object_id, box, np.ones(foreground.shape, dtype=bool))
    return GrowthSeed(object_id, cut, reach, None, (middle, *marks.positive), tuple(marks.negative))


def _clicked_reach(shape: tuple[int, int], object_id: int, marks: Marks) -> MaskPatch | None:
    """Limit growth to the surroundings of the previous mask and to discs around the clicks.

    The discs are somewhat wider than the object was first; None if that is not known.
    """
    if marks.radius is None:
        return None
    radius = (1 + _STEP) * marks.radius + _LEAST_STEP
    margin = math.ceil(radius)
    parts = [_disc(object_id, pixel, radius, margin, shape) for pixel in marks.positive]
    if marks.base is not None:
        parts.append(reach_of(marks.base, shape))
    window = reduce(hull, (part.window for part in parts))
    return MaskPatch(
        object_id, window, np.logical_or.reduce([part.within(window) for part in parts])
    )


def _disc(
    object_id: int, pixel: Pixel, radius: float, margin: int, shape: tuple[int, int]
) -> MaskPatch:
    here = (slice(pixel[0], pixel[0] + 1), slice(pixel[1], pixel[1] + 1))
    window = grown(here, margin, shape)
    inner = (pixel[0] - window[0].start, pixel[1] - window[1].start)
    return MaskPatch(object_id, window, distance_to(inner, window_shape(window)) <= radius)


def _kept_core(base: MaskPatch, negative: tuple[Pixel, ...]) -> MaskPatch | None:
    """Remove discs around clicks inside a mask from its core."""
    core = core_of(base.mask)
    depth = ndimage.distance_transform_edt(np.pad(base.mask, 1))[1:-1, 1:-1]
    kept = core.copy()
    for pixel in negative:
        y, x = pixel[0] - base.window[0].start, pixel[1] - base.window[1].start
        if 0 <= y < core.shape[0] and 0 <= x < core.shape[1]:
            kept &= distance_to((y, x), core.shape) > depth[y, x]
    return MaskPatch(base.object_id, base.window, kept) if kept.any() else None
