"""The report of an evaluation, and its text as table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, NamedTuple

from napari_sam2._text_table import table_lines
from napari_sam2.evaluation.linking import TrackScores
from napari_sam2.evaluation.options import EvaluationOptions, PromptProtocol
from napari_sam2.evaluation.scores import (
    HARM,
    ClickSummary,
    FrameSummary,
    ObjectScore,
    ObjectSummary,
    SequenceScore,
    SetMeans,
    SetSummary,
    average_sets,
    summarise_sequences,
    summarise_sizes,
)

_DIGITS = 5

FIRST_CHANNEL = "of images with several channels, only channel 0 was looked at"
"""Line of a report of images whose channels are no colours."""


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
    """Results of an evaluation, and its options.

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
        """The protocols that were evaluated, without repetition."""
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
    """Return the report as JSON text.

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
        "first_channel": one.first_channel,
        "frame_iou": one.frame_iou,
        "iou": one.iou,
        "dice": one.dice,
        "j": one.j,
        "f": one.f,
        "life": one.life,
        "msa": one.msa,
        "sa50": one.sa50,
        "tracks": None if one.tracks is None else _tracks_content(one.tracks),
        "seconds_per_interaction": median(one.interactions),
        "seconds_per_response": median(one.responses),
        "seconds": one.seconds,
        "objects": [_object_content(score) for score in one.objects],
    }


def _tracks_content(tracks: TrackScores) -> dict[str, Any]:
    return {**asdict(tracks), "link_accuracy": tracks.link_accuracy}


def _object_content(score: ObjectScore) -> dict[str, Any]:
    return {
        **asdict(score),
        "size_class": score.size_class,
        "clicks_to_80": score.clicks_to(0.8),
        "clicks_to_90": score.clicks_to(0.9),
    }


def _rounded(content: Any) -> Any:
    """Round all numbers of the content of a file."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_rounded(value) for value in content]
    return round(content, _DIGITS) if isinstance(content, float) else content


_NONE = "-"


class _Row(NamedTuple):
    """A summary, with the method and protocol it belongs to."""

    scores: MethodScores
    value: Any


_Columns = tuple[tuple[str, Callable[[Any], str]], ...]


class _Layout:
    """The columns of a report's tables.

    Parameters
    ----------
    report : EvaluationReport
    """

    def __init__(self, report: EvaluationReport) -> None:
        self.rounds = max((each.rounds for each in report.protocols), default=0)
        self.several_protocols = len(report.protocols) > 1
        self._several_methods = len({scores.method for scores in report.methods}) > 1

    def table(self, columns: _Columns, rows: Iterable[_Row]) -> list[str]:
        """Lay rows out, with the protocol and the method where there are several."""
        labels: _Columns = ()
        if self.several_protocols:
            labels += (("prompt", lambda row: row.scores.protocol.name),)
        if self._several_methods:
            labels += (("method", lambda row: row.scores.method),)
        (first, name), *others = columns
        titles = [first, *(title for title, _ in labels), *(title for title, _ in others)]
        cells = [
            [name(row.value), *(t(row) for _, t in labels), *(t(row.value) for _, t in others)]
            for row in rows
        ]
        return table_lines(titles, cells, left=1 + len(labels))


def format_report(report: EvaluationReport, *, per_object: bool = False) -> str:
    """Return the report as a plain text table.

    Parameters
    ----------
    report : EvaluationReport
    per_object : bool
        Whether to list every object and every sequence, whatever there is to list.
    """
    lines = [*_heading(report), ""]
    if not any(scores.sequences for scores in report.methods):
        return "\n".join([*lines, "No sequence was finished."])
    layout = _Layout(report)
    if per_object:
        lines += [*layout.table(_object_columns(layout), _objects(report.methods)), ""]
    if per_object or not layout.several_protocols:
        lines += [*layout.table(_sequence_columns(layout), _sequences(report.methods)), ""]
    lines += [*layout.table(_size_columns(layout), _sizes(report.methods)), ""]
    lines += layout.table(_set_columns(layout), _sets(report.methods))
    lines += _correction_lines(report, layout)
    if layout.rounds:
        lines += ["", *_curve_lines(report, layout)]
    lines += [*_mean_lines(report, layout), "", f"It took {_duration(report.seconds)}."]
    if not report.complete:
        lines += ["", "Stopped early: these are the sequences that were finished."]
    return "\n".join(lines)


def _heading(report: EvaluationReport) -> list[str]:
    options = report.options
    names = " / ".join(each.name for each in report.protocols)
    lines = [
        f"{report.model} at {report.image_size} px on {report.device}: {names} per object in its "
        f"{options.frame} frame, overlaps: {options.overlap}",
        "one frame: mean IoU in the prompted frame, before anything is followed; stack: mean IoU "
        "of all pixels of each object, followed both ways",
    ]
    rounds = max((each.rounds for each in report.protocols), default=0)
    if rounds:
        lines.append(
            f"then {rounds} rounds of one corrective click per object in its worst frame; "
            "figures are those after the last, @1 those before the first"
        )
    if any(one.first_channel for scores in report.methods for one in scores.sequences):
        lines.append(FIRST_CHANNEL)
    return lines


