"""What a network in training gives its users, on data that it is not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.options import EvaluationOptions, PromptFrame, PromptKind
from napari_sam2.evaluation.prompting import choose_prompts
from napari_sam2.evaluation.protocol import score_stack
from napari_sam2.evaluation.spread import spread
from napari_sam2.stack import FrameStack

if TYPE_CHECKING:
    from napari_sam2.network import Sam2
    from napari_sam2.tracking import Model
    from napari_sam2.training import HeldOutIou, LabelledStack


@dataclass(frozen=True, slots=True)
class HeldOutLimits:
    """How much is measured, evenly spread over what there is.

    Attributes
    ----------
    frames, objects : int
        Single frames, and objects in each.
    clips, clip_frames, clip_objects : int
        Clips from stacks, their frames, and objects tracked in each.
    """

    frames: int = 8
    objects: int = 24
    clips: int = 2
    clip_frames: int = 6
    clip_objects: int = 4


class HeldOutMeasure:
    """Measures a network: one click and one box in single frames, tracking through short clips.

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
            (stack, frame)
            for stack in stacks
            for frame, labels in enumerate(stack.labels)
            if labels.any()
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
        with model.precision():
            clicks, boxes = self._prompted(network)
        tracked = [iou for clip in self.clips for iou in self._tracked(model, *clip)]
        return HeldOutIou(
            click=float(np.mean(clicks)),
            box=float(np.mean(boxes)),
            tracked=float(np.mean(tracked)) if tracked else None,
        )

    def _prompted(self, network: Sam2) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from napari_sam2.training import encode_frame, prompted_ious

        clicks, boxes = [], []
        for stack, frame in self.frames:
            labels = stack.labels[frame]
            ids = spread(np.unique(labels[labels > 0]).tolist(), self.limits.objects)
            encoded = encode_frame(network, stack.image[frame])
            clicks.append(prompted_ious(network, encoded, labels, ids))
            boxes.append(prompted_ious(network, encoded, labels, ids, boxes=True))
        return np.concatenate(clicks), np.concatenate(boxes)

    def _tracked(
        self, model: Model, image: NDArray[np.uint8], truth: NDArray[np.int32]
    ) -> list[float]:
        options = EvaluationOptions(
            PromptKind.POINT, PromptFrame.FIRST, max_objects=self.limits.clip_objects
        )
        prompts = choose_prompts(truth, options)
        scores = score_stack(FrameStack(image, 0), truth, prompts, model, options)
        return [score.iou for score in scores or ()]

    def _fullest(self, stack: LabelledStack) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Cut out the clip that holds the most labelled pixels."""
        length = min(len(stack.image), self.limits.clip_frames)
        filled = np.count_nonzero(stack.labels, axis=(1, 2))
        inside = np.convolve(filled, np.ones(length), mode="valid")
        start = int(inside.argmax())
        return stack.image[start : start + length], stack.labels[start : start + length]
