"""Detection of two objects that track the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.bounding_boxes import Box, apart, box_of, placed, size_of, within
from napari_sam2.network import upsample_masks
from napari_sam2.tracking.decoding.prediction import ObjectPrediction

_SAME = 0.5  # IoU above which two masks are the same thing


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Pixels of a frame that an object takes for itself.

    Attributes
    ----------
    object_id : int
    distance : int
        Frames to the nearest one that the user decided; the nearer, the more the claim counts.
    inside : Box
        The part of the frame that holds the mask.
    mask : ndarray of bool, shape of that part
    score : float
        Decides between claims of equal distance.
    """

    object_id: int
    distance: int
    inside: Box
    mask: NDArray[np.bool_]
    score: float = 1.0


def find_identity_switches(
    predictions: Mapping[int, ObjectPrediction],
    occupied: NDArray[np.integer],
    distances: Mapping[int, int],
) -> set[int]:
    """Find the objects that track the same thing as another object.

    Parameters
    ----------
    predictions : mapping of int to ObjectPrediction
        By object id, all in one frame.
    occupied : ndarray of int, shape (Y, X)
        Labels of objects that are not predicted along.
    distances : mapping of int to int
        Frames to each object's nearest decided frame; objects without one count as decided.

    Returns
    -------
    set of int
        Ids, predicted or not, whose mask is mostly that of an object decided nearer by (IoU above
        a half).
    """
    shape = (occupied.shape[0], occupied.shape[1])
    found = [
        _claim(object_id, distances.get(object_id, 0), *_mask(each, shape), each.score)
        for object_id, each in predictions.items()
        if each.present
    ]
    claims = [claim for claim in found if claim is not None]
    met = {owner for claim in claims for owner in np.unique(occupied[claim.inside][claim.mask])}
    for owner in met - {0}:
        number = int(owner)
        whole = (slice(0, shape[0]), slice(0, shape[1]))
        other = _claim(number, distances.get(number, 0), whole, occupied == owner)
        claims += [other] if other is not None else []
    claims.sort(key=lambda claim: (claim.distance, -claim.score, claim.object_id))
    switched: set[int] = set()
    for box, members in apart([claim.inside for claim in claims]):
        if len(members) > 1:
            switched |= _judged([claims[index] for index in members], box)
    return switched


def _judged(claims: list[Claim], box: Box) -> set[int]:
    """Find the switched objects among claims in a box; earlier claims take precedence."""
    claimed = np.zeros(size_of(box), dtype=np.int64)
    areas: dict[int, int] = {}
    switched: set[int] = set()
    for claim in claims:
        held = claimed[within(claim.inside, box)]
        owners, shared = np.unique(held[claim.mask], return_counts=True)
        area = int(claim.mask.sum())
        if any(
            owner and common > _SAME * (areas[owner] + area - common)
            for owner, common in zip(owners.tolist(), shared.tolist(), strict=True)
        ):
            switched.add(claim.object_id)
            continue
        free = claim.mask & (held == 0)
        held[free] = claim.object_id
        areas[claim.object_id] = int(free.sum())
    return switched


def _mask(prediction: ObjectPrediction, shape: tuple[int, int]) -> tuple[Box, NDArray[np.bool_]]:
    """Return the part of the frame that a prediction covers, and its mask there."""
    window = prediction.window
    high = upsample_masks(prediction.logits[None, None], window.height, window.width)[0, 0]
    return window.inside(shape), (high[window.part(shape)] > 0).cpu().numpy()


def _claim(
    object_id: int, distance: int, inside: Box, mask: NDArray[np.bool_], score: float = 1.0
) -> Claim | None:
    """Return the claim of a mask, cut to its box; None if the mask is empty."""
    box = box_of(mask)
    if box is None:
        return None
    return Claim(object_id, distance, placed(box, inside), mask[box], score)