def _curve_lines(report: EvaluationReport, layout: _Layout) -> list[str]:
    columns: _Columns = (
        ("mean IoU after", lambda one: one.name),
        *((str(number), _curve_point(number)) for number in range(1, layout.rounds + 2)),
    )
    return layout.table(columns, _sets(report.methods))


def _curve_point(number: int) -> Callable[[SetSummary], str]:
    return lambda one: _figure_at(one.objects.curve, number)


def _frame_point(number: int) -> Callable[[Any], str]:
    return lambda one: _figure_at(_in_frame(one).curve, number)


def _correction_lines(report: EvaluationReport, layout: _Layout) -> list[str]:
    """Return a table of the corrective clicks in the prompted frame, if there were any."""
    clicks = max((each.clicks for each in report.protocols), default=0)
    corrected = [scores for scores in report.methods if scores.protocol.clicks]
    if not corrected:
        return []
    columns: _Columns = (
        ("corrections in one frame", _name),
        *((f"IoU@{number}", _frame_point(number)) for number in range(1, clicks + 2)),
        ("clicks", _effect(lambda found: str(found.clicks))),
        ("better", _effect(lambda found: f"{found.helped:.1%}")),
        ("no harm", _effect(lambda found: f"{found.harmless:.1%}")),
        ("background", _effect(lambda found: str(found.background))),
        ("vanished", _effect(lambda found: str(found.vanished))),
    )
    return [
        "",
        *layout.table(columns, [*_sets(corrected), *_means(corrected)]),
        f"better: clicks after which the IoU there is higher; no harm: not lower by more than "
        f"{HARM}; vanished: background clicks that left nothing of the object",
    ]


def _mean_lines(report: EvaluationReport, layout: _Layout) -> list[str]:
    rows = _means(report.methods)
    if not rows:
        return []
    columns: _Columns = (
        ("mean over sets", _name),
        ("objects", lambda one: str(one.objects)),
        ("one frame", lambda one: f"{one.iou:.3f}"),
        ("frame F", lambda one: f"{one.f:.3f}"),
        ("sets with stacks", lambda one: str(one.stack.sets if one.stack else 0)),
        *_stack_columns(lambda one: one.stack),
    )
    return ["", *layout.table(columns, rows)]


def _sequence_columns(layout: _Layout) -> _Columns:
    first: _Columns = (("IoU@1", lambda one: f"{_mean_first(one):.3f}"),) if layout.rounds else ()
    return (
        ("sequence", lambda one: f"{one.group}/{one.name}"),
        ("frames", lambda one: str(one.shape[0])),
        ("objects", lambda one: str(len(one.objects))),
        ("one frame", lambda one: f"{one.frame_iou:.3f}"),
        *first,
        ("IoU", lambda one: f"{one.iou:.3f}"),
        ("Dice", lambda one: f"{one.dice:.3f}"),
        ("J", lambda one: f"{one.j:.3f}"),
        ("F", lambda one: f"{one.f:.3f}"),
        ("life", lambda one: f"{one.life:.3f}"),
        ("mSA", lambda one: f"{one.msa[-1]:.3f}"),
        ("SA50", lambda one: f"{one.sa50[-1]:.3f}"),
        ("SEG", lambda one: _figure(one.tracks and one.tracks.seg)),
        ("links", lambda one: _figure(one.tracks and one.tracks.link_accuracy)),
        ("seconds", lambda one: f"{one.seconds:.1f}"),
    )


