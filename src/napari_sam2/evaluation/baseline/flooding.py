"""Seeded watershed of one frame: all objects together, then corrections of each object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from napari_sam2.evaluation.baseline.grey_frame import Cut, GreyFrame
from napari_sam2.evaluation.baseline.seeds import GrowthSeed, grown
from napari_sam2.evaluation.label_masks import MaskPatch, Window, hull, relative
from napari_sam2.evaluation.metrics import Mask
from napari_sam2.evaluation.simulated_user import Pixel, distance_to
from napari_sam2.labels.masks import box_of

_MARK = 1
"""A click marks so many pixels to each side of it."""

_KEPT, _DROPPED = 1, 2

Shares = NDArray[np.int32]


def flood(frame: GreyFrame, seeds: Sequence[GrowthSeed], taken: Mask) -> list[MaskPatch]:
    """Segment the objects of a frame.

    The edges of the frame are flooded from the markers of all objects, within the foreground.
    Each object keeps its share, without holes and without what its own background clicks claim.

    Parameters
    ----------
    frame : GreyFrame
    seeds : sequence of GrowthSeed
    taken : ndarray of bool, shape (Y, X)
        Pixels that belong to others.

    Returns
    -------
    list of MaskPatch
        Those that are not empty; they do not overlap.
    """
    markers = _markers(frame, seeds)
    markers[taken] = 0
    shares = np.zeros(frame.shape, dtype=np.int32)
    groups: dict[Cut, list[int]] = {}
    for index, seed in enumerate(seeds):
        groups.setdefault(seed.cut, []).append(index)
    for cut, members in groups.items():
        window = _window([seeds[index] for index in members], frame.shape)
        flooded = _flood_window(frame, cut, window, markers[window], taken[window])
        for index in members:
            _claim(shares, flooded, window, index + 1, seeds[index].reach)
    windows = ndimage.find_objects(shares, max_label=len(seeds))
    patches = []
    for index, seed in enumerate(seeds):
        patch = _finish(frame, seed, index + 1, windows[index], shares, taken)
        if patch is not None:
            patches.append(patch)
    return patches


def _markers(frame: GreyFrame, seeds: Sequence[GrowthSeed]) -> Shares:
    """Mark cores, then the surroundings of clicks, then the clicks, each over the former.

    Clicks outside the foreground are no markers: they would flood the background.
    """
    markers = np.zeros(frame.shape, dtype=np.int32)
    numbered = list(enumerate(seeds, start=1))
    for number, seed in numbered:
        if seed.core is not None:
            markers[seed.core.window][seed.core.mask] = number
    for margin in (_MARK, 0):
        for number, seed in numbered:
            for pixel in seed.positive:
                if frame.foreground(seed.cut, _around(pixel, 0, frame.shape)).all():
                    markers[_around(pixel, margin, frame.shape)] = number
    return markers


def _flood_window(
    frame: GreyFrame, cut: Cut, window: Window, markers: Shares, taken: Mask
) -> Shares:
    mask = (frame.foreground(cut, window) | (markers > 0)) & ~taken
    flooded: Shares = watershed(frame.edges[window], markers, mask=mask)
    return flooded


def _claim(
    shares: Shares, flooded: Shares, window: Window, number: int, reach: MaskPatch | None
) -> None:
    """Add an object's part of a flooded window, within its reach and where no other object is."""
    if reach is None:
        free = shares[window]
        free[(flooded == number) & (free == 0)] = number
        return
    free = shares[reach.window]
    free[(flooded[relative(reach.window, window)] == number) & reach.mask & (free == 0)] = number


