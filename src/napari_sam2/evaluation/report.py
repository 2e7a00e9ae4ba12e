"""What an evaluation found: frozen scores, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from napari_sam2.evaluation.options import EvaluationOptions


@dataclass(frozen=True, slots=True)
class ObjectScore:
    """How well one object was segmented.

    Attributes
    ----------
    object_id : int
    prompt_frame : int
        The frame that got the prompt.
    frames : int
        Frames of the stack that truly hold the object.
    iou : float
        Intersection over union of the object's pixels over all frames together.
    j, f : float
        Region similarity J and boundary accuracy F, mean over the frames where the
        object is in the truth or in the prediction.
    """

    object_id: int
    prompt_frame: int
    frames: int
    iou: float
    j: float
    f: float


@dataclass(frozen=True, slots=True)
class SequenceScore:
    """The scores of one stack.

    Attributes
    ----------
    name, group : str
        Of the pair on disk: its name and its folder's.
    shape : (int, int, int)
        (T, Y, X).
    objects : tuple of ObjectScore
    seconds : float
        Wall time of prompting, propagating and scoring.
    """

    name: str
    group: str
    shape: tuple[int, int, int]
    objects: tuple[ObjectScore, ...]
    seconds: float

    @property
    def iou(self) -> float:
        """Mean of the objects' IoU."""
        return fmean(score.iou for score in self.objects)

    @property
    def j(self) -> float:
        """Mean of the objects' J."""
        return fmean(score.j for score in self.objects)

    @property
    def f(self) -> float:
        """Mean of the objects' F."""
        return fmean(score.f for score in self.objects)


@dataclass(frozen=True, slots=True)
class SetSummary:
    """The mean scores of all sequences of one folder, or of all folders."""

    name: str
    sequences: int
    objects: int
    iou_per_object: float
    iou_per_sequence: float
    j_per_object: float
    f_per_object: float
    seconds: float


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything an evaluation found, and how it was asked.

    Attributes
    ----------
    model, device : str
    image_size : int
        Side of the square model input, in pixels.
    options : EvaluationOptions
    sequences : tuple of SequenceScore
        Those that were finished and hold at least one object.
    complete : bool
        False if it was stopped early.
    """

    model: str
    device: str
    image_size: int
    options: EvaluationOptions
    sequences: tuple[SequenceScore, ...]
    complete: bool = True

    def sets(self) -> tuple[SetSummary, ...]:
        """One summary per folder, in order of appearance."""
        names = dict.fromkeys(sequence.group for sequence in self.sequences)
        return tuple(
            _summarise(name, [one for one in self.sequences if one.group == name]) for name in names
        )

    def total(self) -> SetSummary | None:
        """Summarise all sequences; None if there is none."""
        return _summarise("all", list(self.sequences)) if self.sequences else None


def report_to_json(report: EvaluationReport) -> str:
    """Give the report as JSON text: every object, every sequence, every set, the total."""
    total = report.total()
    content = {
        "model": report.model,
        "device": report.device,
        "image_size": report.image_size,
        "options": asdict(report.options),
        "complete": report.complete,
        "total": asdict(total) if total else None,
        "sets": [asdict(summary) for summary in report.sets()],
        "sequences": [
            {**asdict(one), "iou": one.iou, "j": one.j, "f": one.f} for one in report.sequences
        ],
    }
    return json.dumps(content, indent=2)


def format_report(report: EvaluationReport, *, per_object: bool = False) -> str:
    """Give the report as a plain text table.

    Parameters
    ----------
    report : EvaluationReport
    per_object : bool
        Whether to list every object too.
    """
    options = report.options
    lines = [
        f"{report.model} at {report.image_size} px on {report.device}: one {options.prompt} per "
        f"object in its {options.frame} frame, both ways, overlaps: {options.overlap}",
        "",
    ]
    if not report.sequences:
        return "\n".join([*lines, "No sequence was finished."])
    if per_object:
        lines += [*_table(_OBJECT_COLUMNS, _object_rows(report.sequences)), ""]
    lines += [*_table(_SEQUENCE_COLUMNS, report.sequences), ""]
    total = report.total()
    summaries = [*report.sets(), *([total] if total else [])]
    lines += _table(_SET_COLUMNS, summaries)
    if not report.complete:
        lines += ["", "Stopped early: these are the sequences that were finished."]
    return "\n".join(lines)


def _summarise(name: str, sequences: list[SequenceScore]) -> SetSummary:
    objects = [score for sequence in sequences for score in sequence.objects]
    return SetSummary(
        name=name,
        sequences=len(sequences),
        objects=len(objects),
        iou_per_object=fmean(score.iou for score in objects),
        iou_per_sequence=fmean(sequence.iou for sequence in sequences),
        j_per_object=fmean(score.j for score in objects),
        f_per_object=fmean(score.f for score in objects),
        seconds=sum(sequence.seconds for sequence in sequences),
    )


_Columns = tuple[tuple[str, Callable[[Any], str]], ...]

_SEQUENCE_COLUMNS: _Columns = (
    ("sequence", lambda one: f"{one.group}/{one.name}"),
    ("frames", lambda one: str(one.shape[0])),
    ("objects", lambda one: str(len(one.objects))),
    ("IoU", lambda one: f"{one.iou:.3f}"),
    ("J", lambda one: f"{one.j:.3f}"),
    ("F", lambda one: f"{one.f:.3f}"),
    ("seconds", lambda one: f"{one.seconds:.1f}"),
)

_SET_COLUMNS: _Columns = (
    ("set", lambda one: one.name),
    ("sequences", lambda one: str(one.sequences)),
    ("objects", lambda one: str(one.objects)),
    ("IoU/object", lambda one: f"{one.iou_per_object:.3f}"),
    ("IoU/sequence", lambda one: f"{one.iou_per_sequence:.3f}"),
    ("J", lambda one: f"{one.j_per_object:.3f}"),
    ("F", lambda one: f"{one.f_per_object:.3f}"),
    ("seconds", lambda one: f"{one.seconds:.1f}"),
)

_OBJECT_COLUMNS: _Columns = (
    ("object", lambda row: f"{row[0].group}/{row[0].name} {row[1].object_id}"),
    ("prompt frame", lambda row: str(row[1].prompt_frame)),
    ("frames", lambda row: str(row[1].frames)),
    ("IoU", lambda row: f"{row[1].iou:.3f}"),
    ("J", lambda row: f"{row[1].j:.3f}"),
    ("F", lambda row: f"{row[1].f:.3f}"),
)


def _object_rows(
    sequences: tuple[SequenceScore, ...],
) -> list[tuple[SequenceScore, ObjectScore]]:
    return [(sequence, score) for sequence in sequences for score in sequence.objects]


def _table(columns: _Columns, rows: Iterable[Any]) -> list[str]:
    cells = [[title for title, _ in columns]]
    cells += [[text(row) for _, text in columns] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    return ["  ".join(_align(line, widths)).rstrip() for line in cells]


def _align(line: list[str], widths: list[int]) -> list[str]:
    first, *rest = line
    return [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]
