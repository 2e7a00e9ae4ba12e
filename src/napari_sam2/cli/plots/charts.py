"""Line charts as PNG files, drawn by matplotlib, which the extra `plots` installs.

This module owns the look of a chart. It uses matplotlib's objects and neither pyplot nor any other
global state, so that any thread may draw.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2._atomic import writing
from napari_sam2.errors import Sam2Error
from napari_sam2.labels.rendering.colours import colour_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = tuple[float, float]

_DPI = 100
_WIDTH, _HEIGHT = 9.6, 6.0  # inches
_BACKGROUND, _GRID, _INK = "#141414", "#3e3e3e", "#e1e1e1"
_LINE_WIDTH, _MARKER_SIZE = 2.0, 5.0  # points of 1/72 inch
_MAX_MARKERS = 60
_TITLE_SIZE, _TEXT_SIZE = 13, 11


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line of a chart.

    Attributes
    ----------
    name : str
        Shown in the legend.
    points : sequence of (x, y)
        In the order in which they are joined; a NaN leaves a gap.
    colour : int
        Number of the colour, from 1; curves that belong together share it.
    dashed : bool
    """

    name: str
    points: Sequence[Point]
    colour: int
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over one x axis.

    Attributes
    ----------
    title, x, y : str
        Texts above the chart and along its axes.
    curves : sequence of Curve
    y_range : (float, float), optional
        Lowest and highest value shown; by default those of the curves.
    """

    title: str
    x: str
    y: str
    curves: Sequence[Curve]
    y_range: tuple[float, float] | None = None


def check_plots(error: type[Sam2Error] = Sam2Error) -> None:
    """Check that matplotlib is installed, without importing it.

    Raises
    ------
    Sam2Error
        Of the given type, if it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise error(
            "Curves are drawn by matplotlib, which is not installed.",
            remedy='Install it with: pip install "napari-sam2[plots]"',
        )


def draw_charts(charts: Sequence[Chart]) -> Figure:
    """Draw charts one below the other, 960 by 600 pixels each; x axes have whole numbers only.

    Returns
    -------
    matplotlib.figure.Figure
        With one pair of axes per chart, on a canvas of its own.

    Raises
    ------
    Sam2Error
        If matplotlib is not installed.
    """
    check_plots()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(_WIDTH, _HEIGHT * len(charts)),
        dpi=_DPI,
        layout="constrained",
        facecolor=_BACKGROUND,
    )
    FigureCanvasAgg(figure)
    for number, chart in enumerate(charts, start=1):
        _draw_chart(figure, (len(charts), 1, number), chart)
    return figure


def write_charts(
    path: Path, charts: Sequence[Chart], error: type[Sam2Error] = Sam2Error, safe: str = ""
) -> None:
    """Draw charts into a PNG file, as `draw_charts` does; a file that exists is replaced at once.

    Parameters
    ----------
    path : Path
    charts : sequence of Chart
    error : type of Sam2Error
        Raised if the file cannot be written.
    safe : str
        Sentence of the error about the user's work.

    Raises
    ------
    Sam2Error
        Of the given type, if the file cannot be written or matplotlib is not installed.
    """
    check_plots(error)
    figure = draw_charts(charts)
    with writing(path, "The picture", error, safe) as temporary:
        figure.savefig(temporary, format="png")


def _draw_chart(figure: Figure, place: tuple[int, int, int], chart: Chart) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = figure.add_subplot(*place, facecolor=_BACKGROUND)
    for curve in chart.curves:
        x, y = zip(*curve.points, strict=True) if curve.points else ((), ())
        axes.plot(
            x,
            y,
            label=curve.name,
            color=[value / 255 for value in colour_of(curve.colour)],
            linestyle="--" if curve.dashed else "-",
            linewidth=_LINE_WIDTH,
            marker="o" if len(curve.points) <= _MAX_MARKERS else "",
            markersize=_MARKER_SIZE,
        )
    if chart.y_range is not None:
        axes.set_ylim(chart.y_range)
    axes.set_title(chart.title, color=_INK, fontsize=_TITLE_SIZE)
    axes.set_xlabel(chart.x, color=_INK, fontsize=_TEXT_SIZE)
    axes.set_ylabel(chart.y, color=_INK, fontsize=_TEXT_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(colors=_INK, labelsize=_TEXT_SIZE)
    axes.grid(color=_GRID)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(_GRID)
    if chart.curves:
        # Beside the chart, where it covers no curve.
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            frameon=False,
            labelcolor=_INK,
            fontsize=_TEXT_SIZE,
        )
