"""Scores of tracks against a ground truth: SEG, and the accuracy of links.

SEG is that of the Cell Tracking Challenge (Maska et al., Bioinformatics 2014; Ulman et al., Nature
Methods 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.label_masks import MaskSource
from napari_sam2.labels.divisions import checked_divisions, parents_of
from napari_sam2.types import Division

Frame = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class TrackScores:
    """Scores of tracks.

    Attributes
    ----------
    seg : float or None
        Mean Jaccard index of the true objects with the predicted ones that cover more than half of
        them, 0 where there is none; None without a true object.
    found_links, true_links : int
        Links of the truth that the prediction has, and all of them.
    wrong_links : int
        Links of the prediction that the truth has not.
    found_divisions, true_divisions : int
        Links from a parent to a child among the former.
    """

    seg: float | None
    found_links: int
    true_links: int
    wrong_links: int
    found_divisions: int
    true_divisions: int

    @property
    def link_accuracy(self) -> float | None:
        """Found links, of those that are true or were predicted; None if there are none."""
        every = self.true_links + self.wrong_links
        return self.found_links / every if every else None


def score_tracks(
    truth: Any,
    prediction: Any,
    true_divisions: Iterable[Division] = (),
    divisions: Iterable[Division] = (),
    *,
    segmented: Mapping[int, Frame] | None = None,
) -> TrackScores:
    """Compare the tracks of two label stacks, frame by frame.

    A link leads from an object in a frame to the same object in the next frame in which it is, or
    from the last frame of a parent to the first one of a child. It is found where both its objects
    are, and the prediction links those.

    Parameters
    ----------
    truth, prediction : array of int, shape (T, Y, X) or (T, Z, Y, X)
    true_divisions, divisions : iterable of Division
    segmented : mapping of int to ndarray, optional
        True segmentations for SEG, by frame, whose ids need not be those of the tracks (the ``SEG``
        folder of the Cell Tracking Challenge); the truth by default.

    Raises
    ------
    EvaluationError
        The shapes differ.
    LineageError
        Divisions cannot all be true.
    """
    if tuple(truth.shape) != tuple(prediction.shape):
        raise EvaluationError(
            f"Tracks of shape {tuple(truth.shape)} and {tuple(prediction.shape)} cannot be "
            "compared.",
            remedy="Compare results of the same stack.",
        )
    real, made = checked_divisions(true_divisions), checked_divisions(divisions)
    jaccards: list[float] = []
    partners: list[dict[int, int]] = []
    seen: list[set[int]] = []
    for frame in range(truth.shape[0]):
        expected, found = np.asarray(truth[frame]), np.asarray(prediction[frame])
        matched, scores = _matched(expected, found)
        partners.append(matched)
        seen.append(set(np.unique(found[found > 0]).tolist()))
        if segmented is None:
            jaccards += scores
        elif frame in segmented:
            jaccards += _matched(segmented[frame], found)[1]
    links = _links([set(each) for each in partners], real)
    predicted = _links(seen, made)
    right = set()
    born = 0
    for (child_frame, child), (frame, number) in links.items():
        here, there = partners[frame].get(number, 0), partners[child_frame].get(child, 0)
        if here and there and predicted.get((child_frame, there)) == (frame, here):
            right.add((child_frame, there))
            born += child != number
    return TrackScores(
        float(np.mean(jaccards)) if jaccards else None,
        len(right),
        len(links),
        len(predicted) - len(right),
        born,
        sum(child != number for (_, child), (_, number) in links.items()),
    )


def _links(
    frames: list[set[int]], divisions: Iterable[Division]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the frame and object that each frame and object is linked from."""
    parents = parents_of(divisions)
    last: dict[int, int] = {}
    links: dict[tuple[int, int], tuple[int, int]] = {}
    for frame, numbers in enumerate(frames):
        for number in numbers:
            if number in last:
                links[frame, number] = (last[number], number)
            elif parents.get(number) in last:
                links[frame, number] = (last[parents[number]], parents[number])
        last |= dict.fromkeys(numbers, frame)
    return links


def _matched(truth: Frame, prediction: Frame) -> tuple[dict[int, int], list[float]]:
    """Return the predicted object that covers more than half of each true one, else 0.

    And the Jaccard index of each true object with it.
    """
    areas = dict(zip(*(each.tolist() for each in _counts(truth)), strict=True))
    sizes = dict(zip(*(each.tolist() for each in _counts(prediction)), strict=True))
    both = (truth > 0) & (prediction > 0)
    pairs, common = np.unique(
        np.column_stack([truth[both], prediction[both]]), axis=0, return_counts=True
    )
    partner: dict[int, int] = dict.fromkeys(areas, 0)
    shared: dict[int, int] = {}
    for (number, other), pixels in zip(pairs.tolist(), common.tolist(), strict=True):
        if 2 * pixels > areas[number]:
            partner[number], shared[number] = other, pixels
    scores = [
        shared[number] / (area + sizes[partner[number]] - shared[number])
        if partner[number]
        else 0.0
        for number, area in areas.items()
    ]
    return partner, scores


def _counts(labels: Frame) -> tuple[NDArray[Any], NDArray[Any]]:
    ids, counts = np.unique(labels[labels > 0], return_counts=True)
    return ids, counts


class PatchLabels:
    """Masks of objects as labels (T, Y, X), drawn frame by frame; later objects lie on top."""

    def __init__(self, masks: MaskSource, shape: tuple[int, ...]) -> None:
        self._masks = masks
        self.shape = shape

    def __getitem__(self, frame: int) -> Frame:
        """Return the labels of a frame."""
        plane = np.zeros(self.shape[1:], dtype=np.int64)
        for patch in self._masks.patches(frame):
            plane[patch.window][patch.mask] = patch.object_id
        return plane
