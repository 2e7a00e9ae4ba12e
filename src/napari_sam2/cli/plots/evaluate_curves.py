"""The curves of an evaluation: mean IoU of each set over the clicks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_sam2.cli.plots.charts import Chart, Curve, write_charts
from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation import EvaluationReport, MethodScores
from napari_sam2.evaluation.scores import SetSummary


def iou_chart(report: EvaluationReport) -> Chart:
    """Return the chart of the mean IoU of each set over the clicks, the baseline's dashed.

    With corrections in rounds these are the curves over the rounds, else those of the protocol
    with the most clicks in the prompted frame.
    """
    protocol = max(report.protocols, key=lambda each: (each.rounds, each.clicks))
    shown = [scores for scores in report.methods if scores.protocol == protocol]
    groups = list(dict.fromkeys(one.name for scores in shown for one in scores.sets()))
    curves = [
        Curve(
            name=_name(one, scores, shown),
            points=list(enumerate(_points(one, protocol.rounds > 0), start=1)),
            colour=1 + groups.index(one.name),
            dashed=number > 0,
        )
        for number, scores in enumerate(shown)
        for one in scores.sets()
    ]
    frame = f"the {report.options.frame} frame"
    title = f"first a {protocol.prompt} in {frame}, then corrective clicks"
    if not protocol.rounds:
        title = f"in {frame} alone: first a {protocol.prompt}, then corrective clicks"
    by_set = sorted(curves, key=lambda one: one.colour)
    return Chart(title, "interactions", "mean IoU", by_set, y_range=(0, 1))


def write_curves(path: Path, report: EvaluationReport) -> None:
    """Draw `iou_chart` of a report into a PNG file.

    Raises
    ------
    EvaluationError
        If the file cannot be written or matplotlib is not installed.
    """
    write_charts(path, [iou_chart(report)], EvaluationError)


def _name(one: SetSummary, scores: MethodScores, shown: Sequence[MethodScores]) -> str:
    return f"{one.name}, {scores.method}" if len(shown) > 1 else one.name


def _points(one: SetSummary, rounds: bool) -> tuple[float, ...]:
    return one.objects.curve if rounds else one.objects.in_frame.curve
