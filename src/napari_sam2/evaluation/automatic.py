"""Evaluation of segmentation without prompts, on its own or beside threshold and watershed.

torch loads only when a model is used: tracking is imported then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from napari_sam2.evaluation.matching import Overlaps, segmentation_accuracy
from napari_sam2.evaluation.pairs import LabelledPair, read_pair
from napari_sam2.stack import FrameStack, StackKind

if TYPE_CHECKING:
    from napari_sam2.tracking import Model

_MATCH = 0.5  # IoU from which on a label is that of a true object
_KEPT = 0.8  # share of its frames in which a kept object has one id
_LEAST = 20  # pixels of an object of the watershed

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class AutomaticScore:
    """Scores of one stack or of the mean of several.

    Attributes
    ----------
    name : str
    objects : int
        True objects in the frames that were searched.
    msa, sa50 : float
        Segmentation accuracy in the searched frame; see `segmentation_accuracy`.
    precision, recall : float
        Of objects with an IoU above a half, in the searched frame.
    seconds : float
        Per searched frame.
    kept : float or None
        Share of the true objects of a stack that have an id of their own in at least 80 % of
        their frames; None for single images.
    stack_f1 : float or None
        See `f1_through`; None for single images.
    first_channel : bool
        Whether an image has further channels, which were not looked at.
    """

    name: str
    objects: int
    msa: float
    sa50: float
    precision: float
    recall: float
    seconds: float
    kept: float | None = None
    stack_f1: float | None = None
    first_channel: bool = False

    @classmethod
    def mean(cls, name: str, scores: Sequence[AutomaticScore]) -> AutomaticScore:
        """Return the mean of scores; of `kept` and `stack_f1`, over those that have them."""
        kept = [each.kept for each in scores if each.kept is not None]
        through = [each.stack_f1 for each in scores if each.stack_f1 is not None]
        return cls(
            name,
            sum(each.objects for each in scores),
            fmean(each.msa for each in scores),
            fmean(each.sa50 for each in scores),
            fmean(each.precision for each in scores),
            fmean(each.recall for each in scores),
            fmean(each.seconds for each in scores),
            fmean(kept) if kept else None,
            fmean(through) if through else None,
            any(each.first_channel for each in scores),
        )


def evaluate_automatic(
    pairs: Sequence[LabelledPair],
    model: Model,
    *,
    every: int | None = None,
    kind: StackKind | None = None,
    progress: Callable[[str], None] = lambda name: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[AutomaticScore]:
    """Search the middle frame of each stack; with `every`, also track the found objects.

    Parameters
    ----------
    pairs : sequence of LabelledPair
    model : Model
    every : int, optional
        Search again in every so many frames; see `find_and_follow`. Without it stacks are not
        followed.
    kind : StackKind, optional
        What the frames of all stacks are; by default what the axes of each image say.
    progress : callable
        Called with the name of each stack before it is searched.
    cancelled : callable
        Called often; True ends the evaluation with the scores so far.
    """
    from napari_sam2.tracking import TrackingSession
    from napari_sam2.tracking.automatic import find_and_follow

    scores: list[AutomaticScore] = []
    for pair in pairs:
        progress(pair.name)
        stack, truth = read_pair(pair, kind)
        frame = stack.n_frames // 2
        session = TrackingSession(model, stack)
        began = time.perf_counter()
        session.find_objects(frame, cancelled=cancelled)
        seconds = time.perf_counter() - began
        score = frame_score(pair.name, session.labels[frame], truth[frame], seconds)
        score = replace(score, first_channel=len(stack.channels) < stack.channel_count)
        if every is not None and stack.n_frames > 1 and not cancelled():
            session = TrackingSession(model, stack)
            for _ in find_and_follow(session, frame, every=every, cancelled=cancelled):
                if cancelled():
                    break
            score = replace(
                score,
                kept=share_kept(session.labels, truth),
                stack_f1=f1_through(session.labels, truth),
            )
        if cancelled():
            break
        scores.append(score)
    return scores


def evaluate_watershed(pairs: Sequence[LabelledPair]) -> list[AutomaticScore]:
    """Segment the middle frame of each stack by threshold and watershed."""
    scores = []
    for pair in pairs:
        stack, truth = read_pair(pair)
        frame = stack.n_frames // 2
        began = time.perf_counter()
        labels = watershed_labels(stack, frame)
        scores.append(frame_score(pair.name, labels, truth[frame], time.perf_counter() - began))
    return scores


def watershed_labels(stack: FrameStack, frame: int) -> Labels:
    """Segment a frame: Otsu's threshold, and a watershed from the peaks of the distance to it.

    The side of the threshold with less area is taken for the objects.
    """
    grey = ndimage.gaussian_filter(stack.read(frame).mean(axis=2), 1.0)
    if np.ptp(grey) == 0:
        return np.zeros(grey.shape, np.int32)
    inside = grey > threshold_otsu(grey)
    if inside.mean() > 0.5:
        inside = ~inside
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), 1.0)
    peaks = peak_local_max(distance, min_distance=5, labels=inside.astype(int))
    seeds = np.zeros(grey.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels: Labels = watershed(-distance, seeds, mask=inside)
    sizes = np.bincount(labels.ravel())
    labels[np.isin(labels, np.flatnonzero(sizes < _LEAST))] = 0
    return labels


def frame_score(name: str, labels: Labels, truth: Labels, seconds: float = 0.0) -> AutomaticScore:
    """Compare the labels of one frame with the truth."""
    overlaps = _overlaps(labels, truth)
    accuracy = segmentation_accuracy(overlaps)
    hits = len(_matches(labels, truth))
    true, found = len(overlaps.truth_sizes), len(overlaps.prediction_sizes)
    return AutomaticScore(
        name,
        true,
        accuracy.msa,
        accuracy.sa50,
        hits / found if found else float(not true),
        hits / true if true else float(not found),
        seconds,
    )


def share_kept(labels: Labels, truth: Labels) -> float:
    """Return the share of true objects that one id covers in at least 80 % of their frames.

    An id counts for one object only: the one that it covers in most frames.

    Parameters
    ----------
    labels, truth : ndarray of int, shape (T, Y, X)
    """
    life: Counter[int] = Counter()
    ids: dict[int, Counter[int]] = {}
    for here, there in zip(labels, truth, strict=True):
        life.update(int(number) for number in np.unique(there) if number)
        for true, label in _matches(here, there).items():
            ids.setdefault(true, Counter())[label] += 1
    if not life:
        return 1.0
    owner: dict[int, tuple[int, int]] = {}  # by id: frames and object
    for true, labels_of in ids.items():
        for label, frames in labels_of.items():
            owner[label] = max(owner.get(label, (0, 0)), (frames, true))
    kept = {true for frames, true in owner.values() if frames >= _KEPT * life[true]}
    return len(kept) / len(life)


def f1_through(labels: Labels, truth: Labels) -> float:
    """Return the F1 of the masks of all frames: how many are there, and how few that should not be.

    Twice the masks with an IoU above one half over all masks, found and true; ids do not count.

    Parameters
    ----------
    labels, truth : ndarray of int, shape (T, Y, X)
    """
    hits = masks = 0
    for here, there in zip(labels, truth, strict=True):
        hits += len(_matches(here, there))
        masks += sum(len(np.unique(each[each > 0])) for each in (here, there))
    return 2 * hits / masks if masks else 1.0


def _overlaps(labels: Labels, truth: Labels) -> Overlaps:
    true_ids, true = np.unique(truth, return_inverse=True)
    label_ids, found = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(true_ids), len(label_ids)), np.int64)
    np.add.at(counts, (true.ravel(), found.ravel()), 1)
    sizes = counts.sum(axis=1)[true_ids > 0], counts.sum(axis=0)[label_ids > 0]
    shared = counts[true_ids > 0][:, label_ids > 0]
    rows, columns = np.nonzero(shared)
    return Overlaps(rows, columns, shared[rows, columns], *sizes)


def _matches(labels: Labels, truth: Labels) -> dict[int, int]:
    """Return the label of every true object that is covered by more than half."""
    true_ids, label_ids = (np.unique(each[each > 0]) for each in (truth, labels))
    overlaps = _overlaps(labels, truth)
    alike = overlaps.common > _MATCH * overlaps.union
    pairs = zip(overlaps.truth[alike], overlaps.prediction[alike], strict=True)
    return {int(true_ids[true]): int(label_ids[label]) for true, label in pairs}
