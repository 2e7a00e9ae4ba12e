"""One prompt per object, propagated both ways, compared with the truth.

torch loads only when an evaluation runs: the tracking room is imported on the spot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.options import EvaluationOptions
from napari_sam2.evaluation.pairs import LabelledPair, find_pairs, read_pair
from napari_sam2.evaluation.prompting import ObjectPrompt, choose_prompts
from napari_sam2.evaluation.report import EvaluationReport, ObjectScore, SequenceScore
from napari_sam2.evaluation.scoreboard import Scoreboard
from napari_sam2.stack import FrameStack
from napari_sam2.types import FrameMasks

if TYPE_CHECKING:
    from napari_sam2.tracking import Model, TrackingSession


@dataclass(frozen=True, slots=True)
class EvaluationStep:
    """How far an evaluation is.

    Attributes
    ----------
    sequence, sequences : int
        Finished stacks, and all of them.
    name : str
        The stack in work.
    step, steps : int
        Frame results of this stack that are done, and all of them.
    """

    sequence: int
    sequences: int
    name: str
    step: int
    steps: int


Progress = Callable[[EvaluationStep], None]


def evaluate_folder(
    folder: Path,
    model: Model,
    options: EvaluationOptions | None = None,
    *,
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
    limit : int, optional
        At most this many stacks of each folder, evenly spread.
    progress : callable, optional
        Called with an `EvaluationStep` before and after each frame result.
    cancelled : callable, optional
        Asked after each frame result; True stops and keeps the finished stacks.

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
    pairs = find_pairs(folder, limit=limit)
    scores: list[SequenceScore] = []
    complete = True
    for number, pair in enumerate(pairs):
        report_step = _step_reporter(progress, number, len(pairs), pair)
        score = evaluate_sequence(pair, model, options, progress=report_step, cancelled=cancelled)
        if cancelled is not None and cancelled():
            complete = False
            break
        if score is not None:
            scores.append(score)
    return EvaluationReport(
        model.name, str(model.device), model.image_size, options, tuple(scores), complete
    )


def evaluate_sequence(
    pair: LabelledPair,
    model: Model,
    options: EvaluationOptions,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> SequenceScore | None:
    """Evaluate a model on one labelled stack.

    Parameters
    ----------
    pair : LabelledPair
    model : Model
    options : EvaluationOptions
    progress : callable, optional
        Called with the frame results done and their number.
    cancelled : callable, optional
        Asked after each frame result; True stops.

    Returns
    -------
    SequenceScore or None
        None if the labels hold no object or the evaluation was stopped.

    Raises
    ------
    EvaluationError
        If the labels do not fit the image.
    StackError
        If a file cannot be read.
    """
    stack, truth = read_pair(pair)
    prompts = choose_prompts(truth, options)
    if not prompts:
        return None
    start = time.perf_counter()
    scores = score_stack(
        stack, truth, prompts, model, options, progress=progress, cancelled=cancelled
    )
    if scores is None:
        return None
    return SequenceScore(pair.name, pair.group, stack.shape, scores, time.perf_counter() - start)


def score_stack(
    stack: FrameStack,
    truth: NDArray[np.integer[Any]],
    prompts: Sequence[ObjectPrompt],
    model: Model,
    options: EvaluationOptions,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[ObjectScore, ...] | None:
    """Prompt, propagate and score all objects of a stack in one session.

    Returns
    -------
    tuple of ObjectScore, or None
        In the order of the prompts; None if it was stopped.
    """
    from napari_sam2.tracking import TrackingSession, TrackingSettings

    overlap = options.overlap.keeps_overlaps(stack.n_frames)
    session = TrackingSession(model, stack, settings=TrackingSettings(overlap=overlap))
    board = Scoreboard(truth, prompts)
    for prompt in prompts:
        result = give_prompt(session, prompt)
        if overlap:
            board.record(result.frame, result.object_ids, list(result.masks))
        if cancelled is not None and cancelled():
            return None
    prompted = {(prompt.object_id, prompt.frame) for prompt in prompts}
    steps = session.planned_frames()
    for step, result in enumerate(session.propagate()):
        if cancelled is not None and cancelled():
            return None
        if overlap:
            _record_tracked(board, result, prompted)
        if progress is not None:
            progress(step + 1, steps)
    if not overlap:
        board.record_labels(session.labels)
    return board.scores()


def give_prompt(session: TrackingSession, prompt: ObjectPrompt) -> FrameMasks:
    """Give a session the prompt of one object.

    Raises
    ------
    EvaluationError
        If the prompt holds neither a point nor a box.
    """
    if prompt.point is not None:
        return session.add_points(prompt.object_id, prompt.frame, [prompt.point])
    if prompt.box is not None:
        return session.add_box(prompt.object_id, prompt.frame, prompt.box)
    raise EvaluationError(f"The prompt of object {prompt.object_id} is empty.")


def _record_tracked(
    board: Scoreboard, result: FrameMasks, prompted: AbstractSet[tuple[int, int]]
) -> None:
    """Score what was tracked: what was prompted came back as labels hold it, without overlaps."""
    for object_id, mask in zip(result.object_ids, result.masks, strict=True):
        if (object_id, result.frame) not in prompted:
            board.record(result.frame, [object_id], [mask])


def _step_reporter(
    progress: Progress | None, number: int, count: int, pair: LabelledPair
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None

    def report(step: int, steps: int) -> None:
        progress(EvaluationStep(number, count, f"{pair.group}/{pair.name}", step, steps))

    report(0, 0)
    return report
