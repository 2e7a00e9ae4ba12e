"""Scores of objects, frames and sequences, and their summaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.linking import TrackScores

SIZE_EDGES = (8, 16, 32, 64)
"""Diameters, in pixels, that divide objects into size classes."""


HARM = 0.005
"""A corrective click does harm if it lowers the IoU of its frame by more than this."""


@dataclass(frozen=True, slots=True)
class ClickEffect:
    """The effect of one corrective click on the mask of its object in its frame.

    Attributes
    ----------
    positive : bool
        True on what was missing, False on what was too much.
    before, after : float
        IoU of the object's mask in that frame.
    vanished : bool
        The mask held a part of the object before the click and holds none after it.
    """

    positive: bool
    before: float
    after: float
    vanished: bool

    @property
    def helps(self) -> bool:
        """Whether the click raised the IoU."""
        return self.after > self.before

    @property
    def harms(self) -> bool:
        """Whether the click lowered the IoU by more than `HARM`."""
        return self.after < self.before - HARM


@dataclass(frozen=True, slots=True)
class FrameScore:
    """Score of one object in its prompted frame, before propagation.

    Attributes
    ----------
    curve : tuple of float
        IoU in that frame after the first prompt and after each corrective click there.
    f : float
        Boundary accuracy F after the last of them.
    clicks : tuple of ClickEffect
        The corrective clicks; fewer than asked for where nothing was wrong any more.
    """

    curve: tuple[float, ...]
    f: float
    clicks: tuple[ClickEffect, ...]

    @property
    def iou(self) -> float:
        """IoU after the last click."""
        return self.curve[-1]


@dataclass(frozen=True, slots=True)
class ObjectScore:
    """Score of one object after all corrections.

    Attributes
    ----------
    object_id : int
    prompt_frame : int
        The frame that got the first prompt.
    frames : int
        Frames of the stack that truly hold the object.
    diameter : float
        That of the disc with the object's area, in pixels; of the median area over its frames.
    iou : float
        Intersection over union of the object's pixels over all frames together.
    dice : float
        Dice coefficient of the same pixels.
    j, f : float
        Region similarity J and boundary accuracy F, mean over the frames where the
        object is in the truth or in the prediction.
    life : float
        J over the frames that truly hold the object alone: whether it was followed, not whether
        its end was found. Labels made by a tracker often end before their objects do.
    curve : tuple of float
        `iou` after the first propagation and after each round of corrections.
    in_frame : FrameScore
        The prompted frame before the first propagation.
    """

    object_id: int
    prompt_frame: int
    frames: int
    diameter: float
    iou: float
    dice: float
    j: float
    f: float
    life: float
    curve: tuple[float, ...]
    in_frame: FrameScore

    @property
    def size_class(self) -> str:
        """The size class of its diameter, such as ``16-32 px``."""
        return size_class(self.diameter)

    def clicks_to(self, iou: float) -> int | None:
        """Return the number of interactions until an IoU was reached; None if it never was."""
        reached = (number for number, value in enumerate(self.curve, start=1) if value >= iou)
        return next(reached, None)


@dataclass(frozen=True, slots=True)
class SequenceScore:
    """The scores of one stack by one method.

    Attributes
    ----------
    name, group : str
        Of the pair on disk: its name and its folder's.
    shape : (int, int, int)
        (T, Y, X).
    objects : tuple of ObjectScore
    msa, sa50 : tuple of float
        Segmentation accuracy of the whole stack (see `segmentation_accuracy`) after the first
        prompts and after each round of corrections.
    interactions : tuple of float
        Seconds of each interaction: the prompt or click itself and its share of the propagation
        that followed.
    responses : tuple of float
        Seconds of each prompt or click alone.
    tracks : TrackScores or None
        SEG and links; None of a single image.
    first_channel : bool
        Whether the image has further channels, which were not looked at.
    """

    name: str
    group: str
    shape: tuple[int, int, int]
    objects: tuple[ObjectScore, ...]
    msa: tuple[float, ...]
    sa50: tuple[float, ...]
    interactions: tuple[float, ...]
    responses: tuple[float, ...]
    tracks: TrackScores | None = None
    first_channel: bool = False

    @property
    def single(self) -> bool:
        """Whether the sequence is a single image."""
        return self.shape[0] == 1

    @property
    def iou(self) -> float:
        """Mean of the objects' IoU."""
        return fmean(score.iou for score in self.objects)

    @property
    def frame_iou(self) -> float:
        """Mean of the objects' IoU in their prompted frames alone."""
        return fmean(score.in_frame.iou for score in self.objects)

    @property
    def j(self) -> float:
        """Mean of the objects' J."""
        return fmean(score.j for score in self.objects)

    @property
    def f(self) -> float:
        """Mean of the objects' F."""
        return fmean(score.f for score in self.objects)

    @property
    def life(self) -> float:
        """Mean of the objects' J over the frames that they are in."""
        return fmean(score.life for score in self.objects)

    @property
    def dice(self) -> float:
        """Mean of the objects' Dice coefficients."""
        return fmean(score.dice for score in self.objects)

    @property
    def seconds(self) -> float:
        """Wall time of prompting, correcting and propagating."""
        return sum(self.interactions)


