"""The search for new objects in one frame: candidates are clicked, the best masks are proposed.

It runs on the session's thread and changes nothing; `TrackingSession.add_proposals` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.detection import (
    DetectionSettings,
    FrameInput,
    ScoredMask,
    find_candidates,
    has_dense_heads,
    select_masks,
    unlikely,
    with_agreement,
)
from napari_sam2.errors import DetectionError
from napari_sam2.labels import PackedMask
from napari_sam2.network import ImageFeatures
from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking.decoding.prediction import Conditioning

_SEARCH_SHARE = 0.3  # of the progress, for the search for candidates
_SIZE_RANGE = 2.5  # largest ratio of areas of an object and the examples it is like
GOOD = 2.0
"""A mask with this many times `min_score` is good: smaller candidates in it are not clicked."""
_SURE = 2.2  # times `min_score`: no other candidate inside such a mask is clicked
_PART_EXTENT = 0.75  # of the extent of a mask; a candidate this small inside is a part of it


class Origin(NamedTuple):
    """The object that another one has come from by a division, and the first frame after it."""

    parent: int
    frame: int


class Fate(NamedTuple):
    """The objects that another one becomes by a division, and the first frame after it."""

    children: tuple[int, int]
    frame: int


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A new object, before it is one of the session.

    Attributes
    ----------
    mask : PackedMask
        On pixels that no other object has.
    whole : PackedMask
        As the click means it, with the pixels that others have.
    score : float
        Predicted IoU times object score, in 0..1.
    similarity : float or None
        How alike it is to the examples, in -1..1; None without examples.
    prompt : FramePrompt
        One point.
    decided : Conditioning
        The frame as that point decides it, with `mask` as its pixels.
    continues : int or None
        The object that this is: one that was lost near by, or that is seen better here than it was
        followed. None: it is a new one.
    agreed : bool
        Another click meant the same.
    unlikely : bool
        It is probably no object, and left out unless it is asked for.
    origin : Origin or None
        Where it is one of two that an object has become.
    fate : Fate or None
        Where it becomes two objects later, which were followed back into it.
    """

    mask: PackedMask
    whole: PackedMask
    score: float
    similarity: float | None
    prompt: FramePrompt
    decided: Conditioning = field(repr=False)
    continues: int | None = None
    agreed: bool = False
    unlikely: bool = False
    origin: Origin | None = None
    fate: Fate | None = None


class Example(NamedTuple):
    """An object that others shall be like: its area in pixels, and its pooled features."""

    area: int
    features: Tensor


class Predicted(NamedTuple):
    """What a candidate would give: its number, the decision about the frame, and the mask."""

    number: int
    decided: Conditioning
    mask: PackedMask


Points = Sequence[tuple[float, float]]
Decoder = Callable[[Points, Sequence[float], Callable[[int], bool]], Iterator[Predicted]]
"""Clicks points of about known extents, in an order that suits it, but for those to be left out."""


def propose_objects(
    frame: FrameInput,
    taken: NDArray[np.bool_],
    decode: Decoder,
    settings: DetectionSettings,
    advance: Callable[[float], None],
    similarity: Callable[[Predicted], float | None],
) -> tuple[Proposal, ...]:
    """Propose objects on the free pixels of a frame, from top to bottom.

    Parameters
    ----------
    frame : FrameInput
    taken : ndarray of bool, shape (Y, X)
        Pixels of existing objects, and those outside the part that is searched.
    decode : callable
        Gives what clicks mean without changing anything.
    settings : DetectionSettings
    advance : callable
        Called with the share that is done, in 0..1; may raise to end the search.
    similarity : callable
        Compares an object with examples; None without examples, below -1 for another size.

    Raises
    ------
    DetectionError
        There are more objects than the settings allow.
    """
    candidates = find_candidates(frame, settings, lambda done: advance(_SEARCH_SHARE * done))
    dense = has_dense_heads(frame.network)
    least = settings.min_score if dense else 0.0
    known: dict[int, tuple[Predicted, float | None]] = {}
    masks: list[ScoredMask] = []
    # Extents up to which candidates at a pixel are parts of what was found there.
    known_to = np.where(taken, np.float32(np.inf), np.float32(0.0))
    pixels = [(round(each.y), round(each.x)) for each in candidates]
    passed = 0

    def left_out(number: int) -> bool:
        """Return whether a point lies in an existing object, or in part of a found one."""
        nonlocal passed
        passed += 1
        return bool(candidates[number].extent < known_to[pixels[number]])

    points = [(float(row), float(column)) for row, column in pixels]
    for predicted in decode(points, [each.extent for each in candidates], left_out):
        advance(_SEARCH_SHARE + (1 - _SEARCH_SHARE) * passed / len(candidates))
        found = predicted.decided.prediction
        if found is None or not predicted.mask.any():
            continue
        alike = similarity(predicted)
        if alike is not None and alike < -1.0:
            continue
        known[predicted.number] = predicted, alike
        masks.append(ScoredMask(predicted.number, predicted.mask, found.score))
        if dense and found.score >= GOOD * settings.min_score:
            box, part = predicted.mask.part()
            sure = found.score >= _SURE * settings.min_score
            extent = np.inf if sure else _PART_EXTENT * max(part.shape)
            np.maximum(known_to[box], extent, out=known_to[box], where=part)
    # The grid finds what its method, as published, finds.
    chosen = select_masks(with_agreement(masks) if dense else masks, taken, settings, least)
    if len(chosen) > settings.max_objects:
        raise DetectionError(
            f"{len(chosen)} objects were found, more than {settings.max_objects}.",
            safe="Nothing was added.",
            remedy="Ask for larger objects or search a part of the frame; a script can also raise "
            "max_objects.",
        )
    advance(1.0)
    return tuple(_in_reading_order(chosen, known))


