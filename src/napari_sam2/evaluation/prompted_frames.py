"""Prompts and corrective clicks in the prompted frame of each object, before any propagation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.label_masks import StoredMasks
from napari_sam2.evaluation.methods import Segmenter
from napari_sam2.evaluation.metrics import Mask, boundary_f, iou
from napari_sam2.evaluation.scores import ClickEffect, FrameScore
from napari_sam2.evaluation.simulated_user import (
    Click,
    ClickedPixels,
    ObjectPrompt,
    corrective_click,
)


@dataclass(frozen=True, slots=True, eq=False)
class FrameStage:
    """The prompted frames after the first prompt, or after one more corrective click each.

    Attributes
    ----------
    masks : StoredMasks
        The mask of each object in its prompted frame.
    scores : tuple of FrameScore
        In the order of the prompts.
    responses : tuple of float
        Seconds of each prompt or click of this stage.
    shown : float
        Seconds until all of them showed; 0 where each shows at once.
    """

    masks: StoredMasks
    scores: tuple[FrameScore, ...]
    responses: tuple[float, ...]
    shown: float


class PromptedFrames:
    """The simulated user at work in the prompted frame of each object.

    If the method is immediate, objects are prompted and corrected one after the other, in the order
    of their frames; else all objects get their prompt, then all their first correction, and so on.

    Parameters
    ----------
    segmenter : Segmenter
    truth : ndarray of int, shape (T, Y, X)
    prompts : sequence of ObjectPrompt
    clicks : int
        Corrective clicks per object after its prompt, each on what is shown then. Objects
        without a wrong pixel get none.
    progress : callable, optional
        Called after each prompt and click with how many are done and how many there are.
    cancelled : callable, optional
        Called after each prompt and click; True stops.

    Attributes
    ----------
    clicked : ClickedPixels
        Pixels that were clicked so far.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        truth: NDArray[np.integer[Any]],
        prompts: Sequence[ObjectPrompt],
        clicks: int = 0,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.clicked = ClickedPixels(prompts)
        self._segmenter = segmenter
        self._truth = truth
        self._prompts = tuple(prompts)
        self._clicks = clicks
        self._progress = progress or (lambda done, steps: None)
        self._cancelled = cancelled or (lambda: False)
        self._done = 0
        stages = range(clicks + 1)
        self._masks = [StoredMasks((truth.shape[1], truth.shape[2])) for _ in stages]
        self._responses: list[list[float]] = [[] for _ in stages]
        self._shown = [0.0 for _ in stages]
        self._scores: list[list[FrameScore]] = [[] for _ in prompts]

    def run(self) -> tuple[FrameStage, ...] | None:
        """Prompt and correct all objects.

        Returns
        -------
        tuple of FrameStage or None
            One after the prompts and one after each corrective click; None if it was stopped.
        """
        rows = sorted(range(len(self._prompts)), key=lambda row: self._prompts[row].frame)
        groups = [[row] for row in rows] if self._segmenter.immediate else [rows]
        for group in groups:
            for stage in range(self._clicks + 1):
                if not self._act(group, stage):
                    return None
        return tuple(
            FrameStage(
                self._masks[stage],
                tuple(scores[stage] for scores in self._scores),
                tuple(self._responses[stage]),
                self._shown[stage],
            )
            for stage in range(self._clicks + 1)
        )

    def _act(self, group: Sequence[int], stage: int) -> bool:
        """Add the next prompt or click of some objects and measure; False if stopped."""
        clicks = {row: self._next_click(self._prompts[row]) for row in group} if stage else {}
        for row in group:
            click = clicks.get(row)
            if stage == 0 or click is not None:
                start = time.perf_counter()
                self._give(self._prompts[row], click)
                self._responses[stage].append(time.perf_counter() - start)
                if self._cancelled():
                    return False
            self._done += 1
            self._progress(self._done, len(self._prompts) * (self._clicks + 1))
        if not self._segmenter.immediate:
            start = time.perf_counter()
            self._segmenter.show({self._prompts[row].frame for row in group})
            self._shown[stage] += time.perf_counter() - start
        for row in group:
            self._measure(row, stage, clicks.get(row))
        return True

    def _next_click(self, prompt: ObjectPrompt) -> Click | None:
        mask = self._segmenter.masks.mask(prompt.object_id, prompt.frame)
        clicked = self.clicked.of(prompt.object_id, prompt.frame)
        return corrective_click(mask, self._true(prompt), clicked)

    def _give(self, prompt: ObjectPrompt, click: Click | None) -> None:
        if click is None:
            self._segmenter.prompt(prompt)
            return
        self.clicked.add(prompt.object_id, prompt.frame, click.point)
        self._segmenter.correct(prompt.object_id, prompt.frame, click)

    def _measure(self, row: int, stage: int, click: Click | None) -> None:
        """Add the masks after a stage to the scores of an object."""
        prompt = self._prompts[row]
        true = self._true(prompt)
        mask = self._segmenter.masks.mask(prompt.object_id, prompt.frame)
        self._masks[stage].record(prompt.object_id, prompt.frame, mask)
        value = iou(mask, true)
        curve: tuple[float, ...] = ()
        effects: tuple[ClickEffect, ...] = ()
        if stage > 0:
            before = self._scores[row][-1]
            curve, effects = before.curve, before.clicks
        if click is not None:
            former = self._masks[stage - 1].mask(prompt.object_id, prompt.frame)
            vanished = bool((former & true).any()) and not (mask & true).any()
            effects = (*effects, ClickEffect(click.positive, curve[-1], value, vanished))
        self._scores[row].append(FrameScore((*curve, value), boundary_f(mask, true), effects))

    def _true(self, prompt: ObjectPrompt) -> Mask:
        mask: Mask = self._truth[prompt.frame] == prompt.object_id
        return mask