def size_class(diameter: float) -> str:
    """Name the class of an object's diameter in pixels: octaves from 8 to 64 pixels."""
    index = sum(diameter >= edge for edge in SIZE_EDGES)
    return SIZE_CLASSES[index]


def _names(edges: Sequence[int]) -> tuple[str, ...]:
    between = [f"{low}-{high} px" for low, high in pairwise(edges)]
    return f"< {edges[0]} px", *between, f">= {edges[-1]} px"


SIZE_CLASSES = _names(SIZE_EDGES)
"""Names of the size classes, the smallest first."""


def equal_area_diameter(areas: NDArray[np.int64]) -> float:
    """Diameter of the disc with the median area, in pixels, over the frames that hold an object.

    Parameters
    ----------
    areas : ndarray of int, shape (T,)
        Pixels in each frame; at least one is above 0.
    """
    return 2 * math.sqrt(float(np.median(areas[areas > 0])) / math.pi)


@dataclass(frozen=True, slots=True)
class ClickCount:
    """The number of interactions until objects reach an IoU.

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
class ClickSummary:
    """Effects of all corrective clicks in the prompted frames.

    Attributes
    ----------
    clicks : int
    helped, harmless : float
        Shares of them after which the IoU is higher, and not lower by more than `HARM`.
    background : int
        Number of background clicks.
    vanished : int
        Number of background clicks that removed the whole object.
    """

    clicks: int
    helped: float
    harmless: float
    background: int
    vanished: int


@dataclass(frozen=True, slots=True)
class FrameSummary:
    """Means over objects, each in its prompted frame alone.

    Attributes
    ----------
    iou, f : float
        After the last click there.
    curve : tuple of float
        IoU after the first prompt and after each corrective click there.
    corrections : ClickSummary or None
        None if there were none.
    """

    iou: float
    f: float
    curve: tuple[float, ...]
    corrections: ClickSummary | None


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """Means over some objects.

    Attributes
    ----------
    name : str
    objects : int
    in_frame : FrameSummary
        The prompted frames alone.
    iou, dice, j, f, life : float
        After all corrections.
    curve : tuple of float
        IoU after the first propagation and after each round of corrections.
    to_80, to_90 : ClickCount
        Interactions to an IoU of .8 and .9.
    """

    name: str
    objects: int
    in_frame: FrameSummary
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
    stack : ObjectSummary or None
        Means over the objects of stacks alone, without single images; None if there is none.
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
    stack: ObjectSummary | None
    iou_per_sequence: float
    msa: tuple[float, ...]
    sa50: tuple[float, ...]
    seconds_per_interaction: float
    seconds_per_response: float
    seconds: float


@dataclass(frozen=True, slots=True)
class StackMeans:
    """Means over the sets that hold stacks; for the figures see `ObjectSummary`."""

    sets: int
    iou: float
    dice: float
    j: float
    f: float
    life: float


@dataclass(frozen=True, slots=True)
class SetMeans:
    """Means over sets, each counting alike however many objects it has.

    Attributes
    ----------
    sets, objects : int
    iou, f : float
        In the prompted frames alone; see `FrameSummary`.
    curve : tuple of float
        IoU there, after the first prompt and after each corrective click.
    corrections : ClickSummary or None
        Shares as means over the sets with corrective clicks, counts as sums; None if there are
        none.
    stack : StackMeans or None
        Through the stacks; None if there are none.
    """

    sets: int
    objects: int
    iou: float
    f: float
    curve: tuple[float, ...]
    corrections: ClickSummary | None
    stack: StackMeans | None


def summarise_clicks(effects: Sequence[ClickEffect]) -> ClickSummary | None:
    """Summarise the effects of corrective clicks; None if there are none."""
    if not effects:
        return None
    background = [each for each in effects if not each.positive]
    return ClickSummary(
        clicks=len(effects),
        helped=fmean(each.helps for each in effects),
        harmless=fmean(not each.harms for each in effects),
        background=len(background),
        vanished=sum(each.vanished for each in background),
    )


def summarise_frames(scores: Sequence[FrameScore]) -> FrameSummary:
    """Average over prompted frames, of which there is at least one."""
    return FrameSummary(
        iou=fmean(score.iou for score in scores),
        f=fmean(score.f for score in scores),
        curve=_means([score.curve for score in scores]),
        corrections=summarise_clicks([each for score in scores for each in score.clicks]),
    )


def summarise_objects(name: str, objects: Sequence[ObjectScore]) -> ObjectSummary:
    """Average over objects, of which there is at least one."""
    return ObjectSummary(
        name=name,
        objects=len(objects),
        in_frame=summarise_frames([score.in_frame for score in objects]),
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
    stacks = [score for one in sequences if not one.single for score in one.objects]
    return SetSummary(
        name=name,
        sequences=len(sequences),
        objects=summarise_objects(name, [score for one in sequences for score in one.objects]),
        stack=summarise_objects(name, stacks) if stacks else None,
        iou_per_sequence=fmean(one.iou for one in sequences),
        msa=_means([one.msa for one in sequences]),
        sa50=_means([one.sa50 for one in sequences]),
        seconds_per_interaction=median(s for one in sequences for s in one.interactions),
        seconds_per_response=median(s for one in sequences for s in one.responses),
        seconds=sum(one.seconds for one in sequences),
    )


def average_sets(sets: Sequence[SetSummary]) -> SetMeans:
    """Average over sets, of which there is at least one."""
    frames = [one.objects.in_frame for one in sets]
    return SetMeans(
        sets=len(sets),
        objects=sum(one.objects.objects for one in sets),
        iou=fmean(one.iou for one in frames),
        f=fmean(one.f for one in frames),
        curve=_means([one.curve for one in frames]),
        corrections=_average_clicks([one.corrections for one in frames if one.corrections]),
        stack=_average_stacks([one.stack for one in sets if one.stack]),
    )


def _average_clicks(corrections: Sequence[ClickSummary]) -> ClickSummary | None:
    if not corrections:
        return None
    return ClickSummary(
        clicks=sum(one.clicks for one in corrections),
        helped=fmean(one.helped for one in corrections),
        harmless=fmean(one.harmless for one in corrections),
        background=sum(one.background for one in corrections),
        vanished=sum(one.vanished for one in corrections),
    )


def _average_stacks(stacks: Sequence[ObjectSummary]) -> StackMeans | None:
    if not stacks:
        return None
    return StackMeans(
        sets=len(stacks),
        iou=fmean(one.iou for one in stacks),
        dice=fmean(one.dice for one in stacks),
        j=fmean(one.j for one in stacks),
        f=fmean(one.f for one in stacks),
        life=fmean(one.life for one in stacks),
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