def mark_unlikely(
    proposals: Sequence[Proposal],
    labels: NDArray[np.integer],
    brightness: NDArray[np.float32],
    settings: DetectionSettings,
) -> tuple[Proposal, ...]:
    """Mark proposals that are probably no objects.

    Pixels that such a one shares with a better one, of which it may be a part, go to that.

    Parameters
    ----------
    proposals : sequence of Proposal
    labels : ndarray of int, shape (Y, X)
        The objects that were there before; 0 is none.
    brightness : ndarray of float32, shape (Y, X)
    settings : DetectionSettings
        Of the search.

    Returns
    -------
    tuple of Proposal
        Without those that are but a part of another one.
    """
    found = [
        ScoredMask(number, each.mask, each.score, each.agreed)
        for number, each in enumerate(proposals)
    ]
    marks = unlikely(found, labels, brightness, GOOD * settings.min_score)
    if not marks.any():
        return tuple(proposals)
    freed = np.zeros(labels.shape, dtype=bool)
    for number in np.flatnonzero(marks).tolist():
        box, part = proposals[number].mask.part()
        freed[box] |= part
    marked: dict[int, Proposal] = {}
    for each in sorted(found, key=lambda each: (marks[each.number], -each.rank, each.number)):
        proposal, mark = proposals[each.number], bool(marks[each.number])
        box, part = (each.mask if mark else proposal.whole).part()
        part &= freed[box]
        freed[box] &= ~part
        if part.any() and not mark:
            (rows, columns), own = each.mask.part()
            top, left = rows.start - box[0].start, columns.start - box[1].start
            part[top : top + own.shape[0], left : left + own.shape[1]] |= own
        if part.any():
            mask = PackedMask.within(box, part, each.mask.shape)
            decided = replace(proposal.decided, pixels=mask)
            proposal = replace(proposal, mask=mask, decided=decided, unlikely=mark)
        if part.any() or not mark:
            marked[each.number] = proposal
    return tuple(marked[number] for number in sorted(marked))


def _in_reading_order(
    chosen: Sequence[ScoredMask], known: dict[int, tuple[Predicted, float | None]]
) -> Iterator[Proposal]:
    for each in sorted(chosen, key=lambda each: (each.mask.rows[0], each.mask.columns[0])):
        (_, decided, whole), alike = known[each.number]
        assert decided.prompt is not None
        yield Proposal(
            each.mask,
            whole,
            each.score,
            alike,
            decided.prompt,
            replace(decided, pixels=each.mask, found=True),
            agreed=each.agreed,
        )


def pooled_features(features: ImageFeatures, inside: Tensor) -> Tensor:
    """Return the mean features of a mask: one vector, each level of unit length.

    Parameters
    ----------
    features : ImageFeatures
        Of one window.
    inside : Tensor, shape (1, 1, S, S)
        1 inside the mask and 0 outside, in pixels of the input.
    """
    pooled = []
    for level in (features.stride4, features.stride8, features.stride16):
        weights = F.interpolate(inside, size=level.shape[2:], mode="area")
        total = weights.sum().clamp(min=1e-6)
        mean = (level.float() * weights).sum(dim=(2, 3)) / total
        around = level.float().mean(dim=(2, 3))
        pooled += [F.normalize(mean, dim=1), F.normalize(mean - around, dim=1)]
    vector: Tensor = torch.cat(pooled, dim=1)[0] / len(pooled) ** 0.5
    return vector


def similarity_to(examples: Sequence[Example], area: int, features: Tensor) -> float:
    """Return the highest cosine with an example; -2 for an area far from that of all examples."""
    areas = [example.area for example in examples]
    if not min(areas) / _SIZE_RANGE <= area <= max(areas) * _SIZE_RANGE:
        return -2.0
    return max(float(features @ example.features) for example in examples)
