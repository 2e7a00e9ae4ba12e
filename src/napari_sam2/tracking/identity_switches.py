"""Detection of two objects that track the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.masks import Box, apart, box_of, placed, size_of, within
from napari_sam2.network import upsample_masks
from napari_sam2.tracking.decoding.prediction import ObjectPrediction

_MIN_SHARE = 0.5  # IoU of two masks of one object; common share of a whole and its parts
_MIN_CLEAR_SHARE = 0.8  # that common share if a part is decided no nearer than the whole
_DISTANCE_SLACK = 1  # frames that a part may be farther from its decision than the whole object


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Pixels of a frame that an object claims.

    Attributes
    ----------
    object_id : int
    distance : int
        Frames to the nearest decided frame of the object; the smaller one wins.
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
        a half), or mostly made of several of them, as that of a cell which is followed on into
        its daughters.
    """
    claims = _claims(predictions, occupied, distances)
    claims.sort(key=lambda claim: (claim.distance, -claim.score, claim.object_id))
    switched: set[int] = set()
    for box, members in apart([claim.inside for claim in claims]):
        if len(members) > 1:
            switched |= _judged([claims[index] for index in members], box)
    return switched


def find_yielding(
    predictions: Mapping[int, ObjectPrediction],
    labels: NDArray[np.integer],
    distances: Mapping[int, int],
) -> set[int]:
    """Find the labels that give up pixels to predicted objects, all of which are decided nearer by.

    Parameters
    ----------
    predictions, distances
        See `find_identity_switches`.
    labels : ndarray of int, shape (Y, X)
        The frame as it is; old pixels of predicted objects do not count.

    Returns
    -------
    set of int
        Ids of labels.
    """
    yielding: dict[int, bool] = {}
    shape = (labels.shape[0], labels.shape[1])
    for object_id, each in predictions.items():
        if not each.present:
            continue
        inside, mask = _mask(each, shape)
        distance = distances.get(object_id, 0)
        for owner in np.unique(labels[inside][mask]).tolist():
            nearer = distance < distances.get(owner, 0)
            yielding[owner] = nearer and yielding.get(owner, True)
    met = yielding.keys() - predictions.keys() - {0}
    return {owner for owner in met if yielding[owner]}


def _claims(
    predictions: Mapping[int, ObjectPrediction],
    occupied: NDArray[np.integer],
    distances: Mapping[int, int],
) -> list[Claim]:
    """Return the claims of predicted objects and of the labels that they meet."""
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
    return claims


def _judged(claims: list[Claim], box: Box) -> set[int]:
    """Find the switched objects among claims in a box; earlier claims take precedence."""
    claimed = np.zeros(size_of(box), dtype=np.int64)
    areas: dict[int, int] = {}
    switched = _divided(claims, box)
    for claim in claims:
        if claim.object_id in switched:
            continue
        held = claimed[within(claim.inside, box)]
        owners, shared = np.unique(held[claim.mask], return_counts=True)
        area = int(claim.mask.sum())
        if any(
            owner and common > _MIN_SHARE * (areas[owner] + area - common)
            for owner, common in zip(owners.tolist(), shared.tolist(), strict=True)
        ):
            switched.add(claim.object_id)
            continue
        free = claim.mask & (held == 0)
        held[free] = claim.object_id
        areas[claim.object_id] = int(free.sum())
    return switched


def _divided(claims: list[Claim], box: Box) -> set[int]:
    """Find the objects among claims in a box that are made of several smaller ones.

    Where all of the parts are decided nearer by, most of the object and of its parts must agree;
    where some are decided a little farther away, nearly all.
    """
    areas = [int(claim.mask.sum()) for claim in claims]
    painted = np.full(size_of(box), -1, dtype=np.int64)
    shown = [0] * len(claims)
    found: set[int] = set()
    for index in sorted(range(len(claims)), key=areas.__getitem__):
        claim = claims[index]
        here = painted[within(claim.inside, box)]
        numbers, counts = np.unique(here[claim.mask], return_counts=True)
        parts = [
            (claims[number], common / shown[number], common)
            for number, common in zip(numbers.tolist(), counts.tolist(), strict=True)
            if number >= 0 and claims[number].distance <= claim.distance + _DISTANCE_SLACK
        ]
        nearer = all(part.distance < claim.distance for part, _, _ in parts)
        share = _MIN_SHARE if nearer else _MIN_CLEAR_SHARE
        inside = [common for _, within_it, common in parts if within_it > share]
        if len(inside) > 1 and sum(inside) > share * areas[index]:
            found.add(claim.object_id)
            continue
        free = claim.mask & (here < 0)
        here[free] = index
        shown[index] = int(free.sum())
    return found


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