def _finish(
    frame: GreyFrame,
    seed: GrowthSeed,
    number: int,
    window: Window | None,
    shares: Shares,
    taken: Mask,
) -> MaskPatch | None:
    """Fill holes, reach out to clicks that were left out, obey background clicks.

    An object that is only followed, not clicked, stays in one piece.
    """
    window = _with_clicks(seed, window, shares, number, frame.shape)
    if window is None:
        return None
    share = shares[window] == number
    free = ((shares[window] == 0) | share) & ~taken[window]
    mask: Mask = ndimage.binary_fill_holes(share) & free
    for pixel in seed.positive:
        mask |= _reached(mask, _moved(pixel, window)) & free
    if seed.negative:
        mask = _corrected(frame, seed, window, mask)
    if seed.core is not None and not seed.positive:
        mask = _main_piece(mask, seed.core, window)
    shares[window][share] = 0
    shares[window][mask] = number
    inner = box_of(mask)
    if inner is None:
        return None
    rows, columns = (
        slice(side.start + origin.start, side.stop + origin.start)
        for side, origin in zip(inner, window, strict=True)
    )
    return MaskPatch(seed.object_id, (rows, columns), mask[inner])


def _main_piece(mask: Mask, core: MaskPatch, window: Window) -> Mask:
    """Keep the connected piece of a mask that contains most of a core."""
    components, count = ndimage.label(mask)
    if count < 2:
        return mask
    whole = hull(core.window, window)
    held = components[core.within(whole)[relative(window, whole)]]
    sizes = np.bincount(held, minlength=count + 1)[1:]
    piece: Mask = components == 1 + int(np.argmax(sizes))
    return piece


def _with_clicks(
    seed: GrowthSeed, window: Window | None, shares: Shares, number: int, shape: tuple[int, int]
) -> Window | None:
    """Widen an object's window to discs around the clicks that it does not hold."""
    share = shares[window] if window is not None else shares[:0]
    radius = math.ceil(_disc_radius(share == number))
    outside = [_around(pixel, radius, shape) for pixel in seed.positive if shares[pixel] != number]
    windows = outside if window is None else [window, *outside]
    return reduce(hull, windows) if windows else None


def _reached(mask: Mask, pixel: Pixel) -> Mask:
    """Return the disc around a click that joins it to a mask, no larger than the mask itself."""
    distance = distance_to(pixel, mask.shape)
    nearest = float(distance[mask].min(initial=np.inf))
    radius = min(nearest + 1, _disc_radius(mask)) if nearest > 0 else 0.0
    disc: Mask = distance <= radius
    return disc


def _disc_radius(mask: Mask) -> float:
    return max(_MARK + 1.0, math.sqrt(np.count_nonzero(mask) / math.pi))


def _corrected(frame: GreyFrame, seed: GrowthSeed, window: Window, mask: Mask) -> Mask:
    """Flood a mask from known pixels and background clicks; return the pixels of the former."""
    markers = np.zeros(mask.shape, dtype=np.int32)
    if seed.core is not None:
        whole = hull(seed.core.window, window)
        markers[seed.core.within(whole)[relative(window, whole)]] = _KEPT
    for pixels, kind in ((seed.positive, _KEPT), (seed.negative, _DROPPED)):
        for pixel in pixels:
            y, x = _moved(pixel, window)
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]:
                markers[_around((y, x), _MARK, mask.shape)] = kind
    flooded = watershed(frame.edges[window], markers, mask=mask)
    kept: Mask = flooded == _KEPT
    return kept


def _window(seeds: Sequence[GrowthSeed], shape: tuple[int, int]) -> Window:
    windows = [seed.reach.window for seed in seeds if seed.reach is not None]
    if len(windows) < len(seeds):
        return slice(0, shape[0]), slice(0, shape[1])
    return reduce(hull, windows)


def _around(pixel: Pixel, margin: int, shape: tuple[int, ...]) -> Window:
    here = (slice(pixel[0], pixel[0] + 1), slice(pixel[1], pixel[1] + 1))
    return grown(here, margin, (shape[0], shape[1]))


def _moved(pixel: Pixel, window: Window) -> Pixel:
    return pixel[0] - window[0].start, pixel[1] - window[1].start
