"""Evaluation of a folder of labelled stacks: every stack by every method."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.ctc_folders import read_segmented
from napari_sam2.evaluation.interaction import Interaction, RoundStep, StackScores
from napari_sam2.evaluation.measurement import Measurement, ProtocolStep
from napari_sam2.evaluation.methods import BaselineMethod, Method, ModelMethod
from napari_sam2.evaluation.options import EvaluationOptions, PromptProtocol
from napari_sam2.evaluation.pairs import LabelledPair, find_pairs, read_pair
from napari_sam2.evaluation.report import EvaluationReport, MethodScores
from napari_sam2.evaluation.scores import SequenceScore
from napari_sam2.evaluation.simulated_user import ObjectPrompt
from napari_sam2.stack import FrameStack

if TYPE_CHECKING:
    from napari_sam2.tracking import Model


@dataclass(frozen=True, slots=True)
class EvaluationStep:
    """Progress of an evaluation.

    Attributes
    ----------
    sequence, sequences : int
        Finished stacks, and all of them.
    name : str
        The stack in work.
    method, protocol : str
        The method, and its protocol.
    within : RoundStep
        Progress within the stack.
    """

    sequence: int
    sequences: int
    name: str
    method: str
    protocol: str
    within: RoundStep


Progress = Callable[[EvaluationStep], None]


def evaluate_folder(
    folder: Path,
    model: Model,
    options: EvaluationOptions | None = None,
    *,
    protocols: Sequence[PromptProtocol] | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> EvaluationReport:
    """Evaluate a model on every labelled stack of a folder.

    Stacks whose labels hold no object are passed over.

    Parameters
    ----------
    folder : Path
        Holds NAME_image.tif and NAME_labels.tif pairs, or folders that do.
    model : Model
    options : EvaluationOptions, optional
    protocols : sequence of PromptProtocol, optional
        Measured side by side, such as `STANDARD_PROTOCOLS`, each in place of what `options` say
        of prompt, clicks and rounds; by default just these.
    limit : int, optional
        At most this many stacks of each folder, evenly spread.
    progress : callable, optional
        Called with an `EvaluationStep` before each stack and after each click and frame result.
    cancelled : callable, optional
        Asked after each prompt and frame result; True stops and keeps the finished stacks.

    Returns
    -------
    EvaluationReport

    Raises
    ------
    EvaluationError
        If the folder holds no pair, or a pair does not fit together.
    StackError
        If a file cannot be read.
    """
    options = options or EvaluationOptions()
    methods: list[Method] = [ModelMethod(model)]
    if options.baseline:
        methods.append(BaselineMethod())
    start = time.perf_counter()
    scores, complete = evaluate_methods(
        folder,
        methods,
        options,
        protocols=protocols,
        limit=limit,
        progress=progress,
        cancelled=cancelled,
    )
    seconds = time.perf_counter() - start
    return EvaluationReport(
        model.name, str(model.device), model.image_size, options, scores, seconds, complete
    )


def evaluate_methods(
    folder: Path,
    methods: Sequence[Method],
    options: EvaluationOptions,
    *,
    protocols: Sequence[PromptProtocol] | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[tuple[MethodScores, ...], bool]:
    """Evaluate methods side by side; parameters and errors as of `evaluate_folder`.

    Returns
    -------
    scores : tuple of MethodScores
        One per method and protocol, each with the stacks that it finished.
    complete : bool
        False if it was stopped early.
    """
    pairs = find_pairs(folder, limit=limit)
    protocols = tuple(protocols or (PromptProtocol.of(options),))
    finished: dict[tuple[str, PromptProtocol], list[SequenceScore]] = {
        (method.name, protocol): [] for method in methods for protocol in protocols
    }
    for number, pair in enumerate(pairs):
        for method in methods:
            report = _step_reporter(progress, number, len(pairs), pair, method.name)
            scores = evaluate_sequence(
                pair, method, options, protocols, progress=report, cancelled=cancelled
            )
            if scores is None or (cancelled is not None and cancelled()):
                return _collected(finished), False
            for protocol, score in zip(protocols, scores, strict=False):
                finished[method.name, protocol].append(score)
    return _collected(finished), True


def evaluate_sequence(
    pair: LabelledPair,
    method: Method,
    options: EvaluationOptions,
    protocols: Sequence[PromptProtocol],
    *,
    progress: ProtocolStep | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[SequenceScore, ...] | None:
    """Evaluate a method on one labelled stack.

    Parameters
    ----------
    pair : LabelledPair
    method : Method
    options : EvaluationOptions
    protocols : sequence of PromptProtocol
        Each in place of what `options` say of prompt, clicks and rounds.
    progress : callable, optional
        Called with a protocol's name and a `RoundStep` after each prompt, click and frame result.
    cancelled : callable, optional
        Called after each prompt and frame result; True stops the evaluation.

    Returns
    -------
    tuple of SequenceScore or None
        One per protocol, none if the labels hold no object; None if the evaluation was stopped.

    Raises
    ------
    EvaluationError
        If the labels do not fit the image.
    StackError
        If a file cannot be read.
    """
    stack, truth = read_pair(pair, options.kind)
    segmented = read_segmented(pair.labels) if pair.labels.is_dir() else None
    measurement = Measurement(stack, truth, method, options, progress, cancelled, segmented)
    found = measurement.run(protocols)
    if found is None:
        return None
    return tuple(
        SequenceScore(
            pair.name,
            pair.group,
            stack.shape,
            one.objects,
            one.msa,
            one.sa50,
            one.interactions,
            one.responses,
            one.tracks,
            first_channel=len(stack.channels) < stack.channel_count,
        )
        for one in found
    )


def score_stack(
    stack: FrameStack,
    truth: NDArray[np.integer[Any]],
    prompts: Sequence[ObjectPrompt],
    method: Method,
    options: EvaluationOptions,
    *,
    progress: Callable[[RoundStep], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> StackScores | None:
    """Prompt, propagate, correct and score all objects of a stack.

    Returns
    -------
    StackScores or None
        Objects in the order of the prompts; None if it was stopped.
    """
    overlap = options.overlap.keeps_overlaps(stack.n_frames)
    segmenter = method.open(stack, [prompt.object_id for prompt in prompts], overlap)
    interaction = Interaction(
        segmenter,
        truth,
        prompts,
        options.rounds,
        options.clicks,
        progress=progress,
        cancelled=cancelled,
    )
    return interaction.run()


def _collected(
    finished: dict[tuple[str, PromptProtocol], list[SequenceScore]],
) -> tuple[MethodScores, ...]:
    return tuple(
        MethodScores(name, protocol, tuple(sequences))
        for (name, protocol), sequences in finished.items()
    )


def _step_reporter(
    progress: Progress | None, number: int, count: int, pair: LabelledPair, method: str
) -> ProtocolStep | None:
    if progress is None:
        return None

    def report(protocol: str, within: RoundStep) -> None:
        name = f"{pair.group}/{pair.name}"
        progress(EvaluationStep(number, count, name, method, protocol, within))

    report("", RoundStep(0, 0, 0, 0))
    return report
