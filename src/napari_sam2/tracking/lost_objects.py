"""Matches of the masks that a search finds with objects lost near the searched frame.

A matched mask keeps the id of the lost object. Pure functions of masks and of the network's object
probability in them; they run on the session's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels import PackedMask

REACH = 5
"""Most frames between a lost object's last mask and the mask that continues it."""
_MIN_OVERLAP = 0.5  # shared pixels, as a fraction of the smaller of two masks
_MIN_OBJECTNESS = 0.4  # mean object probability under a mask, in every frame between


@dataclass(frozen=True, slots=True, eq=False)
class LastMask:
    """The mask of an object in the nearest frame that shows it.

    Attributes
    ----------
    object_id, frame : int
    mask : PackedMask
    """

    object_id: int
    frame: int
    mask: PackedMask


def find_last_masks(
    frame: int,
    object_ids: frozenset[int],
    n_frames: int,
    labels_of: Callable[[int], NDArray[np.integer[Any]]],
) -> Iterator[LastMask]:
    """Find the nearest mask, at most `REACH` frames away, of each object missing in a frame.

    Parameters
    ----------
    frame : int
    object_ids : frozenset of int
        Objects that may have been lost.
    n_frames : int
    labels_of : callable
        Returns the labels (Y, X) of a frame.
    """
    left = set(object_ids)
    left -= set(np.unique(labels_of(frame)).tolist())
    for distance in range(1, REACH + 1):
        for near in (frame - distance, frame + distance):
            if not left or not 0 <= near < n_frames:
                continue
            labels = labels_of(near)
            here = left & set(np.unique(labels).tolist())
            for object_id in sorted(here):
                yield LastMask(object_id, near, PackedMask.of(labels == object_id))
            left -= here


def match_lost(
    frame: int,
    masks: Sequence[PackedMask],
    lost: Sequence[LastMask],
    seen: Callable[[int, PackedMask], float | None],
) -> Mapping[int, int]:
    """Match found masks with lost objects.

    A mask continues a lost object if it shares half of the pixels of the smaller of both masks, and
    if the network sees an object there in all frames between. If the network sees none in a frame
    between, the lost object has ended, and the mask shows another object.

    Parameters
    ----------
    frame : int
        Frame of the masks.
    masks : sequence of N PackedMask
    lost : sequence of LastMask
    seen : callable
        Returns the mean object probability, in 0..1, of the pixels of a mask in a frame; None if
        the network does not predict it.

    Returns
    -------
    mapping of int to int
        Index of the mask to object id; every mask and every object at most once.
    """
    shares = []
    for place, each in enumerate(lost):
        for number, mask in enumerate(masks):
            share, iou = mask.shared_with(each.mask)
            if share >= _MIN_OVERLAP:
                shares.append((iou, number, place))
    found: dict[int, int] = {}
    for _, number, place in sorted(shares, key=lambda each: (-each[0], each[1:])):
        each = lost[place]
        if number in found or each.object_id in found.values():
            continue
        between = range(min(frame, each.frame) + 1, max(frame, each.frame))
        values = [seen(between_frame, masks[number]) for between_frame in between]
        if all(value is not None and value >= _MIN_OBJECTNESS for value in values):
            found[number] = each.object_id
    return found


def find_remnants(
    masks: Sequence[PackedMask],
    lost: Sequence[LastMask],
    faded: Callable[[int, PackedMask], bool],
) -> frozenset[int]:
    """Find masks that show only the fading remnant of an object that has ended.

    Parameters
    ----------
    masks : sequence of N PackedMask
    lost : sequence of LastMask
    faded : callable
        Tells whether an object has faded, given its id and a mask of it.

    Returns
    -------
    frozenset of int
        Indices of masks that share half of the pixels of the smaller mask with the last mask of
        such an object.
    """
    return frozenset(
        number
        for number, mask in enumerate(masks)
        if any(
            mask.shared_with(each.mask)[0] >= _MIN_OVERLAP and faded(each.object_id, mask)
            for each in lost
        )
    )
