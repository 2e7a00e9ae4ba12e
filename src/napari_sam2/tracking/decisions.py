"""What the user decides about one frame: prompts and accepted masks to predictions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking.feature_cache import FeatureCache
from napari_sam2.tracking.image_input import mask_to_input
from napari_sam2.tracking.memory import RecentMemory
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.object_track import ObjectTrack
from napari_sam2.tracking.prediction import ABSENT_LOGIT, Conditioning, ObjectPrediction
from napari_sam2.tracking.prompting import drawn_logits, predict_drawn, predict_points
from napari_sam2.tracking.propagation import Propagator


class Decider:
    """Predicts the frames that the user gives prompts for.

    Parameters
    ----------
    model : Model
    cache : FeatureCache
    propagator : Propagator
        Recalls what an object is known to look like, for corrections.
    frame_shape : tuple of int
        (Y, X) in which prompts are given.
    """

    def __init__(
        self,
        model: Model,
        cache: FeatureCache,
        propagator: Propagator,
        frame_shape: tuple[int, int],
    ) -> None:
        self._model = model
        self._cache = cache
        self._propagator = propagator
        self._frame_shape = frame_shape

    def from_prompt(
        self,
        track: ObjectTrack,
        frame: int,
        prompt: FramePrompt,
        current: NDArray[np.bool_],
        refines: bool,
        rank: int = 0,
    ) -> Conditioning:
        """Decide a frame from its prompts.

        Parameters
        ----------
        track : ObjectTrack
        frame : int
        prompt : FramePrompt
            All that the user gave there for this object.
        current : ndarray of bool, shape (Y, X)
            The object's mask in that frame so far.
        refines : bool
            The last round only adds to the prompt that the frame was decided from before.
        rank : int
            Which of the masks that an ambiguous last round could mean; 0 is the best.
        """
        before = track.conditioning.get(frame)
        corrects = before.corrects if before else bool(track.done[frame])
        if prompt.mask is not None and not prompt.points and prompt.box is None:
            prediction = self._drawn(frame, prompt.mask)
            return Conditioning(frame, prediction, prompt.mask, corrects, drawn=True)
        conditioned = self._conditioned(track, frame) if corrects else self._unconditioned(frame)
        rounds = _rounds(prompt)
        previous = self._starting_logits(prompt, current if corrects else None)
        if before is not None and refines:
            rounds, previous = rounds[-1:], before.prediction.logits
        for number, each in enumerate(rounds, 1):
            prediction = predict_points(
                self._model,
                self._cache.get(frame),
                conditioned,
                each,
                self._frame_shape,
                previous,
                rank if number == len(rounds) else 0,
            )
            previous = prediction.logits
        return Conditioning(frame, prediction, current, corrects)

    def from_mask(self, frame: int, mask: NDArray[np.bool_]) -> Conditioning:
        """Decide that the object is just where `mask` is; nowhere, if it is empty."""
        prediction = self._drawn(frame, mask) if mask.any() else self._absent()
        return Conditioning(frame, prediction, mask, corrects=True, drawn=True)

    def _drawn(self, frame: int, mask: NDArray[np.bool_]) -> ObjectPrediction:
        return predict_drawn(self._model, self._cache.get(frame), mask)

    def _absent(self) -> ObjectPrediction:
        quarter = self._model.image_size // 4
        logits = torch.full((quarter, quarter), ABSENT_LOGIT, device=self._model.device)
        pointer = self._model.network.no_obj_ptr[0].float()
        return ObjectPrediction(logits, iou=1.0, presence=0.0, pointer=pointer)

    def _starting_logits(
        self, prompt: FramePrompt, current: NDArray[np.bool_] | None
    ) -> Tensor | None:
        if prompt.mask is not None:
            return self._as_logits(prompt.mask)
        return self._as_logits(current) if current is not None and current.any() else None

    def _as_logits(self, mask: NDArray[np.bool_]) -> Tensor:
        return drawn_logits(mask_to_input(mask, self._model.image_size, self._model.device))

    def _unconditioned(self, frame: int) -> Tensor:
        return self._model.network.without_memory(self._cache.get(frame).stride16)

    def _conditioned(self, track: ObjectTrack, frame: int) -> Tensor:
        """Condition a frame that is being corrected on the object's other decided frames."""
        config = self._model.config
        nothing = RecentMemory(1, spatial=config.memory_frames - 1, pointers=0)
        known = self._propagator.recall(frame, track, nothing, without=frame)
        if not known.spatial:
            return self._unconditioned(frame)
        return self._propagator.attend(self._cache.get(frame), [known])


def _rounds(prompt: FramePrompt) -> list[FramePrompt]:
    """Return the prompt as it stood after each round of clicking."""
    stages, points = [], 0
    for count in prompt.rounds:
        points += count
        if points or prompt.box is not None:
            stages.append(
                FramePrompt(prompt.points[:points], prompt.positive[:points], box=prompt.box)
            )
    return stages
