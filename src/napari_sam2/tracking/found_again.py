"""What a search finds where objects that were found before were followed to.

In a time-lapse only: there a cell becomes two, and a mask that was followed for long is worse than
a new one. Pure functions of masks; they run on the session's thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels import PackedMask

# Measured on six samples and two sets, see docs/measurements/finding.md
_WITHIN = 0.7  # of a mask: it lies in the other one
_COVERED = 0.7  # of an object, by two that it has become
_HALVES = 0.5  # of a mask, by two objects that were followed back into it
_LEAST = 0.15  # of an object: less of it is no part that counts
_OTHER = 0.75  # IoU: less alike, the new mask is the better one


@dataclass(frozen=True, slots=True)
class FoundAgain:
    """Which found masks are those of objects that are there already.

    Attributes
    ----------
    renewed : mapping of int to int
        Object id by number of the mask: it is the better mask of that object.
    divided : mapping of int to (int, int)
        Numbers of two masks by the id of the object that has become both.
    joined : mapping of int to (int, int)
        Ids of two objects, that are not apart yet, by the number of the mask of both.
    """

    renewed: Mapping[int, int]
    divided: Mapping[int, tuple[int, int]]
    joined: Mapping[int, tuple[int, int]]


def found_again(
    labels: NDArray[np.integer],
    object_ids: Set[int],
    masks: Sequence[PackedMask],
) -> FoundAgain:
    """Compare masks that a search has found with the objects that were followed into its frame.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        All objects of the frame; 0 is none.
    object_ids : set of int
        Those that were only followed there.
    masks : sequence of N PackedMask
        Found as if these objects were not there; only those with fair scores.
    """
    areas = dict(zip(*map(np.ndarray.tolist, np.unique(labels, return_counts=True)), strict=True))
    renewed: dict[int, int] = {}
    joined: dict[int, tuple[int, int]] = {}
    parts: dict[int, list[tuple[int, int]]] = {}  # masks within an object, and what they share
    for number, mask in enumerate(masks):
        box, inside = mask.part()
        size = int(np.count_nonzero(inside))
        ids, counts = np.unique(labels[box][inside], return_counts=True)
        shared = {i: n for i, n in zip(ids.tolist(), counts.tolist(), strict=True) if i}
        met = [i for i, n in shared.items() if n >= min(_LEAST * size, _WITHIN * areas[i])]
        if len(met) == 2 and object_ids >= set(met):
            within = all(shared[i] >= max(_WITHIN * areas[i], _LEAST * size) for i in met)
            if within and sum(shared[i] for i in met) >= _HALVES * size:
                joined[number] = met[0], met[1]
        if len(met) != 1 or met[0] not in object_ids:
            continue
        (object_id,) = met
        common = shared[object_id]
        if common >= _WITHIN * size and common >= _LEAST * areas[object_id]:
            parts.setdefault(object_id, []).append((number, common))
        union = size + areas[object_id] - common
        if common >= _WITHIN * areas[object_id] and common < _OTHER * union:
            renewed[number] = object_id
    divided = {
        object_id: (found[0][0], found[1][0])
        for object_id, found in parts.items()
        if len(found) == 2 and sum(n for _, n in found) >= _COVERED * areas[object_id]
    }
    renewed = {number: each for number, each in renewed.items() if each not in divided}
    return FoundAgain(renewed, divided, joined)
