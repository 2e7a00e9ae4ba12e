"""One method on one stack under several protocols, whose common steps are computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.interaction import Interaction, RoundStep, StackScores
from napari_sam2.evaluation.matching import segmentation_accuracy
from napari_sam2.evaluation.methods import Method
from napari_sam2.evaluation.options import EvaluationOptions, PromptKind, PromptProtocol
from napari_sam2.evaluation.prompted_frames import FrameStage, PromptedFrames
from napari_sam2.evaluation.scoreboard import Scoreboard
from napari_sam2.evaluation.simulated_user import ObjectPrompt, choose_prompts
from napari_sam2.stack import FrameStack

ProtocolStep = Callable[[str, RoundStep], None]
"""Takes the name of the protocol in work, and how far it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """Options of the measurement of one stack.

    In one frame each object is measured alone, as in a single image: by its prompt and its
    corrective clicks there, in a session that lets masks overlap and follows nothing. Protocols
    that begin alike share this session. Through the stack each protocol has a session of its own.

    Attributes
    ----------
    stack : FrameStack
    truth : ndarray of int, shape (T, Y, X)
    method : Method
    options : EvaluationOptions
        Without prompt, clicks and rounds, which are those of the protocols.
    progress : callable, optional
        Called after each prompt, click and frame result.
    cancelled : callable, optional
        Called after each prompt, click and frame result; True stops the measurement.
    segmented : mapping of int to ndarray, optional
        True segmentations by frame for SEG; the truth by default.
    """

    stack: FrameStack
    truth: NDArray[np.integer[Any]]
    method: Method
    options: EvaluationOptions
    progress: ProtocolStep | None = None
    cancelled: Callable[[], bool] | None = None
    segmented: Mapping[int, NDArray[np.integer[Any]]] | None = None

    def run(self, protocols: Sequence[PromptProtocol]) -> tuple[StackScores, ...] | None:
        """Measure protocols.

        Returns
        -------
        tuple of StackScores or None
            In the order of the protocols, none if there is no object; None if it was stopped.
        """
        prompts = {
            kind: choose_prompts(self.truth, replace(self.options, prompt=kind))
            for kind in dict.fromkeys(each.prompt for each in protocols)
        }
        if not all(prompts.values()):
            return ()
        stages: dict[PromptKind, tuple[FrameStage, ...]] = {}
        if self._alone(protocols):
            for kind, given in prompts.items():
                alike = [each for each in protocols if each.prompt is kind]
                found = self._in_frames(alike, given)
                if found is None:
                    return None
                stages[kind] = found
        scores = []
        for protocol in protocols:
            given = prompts[protocol.prompt]
            one = self._scores(protocol, given, stages.get(protocol.prompt, ()))
            if one is None:
                return None
            scores.append(one)
        return tuple(scores)

    @property
    def _overlap(self) -> bool:
        return self.options.overlap.keeps_overlaps(self.stack.n_frames)

    def _alone(self, protocols: Sequence[PromptProtocol]) -> bool:
        """Return whether the prompted frames have a session of their own.

        A single image needs none but that, unless it is corrected in rounds; a stack gets one
        where its own sessions would let objects take pixels from each other.
        """
        if self.stack.n_frames == 1:
            return self._overlap and not any(each.rounds for each in protocols)
        return self.options.overlap.keeps_overlaps(1) and not self._overlap

    def _in_frames(
        self, protocols: Sequence[PromptProtocol], prompts: Sequence[ObjectPrompt]
    ) -> tuple[FrameStage, ...] | None:
        """Measure the prompted frames, once for all protocols that begin with these prompts."""
        segmenter = self.method.open(self.stack, [each.object_id for each in prompts], True)
        longest = max(protocols, key=lambda each: each.clicks)
        return PromptedFrames(
            segmenter,
            self.truth,
            prompts,
            longest.clicks,
            progress=lambda done, steps: self._report(
                f"{longest.name} in one frame", RoundStep(0, 0, done, steps)
            ),
            cancelled=self.cancelled,
        ).run()

    def _scores(
        self,
        protocol: PromptProtocol,
        prompts: Sequence[ObjectPrompt],
        stages: tuple[FrameStage, ...],
    ) -> StackScores | None:
        stages = stages[: protocol.clicks + 1]
        if stages and self.stack.n_frames == 1:
            return image_scores(self.truth, prompts, stages)
        segmenter = self.method.open(
            self.stack, [each.object_id for each in prompts], self._overlap
        )
        found = Interaction(
            segmenter,
            self.truth,
            prompts,
            protocol.rounds,
            protocol.clicks,
            progress=partial(self._report, protocol.name),
            cancelled=self.cancelled,
            segmented=self.segmented,
        ).run()
        if found is None or not stages:
            return found
        objects = zip(found.objects, stages[-1].scores, strict=True)
        return replace(found, objects=tuple(replace(one, in_frame=alone) for one, alone in objects))

    def _report(self, name: str, step: RoundStep) -> None:
        if self.progress is not None:
            self.progress(name, step)


def image_scores(
    truth: NDArray[np.integer[Any]],
    prompts: Sequence[ObjectPrompt],
    stages: Sequence[FrameStage],
) -> StackScores:
    """Return the scores of a single image from the scores of its prompted frame.

    Parameters
    ----------
    truth : ndarray of int, shape (1, Y, X)
    prompts : sequence of ObjectPrompt
    stages : sequence of FrameStage
        The first prompt and the clicks that count; the last one is scored.
    """
    last = stages[-1]
    board = Scoreboard(truth, prompts)
    board.measure(last.masks)
    accuracy = segmentation_accuracy(board.overlaps())
    responses = [seconds for stage in stages for seconds in stage.responses]
    share = sum(stage.shown for stage in stages) / len(responses)
    return StackScores(
        board.scores(last.masks, last.scores),
        (accuracy.msa,),
        (accuracy.sa50,),
        tuple(each + share for each in responses),
        tuple(responses),
    )
