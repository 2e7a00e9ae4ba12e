"""One method on one stack: prompts every object, propagates, then corrects in rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.linking import PatchLabels, TrackScores, score_tracks
from napari_sam2.evaluation.matching import SegmentationAccuracy, segmentation_accuracy
from napari_sam2.evaluation.methods import Segmenter
from napari_sam2.evaluation.prompted_frames import PromptedFrames
from napari_sam2.evaluation.scoreboard import Scoreboard
from napari_sam2.evaluation.scores import ObjectScore
from napari_sam2.evaluation.simulated_user import Click, ObjectPrompt, corrective_click


@dataclass(frozen=True, slots=True)
class RoundStep:
    """Progress of the evaluation of one stack.

    Attributes
    ----------
    round, rounds : int
        The round of corrections in work, 0 for the first prompts, and the last one.
    step, steps : int
        Clicks of this round that are done and all of them, then the same of its frame results.
    """

    round: int
    rounds: int
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class StackScores:
    """Scores of the objects of one stack; see `SequenceScore`."""

    objects: tuple[ObjectScore, ...]
    msa: tuple[float, ...]
    sa50: tuple[float, ...]
    interactions: tuple[float, ...]
    responses: tuple[float, ...]
    tracks: TrackScores | None = None


@dataclass(frozen=True, slots=True)
class _Correction:
    object_id: int
    frame: int
    click: Click


class Interaction:
    """The simulated user at work on one stack.

    All objects are prompted and corrected in their prompted frames before one propagation brings
    them all up to date; then they are corrected in rounds, each with a propagation of its own.

    Parameters
    ----------
    segmenter : Segmenter
    truth : ndarray of int, shape (T, Y, X)
    prompts : sequence of ObjectPrompt
    rounds : int
        Rounds of corrections at most: one click per object and round, in the frame with the most
        wrong pixels. Objects without a wrong pixel get none.
    clicks : int
        Corrective clicks per object in its prompted frame before the first propagation.
    progress : callable, optional
        Called with a `RoundStep` after each prompt, click and frame result.
    cancelled : callable, optional
        Called after each prompt, click and frame result; True stops.
    segmented : mapping of int to ndarray, optional
        True segmentations by frame for SEG; the truth by default.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        truth: NDArray[np.integer[Any]],
        prompts: Sequence[ObjectPrompt],
        rounds: int = 0,
        clicks: int = 0,
        *,
        progress: Callable[[RoundStep], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        segmented: Mapping[int, NDArray[np.integer[Any]]] | None = None,
    ) -> None:
        self._segmented = segmented
        self._segmenter = segmenter
        self._truth = truth
        self._prompts = tuple(prompts)
        self._rounds = rounds
        self._progress = progress
        self._cancelled = cancelled or (lambda: False)
        self._board = Scoreboard(truth, prompts)
        self._start = PromptedFrames(
            segmenter,
            truth,
            prompts,
            clicks,
            progress=lambda done, steps: self._report(0, done, steps),
            cancelled=self._cancelled,
        )
        self._accuracies: list[SegmentationAccuracy] = []
        self._interactions: list[float] = []
        self._responses: list[float] = []

    def run(self) -> StackScores | None:
        """Prompt, propagate, correct and score; None if it was stopped."""
        stages = self._start.run()
        if stages is None:
            return None
        responses = [seconds for stage in stages for seconds in stage.responses]
        shown = sum(stage.shown for stage in stages)
        if not self._catch_up(0, responses, shown):
            return None
        for number in range(1, self._rounds + 1):
            correcting = [lambda c=each: self._correct(c) for each in self._corrections()]
            if not self._round(number, correcting):
                return None
        return StackScores(
            self._board.scores(self._segmenter.masks, stages[-1].scores),
            tuple(each.msa for each in self._accuracies),
            tuple(each.sa50 for each in self._accuracies),
            tuple(self._interactions),
            tuple(self._responses),
            self._track_scores(),
        )

    def _track_scores(self) -> TrackScores | None:
        """Score the tracks of the prompted objects; None of a single image."""
        if len(self._truth) == 1:
            return None
        prompted = np.array([prompt.object_id for prompt in self._prompts])
        truth = np.where(np.isin(self._truth, prompted), self._truth, 0)
        made = PatchLabels(self._segmenter.masks, self._truth.shape)
        return score_tracks(truth, made, segmented=self._segmented)

    def _round(self, number: int, actions: Sequence[Callable[[], None]]) -> bool:
        """Correct in one round and measure; False if it was stopped."""
        responses = []
        for action in actions:
            start = time.perf_counter()
            action()
            responses.append(time.perf_counter() - start)
            if self._cancelled():
                return False
            self._report(number, len(responses), len(actions))
        return self._catch_up(number, responses)

    def _catch_up(self, number: int, responses: Sequence[float], shown: float = 0) -> bool:
        """Propagate after the clicks of a round, if there were any, and measure."""
        if responses:
            seconds = self._propagate(number)
            if seconds is None:
                return False
            share = (shown + seconds) / len(responses)
            self._interactions += [each + share for each in responses]
            self._responses += responses
        self._board.measure(self._segmenter.masks)
        self._accuracies.append(segmentation_accuracy(self._board.overlaps()))
        return True

    def _propagate(self, number: int) -> float | None:
        """Propagate and return the seconds it took; None if it was stopped."""
        start = time.perf_counter()
        steps = self._segmenter.planned()
        for step, _ in enumerate(self._segmenter.propagate(), start=1):
            if self._cancelled():
                return None
            self._report(number, step, max(step, steps))
        return time.perf_counter() - start

    def _report(self, number: int, step: int, steps: int) -> None:
        if self._progress is not None:
            self._progress(RoundStep(number, self._rounds, step, steps))

    def _corrections(self) -> list[_Correction]:
        """Choose the next click for each object that needs one, all from the same masks."""
        corrections = []
        for prompt, frame in zip(self._prompts, self._board.worst_frames(), strict=True):
            if frame is None:
                continue
            click = corrective_click(
                self._segmenter.masks.mask(prompt.object_id, frame),
                self._truth[frame] == prompt.object_id,
                self._start.clicked.of(prompt.object_id, frame),
            )
            if click is not None:
                corrections.append(_Correction(prompt.object_id, frame, click))
        return corrections

    def _correct(self, correction: _Correction) -> None:
        self._start.clicked.add(correction.object_id, correction.frame, correction.click.point)
        self._segmenter.correct(correction.object_id, correction.frame, correction.click)
