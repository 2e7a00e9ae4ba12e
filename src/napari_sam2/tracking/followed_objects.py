"""Matches of the masks that a search finds with objects that were followed into its frame.

Used in time-lapses only: there a cell divides, and a new mask is better than one that was followed
over many frames. Pure functions of masks; they run on the session's thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels import PackedMask

# Fractions of areas, chosen on six samples and two data sets; see docs/measurements/finding.md.
_MIN_INSIDE = 0.7  # of a mask, for it to lie inside another one
_MIN_IN_CHILDREN = 0.7  # of an object, in the masks of its two children
_MIN_IN_PARTS = 0.5  # of a mask, in the two objects that it joins
_MIN_SHARED = 0.15  # of a mask or object; a smaller overlap is ignored
_MAX_IOU_TO_RENEW = 0.75  # of a mask with an object; the mask replaces an object less like it


@dataclass(frozen=True, slots=True)
class FollowedMatch:
    """Found masks that match objects of the session.

    Attributes
    ----------
    renewed : mapping of int to int
        Index of a mask to the object id whose mask it replaces.
    divided : mapping of int to (int, int)
        Object id to the indices of the masks of its two children.
    joined : mapping of int to (int, int)
        Index of a mask to the ids of the two objects that it joins: they have not divided yet.
    """

    renewed: Mapping[int, int]
    divided: Mapping[int, tuple[int, int]]
    joined: Mapping[int, tuple[int, int]]


def match_followed(
    labels: NDArray[np.integer],
    object_ids: Set[int],
    masks: Sequence[PackedMask],
) -> FollowedMatch:
    """Match masks that a search found with objects that were followed into its frame.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        All objects of the frame; 0 is none.
    object_ids : set of int
        Objects that were followed into the frame and not decided there.
    masks : sequence of N PackedMask
        Masks with fair scores, of a search that ignored these objects.
    """
    areas = dict(zip(*map(np.ndarray.tolist, np.unique(labels, return_counts=True)), strict=True))
    renewed: dict[int, int] = {}
    joined: dict[int, tuple[int, int]] = {}
    parts: dict[int, list[tuple[int, int]]] = {}  # object id: (mask index, shared pixels)
    for number, mask in enumerate(masks):
        box, inside = mask.part()
        size = int(np.count_nonzero(inside))
        ids, counts = np.unique(labels[box][inside], return_counts=True)
        shared = {i: n for i, n in zip(ids.tolist(), counts.tolist(), strict=True) if i}
        met = [i for i, n in shared.items() if n >= min(_MIN_SHARED * size, _MIN_INSIDE * areas[i])]
        if len(met) == 2 and object_ids >= set(met):
            within = all(shared[i] >= max(_MIN_INSIDE * areas[i], _MIN_SHARED * size) for i in met)
            if within and sum(shared[i] for i in met) >= _MIN_IN_PARTS * size:
                joined[number] = met[0], met[1]
        if len(met) != 1 or met[0] not in object_ids:
            continue
        (object_id,) = met
        common = shared[object_id]
        if common >= _MIN_INSIDE * size and common >= _MIN_SHARED * areas[object_id]:
            parts.setdefault(object_id, []).append((number, common))
        union = size + areas[object_id] - common
        if common >= _MIN_INSIDE * areas[object_id] and common < _MAX_IOU_TO_RENEW * union:
            renewed[number] = object_id
    divided = {
        object_id: (found[0][0], found[1][0])
        for object_id, found in parts.items()
        if len(found) == 2 and sum(n for _, n in found) >= _MIN_IN_CHILDREN * areas[object_id]
    }
    renewed = {number: each for number, each in renewed.items() if each not in divided}
    return FollowedMatch(renewed, divided, joined)