def _figure(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"


def _size_columns(layout: _Layout) -> _Columns:
    return (
        ("diameter", lambda one: one.name),
        ("objects", lambda one: str(one.objects)),
        ("one frame", lambda one: f"{one.in_frame.iou:.3f}"),
        *_object_means(lambda one: one, layout.rounds > 0),
    )


def _set_columns(layout: _Layout) -> _Columns:
    through = (
        _object_means(lambda one: one.objects, True)
        if layout.rounds
        else _stack_columns(lambda one: one.stack)
    )
    return (
        ("set", lambda one: one.name),
        ("sequences", lambda one: str(one.sequences)),
        ("objects", lambda one: str(one.objects.objects)),
        ("one frame", lambda one: f"{one.objects.in_frame.iou:.3f}"),
        ("frame F", lambda one: f"{one.objects.in_frame.f:.3f}"),
        *through,
        ("IoU/sequence", lambda one: f"{one.iou_per_sequence:.3f}"),
        ("mSA", lambda one: f"{one.msa[-1]:.3f}"),
        ("SA50", lambda one: f"{one.sa50[-1]:.3f}"),
        ("s/click", lambda one: f"{one.seconds_per_interaction:.3f}"),
        ("seconds", lambda one: f"{one.seconds:.1f}"),
    )


def _stack_columns(of: Callable[[Any], Any]) -> _Columns:
    """Columns of figures through stacks; `of` finds them, or None, in a row."""

    def column(name: str) -> Callable[[Any], str]:
        return lambda row: f"{getattr(of(row), name):.3f}" if of(row) else _NONE

    return (("stack", column("iou")), ("life", column("life")), ("stack F", column("f")))


def _object_columns(layout: _Layout) -> _Columns:
    first: _Columns = (("IoU@1", lambda row: f"{row[1].curve[0]:.3f}"),) if layout.rounds else ()
    return (
        ("object", lambda row: f"{row[0].group}/{row[0].name} {row[1].object_id}"),
        ("prompt frame", lambda row: str(row[1].prompt_frame)),
        ("frames", lambda row: str(row[1].frames)),
        ("diameter", lambda row: f"{row[1].diameter:.0f}"),
        ("one frame", lambda row: f"{row[1].in_frame.iou:.3f}"),
        *first,
        ("IoU", lambda row: f"{row[1].iou:.3f}"),
        ("Dice", lambda row: f"{row[1].dice:.3f}"),
        ("J", lambda row: f"{row[1].j:.3f}"),
        ("F", lambda row: f"{row[1].f:.3f}"),
        ("life", lambda row: f"{row[1].life:.3f}"),
    )


def _object_means(of: Callable[[Any], ObjectSummary], corrected: bool) -> _Columns:
    """Columns of means over objects; `of` finds them in a row."""
    first: _Columns = (("IoU@1", lambda row: f"{of(row).curve[0]:.3f}"),) if corrected else ()
    counts: _Columns = (
        ("clicks to .8", lambda row: f"{of(row).to_80.clicks:.2f} ({of(row).to_80.reached:.0%})"),
        ("clicks to .9", lambda row: f"{of(row).to_90.clicks:.2f} ({of(row).to_90.reached:.0%})"),
    )
    return (
        *first,
        ("IoU/object", lambda row: f"{of(row).iou:.3f}"),
        ("Dice", lambda row: f"{of(row).dice:.3f}"),
        ("J", lambda row: f"{of(row).j:.3f}"),
        ("F", lambda row: f"{of(row).f:.3f}"),
        ("life", lambda row: f"{of(row).life:.3f}"),
        *counts,
    )


def _mean_first(one: SequenceScore) -> float:
    return sum(score.curve[0] for score in one.objects) / len(one.objects)


def _name(one: SetSummary | SetMeans) -> str:
    return f"mean over {one.sets} sets" if isinstance(one, SetMeans) else one.name


def _in_frame(one: SetSummary | SetMeans) -> FrameSummary | SetMeans:
    return one if isinstance(one, SetMeans) else one.objects.in_frame


def _effect(text: Callable[[ClickSummary], str]) -> Callable[[SetSummary | SetMeans], str]:
    def cell(one: SetSummary | SetMeans) -> str:
        found = _in_frame(one).corrections
        return _NONE if found is None else text(found)

    return cell


def _figure_at(curve: Sequence[float], number: int) -> str:
    return f"{curve[number - 1]:.3f}" if number <= len(curve) else _NONE


def _objects(methods: Sequence[MethodScores]) -> list[_Row]:
    rows: list[tuple[MethodScores, tuple[SequenceScore, ObjectScore]]] = [
        (scores, (sequence, score))
        for scores in methods
        for sequence in scores.sequences
        for score in sequence.objects
    ]
    rows.sort(key=lambda row: (row[1][0].group, row[1][0].name, row[1][1].object_id))
    return [_Row(*row) for row in rows]


def _sequences(methods: Sequence[MethodScores]) -> list[_Row]:
    rows = [_Row(scores, one) for scores in methods for one in scores.sequences]
    return sorted(rows, key=lambda row: (row.value.group, row.value.name))


def _sizes(methods: Sequence[MethodScores]) -> list[_Row]:
    return _interleaved([(scores, scores.sizes()) for scores in methods])


def _sets(methods: Sequence[MethodScores]) -> list[_Row]:
    """List sets, each by all methods; the total last, if there are several sets."""
    rows = _interleaved([(scores, scores.sets()) for scores in methods])
    if len({row.value.name for row in rows}) == 1:
        return rows
    totals = [(scores, scores.total()) for scores in _beside(methods)]
    return [*rows, *(_Row(scores, total) for scores, total in totals if total is not None)]


def _means(methods: Sequence[MethodScores]) -> list[_Row]:
    """Return the means over sets if there are several."""
    means = [(scores, scores.mean()) for scores in _beside(methods)]
    return [_Row(scores, mean) for scores, mean in means if mean is not None and mean.sets > 1]


def _interleaved(
    columns: Sequence[tuple[MethodScores, Sequence[SetSummary] | Sequence[ObjectSummary]]],
) -> list[_Row]:
    order = _beside([scores for scores, _ in columns])
    rows = [_Row(scores, summary) for scores, summaries in columns for summary in summaries]
    names = list(dict.fromkeys(row.value.name for row in rows))
    return sorted(rows, key=lambda row: (names.index(row.value.name), order.index(row.scores)))


def _beside(methods: Sequence[MethodScores]) -> list[MethodScores]:
    """Sort scores by protocol, so that the methods of one protocol are neighbours."""
    protocols = list(dict.fromkeys(scores.protocol for scores in methods))
    return sorted(methods, key=lambda scores: protocols.index(scores.protocol))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
