"""The measure of a network in training on held-out data, prompted as users prompt it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.methods import ModelMethod
from napari_sam2.evaluation.options import (
    EvaluationOptions,
    OverlapRule,
    PromptFrame,
    PromptKind,
)
from napari_sam2.evaluation.pairs import spread
from napari_sam2.evaluation.protocol import score_stack
from napari_sam2.evaluation.simulated_user import choose_prompts
from napari_sam2.stack import FrameStack

if TYPE_CHECKING:
    from napari_sam2.network import Sam2
    from napari_sam2.tracking import Model
    from napari_sam2.training import HeldOutIou, LabelledStack

_Clip = tuple[NDArray[np.uint8], NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class HeldOutLimits:
    """Limits on the number of stacks and objects that are measured, spread evenly.

    Attributes
    ----------
    frames, objects : int
        Single frames, and objects in each.
    clips, clip_frames, clip_objects : int
        Clips from stacks, their frames, and objects tracked in each.
    """

    frames: int = 8
    objects: int = 12
    clips: int = 2
    clip_frames: int = 6
    clip_objects: int = 4


class HeldOutMeasure:
    """Measures a network: one click and one box in single frames, tracking through short clips.

    All of it through sessions, so that the figures are those of use.

    Parameters
    ----------
    stacks : sequence of LabelledStack
        The held-out data.
    half : bool
        Compute in bfloat16.
    limits : HeldOutLimits, optional
    """

    def __init__(
        self,
        stacks: Sequence[LabelledStack],
        *,
        half: bool = False,
        limits: HeldOutLimits | None = None,
    ) -> None:
        self.limits = limits or HeldOutLimits()
        self._half = half
        labelled = [
            (stack.image[frame : frame + 1], stack.labels[frame : frame + 1])
            for stack in stacks
            for frame in np.flatnonzero(stack.labels.any(axis=(1, 2))).tolist()
        ]
        self.frames = spread(labelled, self.limits.frames)
        movies = [stack for stack in stacks if len(stack.image) > 1]
        self.clips = tuple(self._fullest(stack) for stack in spread(movies, self.limits.clips))

    def __call__(self, network: Sam2) -> HeldOutIou:
        """Measure a network, which is in evaluation mode."""
        from napari_sam2.tracking import Model
        from napari_sam2.training import HeldOutIou

        size = network.config.image_size
        device = next(network.parameters()).device
        model = Model(network, "in training", device, size, self._half)
        single = (self.limits.objects, OverlapRule.KEEP)
        clicks = self._scores(model, self.frames, PromptKind.POINT, *single)
        boxes = self._scores(model, self.frames, PromptKind.BOX, *single)
        many = (self.limits.clip_objects, OverlapRule.AUTO)
        tracked = self._scores(model, self.clips, PromptKind.POINT, *many)
        return HeldOutIou(fmean(clicks), fmean(boxes), fmean(tracked) if tracked else None)

    def _scores(
        self,
        model: Model,
        clips: Sequence[_Clip],
        kind: PromptKind,
        most: int,
        overlap: OverlapRule,
    ) -> list[float]:
        options = EvaluationOptions(kind, PromptFrame.FIRST, overlap, most)
        ious: list[float] = []
        for image, truth in clips:
            prompts = choose_prompts(truth, options)
            scores = score_stack(FrameStack(image, 0), truth, prompts, ModelMethod(model), options)
            ious += [score.iou for score in scores.objects] if scores else []
        return ious

    def _fullest(self, stack: LabelledStack) -> _Clip:
        """Cut out the clip that holds the most labelled pixels."""
        length = min(len(stack.image), self.limits.clip_frames)
        filled = np.count_nonzero(stack.labels, axis=(1, 2))
        inside = np.convolve(filled, np.ones(length), mode="valid")
        start = int(inside.argmax())
        return stack.image[start : start + length], stack.labels[start : start + length]
