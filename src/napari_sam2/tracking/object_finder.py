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
    tiny,
)
from napari_sam2.errors import DetectionError
from napari_sam2.labels import PackedMask
from napari_sam2.network import ImageFeatures
from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking.decoding.prediction import Conditioning

_SEARCHING = 0.3  # share of the work, before the candidates are clicked
_SIZE_RANGE = 2.5  # areas of objects like others: so many times smaller or larger
_AGREED = 2.0  # times the least score: inside such a mask smaller candidates are not clicked
_SURE = 2.2  # times the least score: no other candidate inside such a mask is clicked
_SMALLER = 0.75  # of the extent of a mask: what is seen as so small is a part of it


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A new object, before it is one of the session.

    Attributes
    ----------
    mask : PackedMask
        On pixels that no other object has.
    score : float
        Predicted IoU times object score, in 0..1.
    similarity : float or None
        How alike it is to the examples, in -1..1; None without examples.
    prompt : FramePrompt
        One point.
    continues : int or None
        The object that was lost near by and that this is; None: it is a new one.
    tiny : bool
        It is so much smaller than the others that it is left out unless it is asked for.
    """

    mask: PackedMask
    score: float
    similarity: float | None
    prompt: FramePrompt
    decided: Conditioning = field(repr=False)
    continues: int | None = None
    tiny: bool = False


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
    candidates = find_candidates(frame, settings, lambda done: advance(_SEARCHING * done))
    dense = has_dense_heads(frame.network)
    least = settings.min_score if dense else 0.0
    known: dict[int, tuple[Conditioning, float | None]] = {}
    masks: list[ScoredMask] = []
    # Extents up to which candidates at a pixel are parts of what was found there.
    known_to = np.where(taken, np.float32(np.inf), np.float32(0.0))
    pixels = [(round(each.y), round(each.x)) for each in candidates]
    passed = 0

    def left_out(number: int) -> bool:
        """Tell whether a point lies in an object that is there, or is a part of a found one."""
        nonlocal passed
        passed += 1
        return bool(candidates[number].extent < known_to[pixels[number]])

    points = [(float(row), float(column)) for row, column in pixels]
    for predicted in decode(points, [each.extent for each in candidates], left_out):
        advance(_SEARCHING + (1 - _SEARCHING) * passed / len(candidates))
        found = predicted.decided.prediction
        if found is None or not predicted.mask.any():
            continue
        alike = similarity(predicted)
        if alike is not None and alike < -1.0:
            continue
        known[predicted.number] = predicted.decided, alike
        masks.append(ScoredMask(predicted.number, predicted.mask, found.score))
        if dense and found.score >= _AGREED * settings.min_score:
            box, part = predicted.mask.part()
            sure = found.score >= _SURE * settings.min_score
            extent = np.inf if sure else _SMALLER * max(part.shape)
            np.maximum(known_to[box], extent, out=known_to[box], where=part)
    chosen = select_masks(masks, taken, settings, least)
    if len(chosen) > settings.max_objects:
        raise DetectionError(
            f"{len(chosen)} objects were found, more than {settings.max_objects}.",
            safe="Nothing was added.",
            remedy="Ask for larger objects or search a part of the frame; a script can also raise "
            "max_objects.",
        )
    advance(1.0)
    return tuple(_in_reading_order(chosen, known))


def mark_tiny(proposals: Sequence[Proposal], there: Sequence[int]) -> tuple[Proposal, ...]:
    """Mark proposals that are tiny beside the others and beside objects that are there.

    Parameters
    ----------
    proposals : sequence of Proposal
    there : sequence of int
        Pixels of each object of the frame that was there before.
    """
    marks = tiny([int(each.mask.part()[1].sum()) for each in proposals], there).tolist()
    return tuple(replace(each, tiny=mark) for each, mark in zip(proposals, marks, strict=True))


def _in_reading_order(
    chosen: Sequence[ScoredMask], known: dict[int, tuple[Conditioning, float | None]]
) -> Iterator[Proposal]:
    for each in sorted(chosen, key=lambda each: (each.mask.rows[0], each.mask.columns[0])):
        decided, alike = known[each.number]
        assert decided.prompt is not None
        yield Proposal(
            each.mask,
            each.score,
            alike,
            decided.prompt,
            replace(decided, pixels=each.mask, found=True),
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
