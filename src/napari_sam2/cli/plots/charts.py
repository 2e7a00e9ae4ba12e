"""Line charts as PNG files: a few curves over one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_sam2.errors import Sam2Error
from napari_sam2.labels.rendering.colours import Colour, colour_of

Picture = NDArray[np.uint8]
Point = tuple[float, float]

# Drawn larger and reduced: Pillow's own lines have no soft edges.
_FINE = 2
_WIDTH, _HEIGHT = 960, 600
_LEFT, _TOP, _BOTTOM, _EDGE = 80, 60, 70, 24
_TEXT, _TITLE = 17, 21
_LEGEND_LINE, _LEGEND_ROW = 34, 28
_DASH, _DOT, _STROKE = 9, 4, 2.5
_BACKGROUND, _GRID, _INK = (20, 20, 20), (62, 62, 62), (225, 225, 225)
_TICKS, _WHOLE_TICKS = 6, 10


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart.

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
class Axes:
    """What a chart shows along its sides.

    Attributes
    ----------
    title, x, y : str
    y_range : (float, float), optional
        Lowest and highest value; by default those of the curves.
    whole_x : bool
        Whether x counts something, so that only whole numbers are marked.
    """

    title: str
    x: str
    y: str
    y_range: tuple[float, float] | None = None
    whole_x: bool = False


def draw_chart(curves: Sequence[Curve], axes: Axes) -> Picture:
    """Draw curves with axes, grid and legend.

    Returns
    -------
    ndarray of uint8, shape (600, 960, 3)
    """
    canvas = Image.new("RGB", (_FINE * _WIDTH, _FINE * _HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    frame = _Frame.around(curves, axes, _legend_width(draw, curves))
    _draw_grid(draw, frame, axes)
    for curve in curves:
        _draw_curve(draw, [frame.place(point) for point in curve.points], curve)
    _draw_legend(draw, frame, curves)
    small = canvas.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
    return np.asarray(small, dtype=np.uint8)


def write_chart(
    path: Path, curves: Sequence[Curve], axes: Axes, error: type[Sam2Error] = Sam2Error
) -> None:
    """Draw a chart into a PNG file; one that is there is replaced.

    Raises
    ------
    Sam2Error
        Of the given type, if the file cannot be written.
    """
    picture = Image.fromarray(draw_chart(curves, axes))
    try:
        picture.save(path, format="PNG")
    except OSError as reason:
        raise error(
            f"The picture {path} cannot be written: {reason}.",
            remedy="Give a path in a folder that you may write to.",
        ) from reason


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Choose round numbers from `low` to `high`: steps of 1, 2 or 5 times a power of ten.

    Parameters
    ----------
    low, high : float
        Finite, low < high.
    whole : bool
        Whether only whole numbers will do; of them there are some more.
    """
    rough = (high - low) / (_WHOLE_TICKS - 1 if whole else _TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda s: abs(s - rough))
    if whole:
        step = max(1.0, round(step))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class _Frame:
    """The rectangle of a chart in fine pixels, and the values at its sides."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    @classmethod
    def around(cls, curves: Sequence[Curve], axes: Axes, legend: float) -> _Frame:
        points = [p for curve in curves for p in curve.points if all(map(math.isfinite, p))]
        x = _extent([point[0] for point in points])
        y = axes.y_range or _extent([point[1] for point in points])
        right = _FINE * (_WIDTH - _EDGE) - legend
        return cls(_FINE * _LEFT, _FINE * _TOP, right, _FINE * (_HEIGHT - _BOTTOM), x, y)

    def place(self, point: Point) -> Point:
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + across * (self.right - self.left),
            self.bottom - up * (self.bottom - self.top),
        )


def _extent(values: Sequence[float]) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FINE * size)


def _draw_grid(draw: ImageDraw.ImageDraw, frame: _Frame, axes: Axes) -> None:
    font = _font(_TEXT)
    gap = _FINE * 8
    for value in ticks(*frame.x, whole=axes.whole_x):
        x, _ = frame.place((value, frame.y[0]))
        draw.line([(x, frame.top), (x, frame.bottom)], fill=_GRID, width=_FINE)
        draw.text((x, frame.bottom + gap), f"{value:g}", _INK, font, anchor="mt")
    for value in ticks(*frame.y):
        _, y = frame.place((frame.x[0], value))
        draw.line([(frame.left, y), (frame.right, y)], fill=_GRID, width=_FINE)
        draw.text((frame.left - gap, y), f"{value:g}", _INK, font, anchor="rm")
    middle = (frame.left + frame.right) / 2
    draw.text((middle, _FINE * (_HEIGHT - _EDGE / 2)), axes.x, _INK, font, anchor="mb")
    draw.text((gap, frame.top - 2 * gap), axes.y, _INK, font, anchor="lb")
    draw.text((middle, _FINE * _EDGE / 2), axes.title, _INK, _font(_TITLE), anchor="mt")


def _draw_curve(draw: ImageDraw.ImageDraw, places: Sequence[Point], curve: Curve) -> None:
    colour = colour_of(curve.colour)
    for start, end in pairwise(places):
        if math.isfinite(sum(start) + sum(end)):
            _draw_line(draw, start, end, colour, curve.dashed)
    if len(places) > _WIDTH // (4 * _DOT):
        return
    radius = _FINE * _DOT
    for x, y in places:
        if math.isfinite(x + y):
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _draw_line(
    draw: ImageDraw.ImageDraw, start: Point, end: Point, colour: Colour, dashed: bool
) -> None:
    pieces = max(1, round(math.dist(start, end) / (_FINE * _DASH))) | 1 if dashed else 1
    across, down = end[0] - start[0], end[1] - start[1]
    for piece in range(0, pieces, 2):
        ends = [
            (start[0] + across * part / pieces, start[1] + down * part / pieces)
            for part in (piece, piece + 1)
        ]
        draw.line(ends, fill=colour, width=round(_FINE * _STROKE))


def _legend_width(draw: ImageDraw.ImageDraw, curves: Sequence[Curve]) -> float:
    widths = [draw.textlength(curve.name, _font(_TEXT)) for curve in curves]
    return _FINE * (_LEGEND_LINE + _EDGE + 10) + max(widths, default=0)


def _draw_legend(draw: ImageDraw.ImageDraw, frame: _Frame, curves: Sequence[Curve]) -> None:
    left = frame.right + _FINE * _EDGE
    for row, curve in enumerate(curves):
        y = frame.top + _FINE * (row + 0.5) * _LEGEND_ROW
        end = left + _FINE * _LEGEND_LINE
        _draw_line(draw, (left, y), (end, y), colour_of(curve.colour), curve.dashed)
        draw.text((end + _FINE * 10, y), curve.name, _INK, _font(_TEXT), anchor="lm")
