"""Means over objects and stacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from napari_sam2.evaluation.scores import SIZE_CLASSES, ObjectScore, SequenceScore


@dataclass(frozen=True, slots=True)
class ClickCount:
    """How many interactions objects took to reach an IoU.

    Attributes
    ----------
    iou : float
    clicks : float
        Mean over objects; one that never reaches it counts as one more than there were.
    reached : float
        Share of the objects that reach it.
    """

    iou: float
    clicks: float
    reached: float


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """Means over some objects.

    Attributes
    ----------
    name : str
    objects : int
    iou, dice, j, f, life : float
        After all corrections.
    curve : tuple of float
        IoU after the first prompt and after each round of corrections.
    to_80, to_90 : ClickCount
        Interactions to an IoU of .8 and .9.
    """

    name: str
    objects: int
    iou: float
    dice: float
    j: float
    f: float
    life: float
    curve: tuple[float, ...]
    to_80: ClickCount
    to_90: ClickCount


@dataclass(frozen=True, slots=True)
class SetSummary:
    """The scores of all sequences of one folder, or of all folders.

    Attributes
    ----------
    name : str
    sequences : int
    objects : ObjectSummary
        Means over objects.
    iou_per_sequence : float
        Mean over sequences of the mean over their objects.
    msa, sa50 : tuple of float
        Segmentation accuracies, mean over sequences, after the first prompts and after each
        round of corrections.
    seconds_per_interaction, seconds_per_response : float
        Medians; see `SequenceScore`.
    seconds : float
        Wall time of prompting, correcting and propagating.
    """

    name: str
    sequences: int
    objects: ObjectSummary
    iou_per_sequence: float
    msa: tuple[float, ...]
    sa50: tuple[float, ...]
    seconds_per_interaction: float
    seconds_per_response: float
    seconds: float


def summarise_objects(name: str, objects: Sequence[ObjectScore]) -> ObjectSummary:
    """Average over objects, of which there is at least one."""
    return ObjectSummary(
        name=name,
        objects=len(objects),
        iou=fmean(score.iou for score in objects),
        dice=fmean(score.dice for score in objects),
        j=fmean(score.j for score in objects),
        f=fmean(score.f for score in objects),
        life=fmean(score.life for score in objects),
        curve=_means([score.curve for score in objects]),
        to_80=count_clicks(objects, 0.8),
        to_90=count_clicks(objects, 0.9),
    )


def summarise_sequences(name: str, sequences: Sequence[SequenceScore]) -> SetSummary:
    """Average over sequences, of which there is at least one."""
    return SetSummary(
        name=name,
        sequences=len(sequences),
        objects=summarise_objects(name, [score for one in sequences for score in one.objects]),
        iou_per_sequence=fmean(one.iou for one in sequences),
        msa=_means([one.msa for one in sequences]),
        sa50=_means([one.sa50 for one in sequences]),
        seconds_per_interaction=median(s for one in sequences for s in one.interactions),
        seconds_per_response=median(s for one in sequences for s in one.responses),
        seconds=sum(one.seconds for one in sequences),
    )


def summarise_sizes(objects: Sequence[ObjectScore]) -> tuple[ObjectSummary, ...]:
    """Average over the objects of each size class that has any, the smallest class first."""
    classes = [
        (name, [score for score in objects if score.size_class == name]) for name in SIZE_CLASSES
    ]
    return tuple(summarise_objects(name, members) for name, members in classes if members)


def count_clicks(objects: Sequence[ObjectScore], iou: float) -> ClickCount:
    """Count the interactions to an IoU; objects that never reach it count as one more."""
    counts = [score.clicks_to(iou) for score in objects]
    return ClickCount(
        iou,
        clicks=fmean(
            len(score.curve) + 1 if count is None else count
            for score, count in zip(objects, counts, strict=True)
        ),
        reached=fmean(count is not None for count in counts),
    )


def _means(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(fmean(column) for column in zip(*rows, strict=True))
