"""The curves of a training run: loss, and IoU on held-out data, over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.cli.plots.charts import Chart, Curve, write_charts
from napari_sam2.errors import TrainingError

if TYPE_CHECKING:
    from napari_sam2.training import Validated

_WINDOW = 20


def run_charts(
    losses: Sequence[tuple[int, float]], history: Sequence[Validated]
) -> tuple[Chart, ...]:
    """Return the charts of a run: its loss, if it has made a step, and its IoU on held-out data.

    Parameters
    ----------
    losses : sequence of (step, loss)
    history : sequence of Validated
        At least the one before the first step.
    """
    best = max(history, key=lambda one: (one.iou.score, -one.step))
    click = [(one.step, one.iou.click) for one in history]
    box = [(one.step, one.iou.box) for one in history]
    tracked = [(one.step, one.iou.tracked) for one in history if one.iou.tracked is not None]
    curves = [Curve("one click", click, 1), Curve("box", box, 2)]
    if tracked:
        curves.append(Curve("tracked", tracked, 3))
    iou = Chart(f"IoU on held-out data, best at step {best.step}", "step", "IoU", curves)
    if not losses:
        return (iou,)
    window = min(_WINDOW, len(losses))
    loss = Curve("loss", _smoothed(losses, window), 1)
    return (Chart(f"Training loss, mean of {window} steps", "step", "loss", [loss]), iou)


def write_curves(
    path: Path, losses: Sequence[tuple[int, float]], history: Sequence[Validated]
) -> None:
    """Draw `run_charts` into a PNG file, which is replaced as a whole.

    Raises
    ------
    TrainingError
        The file cannot be written, or matplotlib is not installed.
    """
    safe = "The model and the run are not affected; the same command goes on."
    write_charts(path, run_charts(losses, history), TrainingError, safe)


def _smoothed(losses: Sequence[tuple[int, float]], window: int) -> list[tuple[float, float]]:
    steps, values = zip(*losses, strict=True)
    means = np.convolve(values, np.full(window, 1.0 / window), mode="valid").tolist()
    return list(zip(steps[window - 1 :], means, strict=True))
