"""Found objects that go on where others were lost: they keep the ids of those.

Pure functions of masks and what the network sees in them; they run on the session's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels import PackedMask

REACH = 5
"""Frames over which a lost object can be found again."""
_SHARED = 0.5  # of the smaller of two masks
_SEEN = 0.4  # mean probability of an object in the frames between


@dataclass(frozen=True, slots=True, eq=False)
class LastMask:
    """Where an object was in the nearest frame that shows it.

    Attributes
    ----------
    object_id, frame : int
    mask : PackedMask
    """

    object_id: int
    frame: int
    mask: PackedMask


def last_masks(
    frame: int,
    object_ids: frozenset[int],
    n_frames: int,
    labels_of: Callable[[int], NDArray[np.integer[Any]]],
) -> Iterator[LastMask]:
    """Find the nearest masks, within reach of a frame, of objects that are not in it.

    Parameters
    ----------
    frame : int
    object_ids : frozenset of int
        Objects that may have been lost.
    n_frames : int
    labels_of : callable
        Gives the labels (Y, X) of a frame.
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


def continued(
    frame: int,
    masks: Sequence[PackedMask],
    lost: Sequence[LastMask],
    seen: Callable[[int, PackedMask], float | None],
) -> Mapping[int, int]:
    """Tell which found masks are those of objects that were lost.

    A mask is that of a lost object if it shares half of its pixels, or of that object's last ones,
    and if the network sees an object there in all frames between. An object that nothing was seen
    of has ended: what is found in its place is another one.

    Parameters
    ----------
    frame : int
        Of the masks.
    masks : sequence of N PackedMask
    lost : sequence of LastMask
    seen : callable
        Gives the mean probability, in 0..1, that pixels of a mask in a frame belong to any object;
        None if the network cannot tell.

    Returns
    -------
    mapping of int to int
        Object id by the number of the mask; every mask and every object at most once.
    """
    shares = []
    for place, each in enumerate(lost):
        for number, mask in enumerate(masks):
            share, iou = mask.shared_with(each.mask)
            if share >= _SHARED:
                shares.append((iou, number, place))
    found: dict[int, int] = {}
    for _, number, place in sorted(shares, key=lambda each: (-each[0], each[1:])):
        each = lost[place]
        if number in found or each.object_id in found.values():
            continue
        between = range(min(frame, each.frame) + 1, max(frame, each.frame))
        values = [seen(between_frame, masks[number]) for between_frame in between]
        if all(value is not None and value >= _SEEN for value in values):
            found[number] = each.object_id
    return found


def remains_of_ended(
    masks: Sequence[PackedMask],
    lost: Sequence[LastMask],
    faded: Callable[[int, PackedMask], bool],
) -> frozenset[int]:
    """Tell which found masks are only the haze of objects that have ended.

    Parameters
    ----------
    masks : sequence of N PackedMask
    lost : sequence of LastMask
    faded : callable
        Tells whether an object has faded, if it is where a mask is.

    Returns
    -------
    frozenset of int
        Numbers of masks that share half of their pixels with the last ones of such an object.
    """
    return frozenset(
        number
        for number, mask in enumerate(masks)
        if any(
            mask.shared_with(each.mask)[0] >= _SHARED and faded(each.object_id, mask)
            for each in lost
        )
    )
