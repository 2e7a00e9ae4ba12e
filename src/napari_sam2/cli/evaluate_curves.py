"""The curves of an evaluation: IoU over clicks."""

from __future__ import annotations

from pathlib import Path

from napari_sam2.cli.charts import Axes, Curve, write_chart
from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation import EvaluationReport


def write_curves(path: Path, report: EvaluationReport) -> None:
    """Draw the mean IoU of each set over the clicks, the baseline's dashed, into a PNG file.

    Raises
    ------
    EvaluationError
        If the file cannot be written.
    """
    groups = list(dict.fromkeys(one.name for scores in report.methods for one in scores.sets()))
    curves = [
        Curve(
            name=f"{one.name}, {scores.method}" if len(report.methods) > 1 else one.name,
            points=list(enumerate(one.objects.curve, start=1)),
            colour=1 + groups.index(one.name),
            dashed=number > 0,
        )
        for number, scores in enumerate(report.methods)
        for one in scores.sets()
    ]
    options = report.options
    title = f"first a {options.prompt} in the {options.frame} frame, then corrective clicks"
    axes = Axes(title, "interactions", "mean IoU", y_range=(0, 1), whole_x=True)
    write_chart(path, sorted(curves, key=lambda one: one.colour), axes, EvaluationError)
