"""What an evaluation found: frozen scores, and their JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from napari_sam2.evaluation.options import EvaluationOptions, PromptProtocol
from napari_sam2.evaluation.scores import ObjectScore, SequenceScore
from napari_sam2.evaluation.summary import (
    ObjectSummary,
    SetMeans,
    SetSummary,
    average_sets,
    summarise_sequences,
    summarise_sizes,
)

_DIGITS = 5


@dataclass(frozen=True, slots=True)
class MethodScores:
    """The scores of one method.

    Attributes
    ----------
    method : str
        Name of the model, or ``baseline``.
    protocol : PromptProtocol
    sequences : tuple of SequenceScore
        Those that were finished and hold at least one object.
    """

    method: str
    protocol: PromptProtocol
    sequences: tuple[SequenceScore, ...]

    def sets(self) -> tuple[SetSummary, ...]:
        """One summary per folder, in order of appearance."""
        names = dict.fromkeys(sequence.group for sequence in self.sequences)
        return tuple(
            summarise_sequences(name, [one for one in self.sequences if one.group == name])
            for name in names
        )

    def total(self) -> SetSummary | None:
        """Summarise all sequences; None if there is none."""
        return summarise_sequences("all", self.sequences) if self.sequences else None

    def mean(self) -> SetMeans | None:
        """Average over the sets, each counting alike; None if there is none."""
        sets = self.sets()
        return average_sets(sets) if sets else None

    def sizes(self) -> tuple[ObjectSummary, ...]:
        """One summary per size class of objects, the smallest first."""
        return summarise_sizes([score for one in self.sequences for score in one.objects])


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything an evaluation found, and how it was asked.

    Attributes
    ----------
    model, device : str
    image_size : int
        Side of the square model input, in pixels.
    options : EvaluationOptions
        All but prompt, clicks and rounds, which each of the scores has in its protocol.
    methods : tuple of MethodScores
        The model's scores by each protocol, then those of the baseline if it was asked for.
    seconds : float
        Wall time of everything, reading and scoring included.
    complete : bool
        False if it was stopped early.
    """

    model: str
    device: str
    image_size: int
    options: EvaluationOptions
    methods: tuple[MethodScores, ...]
    seconds: float
    complete: bool = True

    @property
    def protocols(self) -> tuple[PromptProtocol, ...]:
        """What the simulated user gave, side by side."""
        return tuple(dict.fromkeys(scores.protocol for scores in self.methods))

    @property
    def sequences(self) -> tuple[SequenceScore, ...]:
        """The model's scores by the first protocol."""
        return self.methods[0].sequences

    def sets(self) -> tuple[SetSummary, ...]:
        """One summary of these per folder, in order of appearance."""
        return self.methods[0].sets()

    def total(self) -> SetSummary | None:
        """Summarise all of them; None if there is none."""
        return self.methods[0].total()


def report_to_json(report: EvaluationReport) -> str:
    """Give the report as JSON text.

    Per method and protocol it has the mean over sets, the total, sets, size classes, sequences.
    """
    options = asdict(report.options)
    for name in ("prompt", "clicks", "rounds"):
        if len(report.protocols) > 1:
            del options[name]  # the protocols have their own
    content = {
        "model": report.model,
        "device": report.device,
        "image_size": report.image_size,
        "options": options,
        "seconds": report.seconds,
        "complete": report.complete,
        "methods": [_method_content(scores) for scores in report.methods],
    }
    return json.dumps(_rounded(content), indent=1)


def _method_content(scores: MethodScores) -> dict[str, Any]:
    total, mean = scores.total(), scores.mean()
    return {
        "method": scores.method,
        "protocol": asdict(scores.protocol),
        "mean_over_sets": asdict(mean) if mean else None,
        "total": asdict(total) if total else None,
        "sets": [asdict(summary) for summary in scores.sets()],
        "sizes": [asdict(summary) for summary in scores.sizes()],
        "sequences": [_sequence_content(one) for one in scores.sequences],
    }


def _sequence_content(one: SequenceScore) -> dict[str, Any]:
    return {
        "name": one.name,
        "group": one.group,
        "shape": one.shape,
        "frame_iou": one.frame_iou,
        "iou": one.iou,
        "dice": one.dice,
        "j": one.j,
        "f": one.f,
        "life": one.life,
        "msa": one.msa,
        "sa50": one.sa50,
        "seconds_per_interaction": median(one.interactions),
        "seconds_per_response": median(one.responses),
        "seconds": one.seconds,
        "objects": [_object_content(score) for score in one.objects],
    }


def _object_content(score: ObjectScore) -> dict[str, Any]:
    return {
        **asdict(score),
        "size_class": score.size_class,
        "clicks_to_80": score.clicks_to(0.8),
        "clicks_to_90": score.clicks_to(0.9),
    }


def _rounded(content: Any) -> Any:
    """Round all numbers: digits beyond say nothing and double the file."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_rounded(value) for value in content]
    return round(content, _DIGITS) if isinstance(content, float) else content
