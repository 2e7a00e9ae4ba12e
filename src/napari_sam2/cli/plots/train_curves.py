"""Pictures of a training run: loss, and IoU on held-out data, over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_sam2._atomic import replacing
from napari_sam2.cli.plots.charts import Axes, Curve, Picture, draw_chart
from napari_sam2.errors import TrainingError

if TYPE_CHECKING:
    from napari_sam2.training import Validated

_WINDOW = 20


def draw_curves(losses: Sequence[tuple[int, float]], history: Sequence[Validated]) -> Picture:
    """Draw a run: its loss, once there is one, above its figures on held-out data.

    Parameters
    ----------
    losses : sequence of (step, loss)
    history : sequence of Validated
        At least the one before the first step.

    Returns
    -------
    ndarray of uint8, shape (Y, X, 3)
    """
    best = max(history, key=lambda one: (one.iou.score, -one.step))
    click = [(one.step, one.iou.click) for one in history]
    box = [(one.step, one.iou.box) for one in history]
    tracked = [(one.step, one.iou.tracked) for one in history if one.iou.tracked is not None]
    curves = [Curve("one click", click, 1), Curve("box", box, 2)]
    if tracked:
        curves.append(Curve("tracked", tracked, 3))
    title = f"IoU on held-out data, best at step {best.step}"
    charts = [draw_chart(curves, Axes(title, "step", "IoU", whole_x=True))]
    if losses:
        window = min(_WINDOW, len(losses))
        axes = Axes(f"Training loss, mean of {window} steps", "step", "loss", whole_x=True)
        charts.insert(0, draw_chart([Curve("loss", _smoothed(losses, window), 1)], axes))
    return np.concatenate(charts)


def write_curves(
    path: Path, losses: Sequence[tuple[int, float]], history: Sequence[Validated]
) -> None:
    """Draw a run into a PNG file, as `draw_curves` does; atomic.

    Raises
    ------
    TrainingError
        The file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            Image.fromarray(draw_curves(losses, history)).save(temporary, format="PNG")
    except OSError as error:
        raise TrainingError(
            f"The picture {path} cannot be written: {error.strerror or error}.",
            safe="The model and the run are not affected; the same command goes on.",
            remedy="Check that the folder may be written and has space.",
        ) from error


def _smoothed(losses: Sequence[tuple[int, float]], window: int) -> list[tuple[float, float]]:
    steps, values = zip(*losses, strict=True)
    means = np.convolve(values, np.full(window, 1.0 / window), mode="valid").tolist()
    return list(zip(steps[window - 1 :], means, strict=True))
