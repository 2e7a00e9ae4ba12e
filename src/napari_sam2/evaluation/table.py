"""A report as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from napari_sam2.evaluation.report import EvaluationReport, MethodScores
from napari_sam2.evaluation.scores import ObjectScore, SequenceScore
from napari_sam2.evaluation.summary import ObjectSummary, SetSummary

_Row = tuple[str, Any]
"""A method's name, and what it scored."""

_Columns = tuple[tuple[str, Callable[[Any], str]], ...]


def format_report(report: EvaluationReport, *, per_object: bool = False) -> str:
    """Give the report as a plain text table.

    Parameters
    ----------
    report : EvaluationReport
    per_object : bool
        Whether to list every object too.
    """
    lines = [*_heading(report), ""]
    if not any(scores.sequences for scores in report.methods):
        return "\n".join([*lines, "No sequence was finished."])
    several = len(report.methods) > 1
    corrected = report.options.rounds > 0
    if per_object:
        lines += [*_table(_object_columns(corrected), _objects(report.methods), several), ""]
    lines += [*_table(_sequence_columns(corrected), _sequences(report.methods), several), ""]
    lines += [*_table(_size_columns(corrected), _sizes(report.methods), several), ""]
    lines += _table(_set_columns(corrected), _sets(report.methods), several)
    if corrected:
        lines += ["", *_curve_lines(report)]
    if not report.complete:
        lines += ["", "Stopped early: these are the sequences that were finished."]
    return "\n".join(lines)


def _heading(report: EvaluationReport) -> list[str]:
    options = report.options
    lines = [
        f"{report.model} at {report.image_size} px on {report.device}: one {options.prompt} per "
        f"object in its {options.frame} frame, both ways, overlaps: {options.overlap}"
    ]
    if options.rounds:
        lines.append(
            f"then {options.rounds} rounds of one corrective click per object in its worst frame; "
            "figures are those after the last, @1 those after the first prompt"
        )
    return lines


def _curve_lines(report: EvaluationReport) -> list[str]:
    interactions = range(1, report.options.rounds + 2)
    columns: _Columns = (
        ("mean IoU after", lambda one: one.name),
        *((str(number), _curve_point(number)) for number in interactions),
    )
    return _table(columns, _sets(report.methods), len(report.methods) > 1)


def _curve_point(number: int) -> Callable[[SetSummary], str]:
    return lambda one: f"{one.objects.curve[number - 1]:.3f}"


def _sequence_columns(corrected: bool) -> _Columns:
    first: _Columns = (("IoU@1", lambda one: f"{_mean_first(one):.3f}"),) if corrected else ()
    return (
        ("sequence", lambda one: f"{one.group}/{one.name}"),
        ("frames", lambda one: str(one.shape[0])),
        ("objects", lambda one: str(len(one.objects))),
        *first,
        ("IoU", lambda one: f"{one.iou:.3f}"),
        ("Dice", lambda one: f"{one.dice:.3f}"),
        ("J", lambda one: f"{one.j:.3f}"),
        ("F", lambda one: f"{one.f:.3f}"),
        ("life", lambda one: f"{one.life:.3f}"),
        ("mSA", lambda one: f"{one.msa[-1]:.3f}"),
        ("SA50", lambda one: f"{one.sa50[-1]:.3f}"),
        ("seconds", lambda one: f"{one.seconds:.1f}"),
    )


def _size_columns(corrected: bool) -> _Columns:
    return (
        ("diameter", lambda one: one.name),
        ("objects", lambda one: str(one.objects)),
        *_object_means(lambda one: one, corrected),
    )


def _set_columns(corrected: bool) -> _Columns:
    return (
        ("set", lambda one: one.name),
        ("sequences", lambda one: str(one.sequences)),
        ("objects", lambda one: str(one.objects.objects)),
        *_object_means(lambda one: one.objects, corrected),
        ("IoU/sequence", lambda one: f"{one.iou_per_sequence:.3f}"),
        ("mSA", lambda one: f"{one.msa[-1]:.3f}"),
        ("SA50", lambda one: f"{one.sa50[-1]:.3f}"),
        ("s/click", lambda one: f"{one.seconds_per_interaction:.3f}"),
        ("seconds", lambda one: f"{one.seconds:.1f}"),
    )


def _object_columns(corrected: bool) -> _Columns:
    first: _Columns = (("IoU@1", lambda row: f"{row[1].curve[0]:.3f}"),) if corrected else ()
    return (
        ("object", lambda row: f"{row[0].group}/{row[0].name} {row[1].object_id}"),
        ("prompt frame", lambda row: str(row[1].prompt_frame)),
        ("frames", lambda row: str(row[1].frames)),
        ("diameter", lambda row: f"{row[1].diameter:.0f}"),
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


def _objects(methods: Sequence[MethodScores]) -> list[_Row]:
    rows: list[tuple[str, tuple[SequenceScore, ObjectScore]]] = [
        (scores.method, (sequence, score))
        for scores in methods
        for sequence in scores.sequences
        for score in sequence.objects
    ]
    return sorted(rows, key=lambda row: (row[1][0].group, row[1][0].name, row[1][1].object_id))


def _sequences(methods: Sequence[MethodScores]) -> list[_Row]:
    rows = [(scores.method, one) for scores in methods for one in scores.sequences]
    return sorted(rows, key=lambda row: (row[1].group, row[1].name))


def _sizes(methods: Sequence[MethodScores]) -> list[_Row]:
    return _interleaved([(scores.method, scores.sizes()) for scores in methods])


def _sets(methods: Sequence[MethodScores]) -> list[_Row]:
    """List sets, each by all methods; the total last, if there are several sets."""
    rows = _interleaved([(scores.method, scores.sets()) for scores in methods])
    if len({summary.name for _, summary in rows}) == 1:
        return rows
    totals = [(scores.method, scores.total()) for scores in methods]
    return [*rows, *((method, total) for method, total in totals if total is not None)]


def _interleaved(
    columns: Sequence[tuple[str, Sequence[SetSummary] | Sequence[ObjectSummary]]],
) -> list[_Row]:
    rows = [(method, summary) for method, summaries in columns for summary in summaries]
    names = list(dict.fromkeys(summary.name for _, summary in rows))
    return sorted(rows, key=lambda row: names.index(row[1].name))


def _table(columns: _Columns, rows: Iterable[_Row], several: bool) -> list[str]:
    """Lay rows out; with several methods their names are the second column."""
    cells = [_with_method("method", [title for title, _ in columns], several)]
    cells += [_with_method(name, [text(row) for _, text in columns], several) for name, row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return ["  ".join(_align(line, widths)).rstrip() for line in cells]


def _with_method(name: str, cells: list[str], several: bool) -> list[str]:
    return [cells[0], name, *cells[1:]] if several else cells


def _align(line: list[str], widths: list[int]) -> list[str]:
    first, *rest = line
    return [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]
