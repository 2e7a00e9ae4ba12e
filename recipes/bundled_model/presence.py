"""The bias of the object score on frames without the object, measured on labelled stacks.

Few training frames lack their object, so that a trained object score is too high on average. The
bias is one number, which is subtracted from the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.simulated_user import ObjectPrompt
from napari_sam2.stack import FrameStack

if TYPE_CHECKING:
    from napari_sam2.tracking import Model


@dataclass(frozen=True, slots=True, eq=False)
class PresenceSample:
    """Object scores of tracked frames, and whether the object was there.

    Attributes
    ----------
    logits : ndarray of float64, shape (N,)
        Object scores before the sigmoid.
    present : ndarray of bool, shape (N,)
    """

    logits: NDArray[np.float64]
    present: NDArray[np.bool_]

    def balanced_accuracy(self, threshold: float) -> float:
        """Return the balanced accuracy of a threshold on the object score, in 0..1."""
        predicted = self.logits > threshold
        right = [
            group.mean()
            for group in (predicted[self.present], ~predicted[~self.present])
            if len(group)  # a stack whose objects are always there has one group only
        ]
        return float(np.mean(right))


def sample_presence(
    stack: FrameStack,
    truth: NDArray[np.integer[Any]],
    prompts: Sequence[ObjectPrompt],
    model: Model,
) -> PresenceSample:
    """Propagate each object from one prompt and collect its object scores.

    Parameters
    ----------
    stack : FrameStack
    truth : ndarray of int, shape (T, Y, X)
    prompts : sequence of ObjectPrompt
        Their frames are left out, since the object is present there by definition.
    model : Model
    """
    from napari_sam2.evaluation.methods import give_prompt
    from napari_sam2.tracking import TrackingSession, TrackingSettings

    session = TrackingSession(model, stack, settings=TrackingSettings(overlap=True))
    prompted = set()
    for prompt in prompts:
        give_prompt(session, prompt)
        prompted.add((prompt.object_id, prompt.frame))
    scores, present = [], []
    for result in session.propagate():
        for object_id, presence in zip(result.object_ids, result.presence, strict=True):
            if (object_id, result.frame) not in prompted:
                scores.append(float(presence))
                present.append(bool((truth[result.frame] == object_id).any()))
    probability = np.clip(np.asarray(scores, dtype=np.float64), 1e-9, 1 - 1e-9)
    return PresenceSample(np.log(probability / (1 - probability)), np.asarray(present, dtype=bool))


def best_threshold(samples: Sequence[PresenceSample]) -> float:
    """Return the object score (logit) that separates best, each stack counting alike.

    Maximises the mean balanced accuracy.

    Raises
    ------
    EvaluationError
        No stack holds both frames with and frames without an object.
    """
    usable = [s for s in samples if s.present.any() and not s.present.all()]
    if not usable:
        raise EvaluationError(
            "No object ever leaves these stacks.",
            remedy="Use stacks in which objects begin and end.",
        )
    edges = np.unique(np.concatenate([s.logits for s in usable]))
    candidates = np.concatenate([edges[:1] - 1, (edges[1:] + edges[:-1]) / 2, edges[-1:] + 1])
    accuracy = np.array(
        [np.mean([s.balanced_accuracy(float(c)) for s in usable]) for c in candidates]
    )
    best = candidates[accuracy >= accuracy.max() - 1e-12]
    # Ties may lie apart: take the one nearest to their middle.
    return float(best[np.abs(best - best.mean()).argmin()])
