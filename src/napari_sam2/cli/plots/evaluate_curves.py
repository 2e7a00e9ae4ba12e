"""The curves of an evaluation: IoU over clicks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_sam2.cli.plots.charts import Axes, Curve, write_chart
from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation import EvaluationReport, MethodScores
from napari_sam2.evaluation.scores import SetSummary


def write_curves(path: Path, report: EvaluationReport) -> None:
    """Draw the mean IoU of each set over the clicks, the baseline's dashed, into a PNG file.

    With corrections in rounds these are the curves over the rounds, else those of the protocol
    with the most clicks in the prompted frame.

    Raises
    ------
    EvaluationError
        If the file cannot be written.
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
    axes = Axes(title, "interactions", "mean IoU", y_range=(0, 1), whole_x=True)
    write_chart(path, sorted(curves, key=lambda one: one.colour), axes, EvaluationError)


def _name(one: SetSummary, scores: MethodScores, shown: Sequence[MethodScores]) -> str:
    return f"{one.name}, {scores.method}" if len(shown) > 1 else one.name


def _points(one: SetSummary, rounds: bool) -> tuple[float, ...]:
    return one.objects.curve if rounds else one.objects.in_frame.curve
