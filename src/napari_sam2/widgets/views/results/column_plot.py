"""A plot of one measured column over time, one line per object.

Main thread only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sam2.labels import colour_of
from napari_sam2.widgets.views.base import painting

_HEIGHT = 130
_PAD = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class PlotLine:
    """One object.

    Attributes
    ----------
    object_id : int
    frames : ndarray of int, shape (N,)
        Ascending.
    values : ndarray of float, shape (N,)
        NaN where nothing is known.
    """

    object_id: int
    frames: NDArray[np.int64]
    values: NDArray[np.float64]


class ColumnPlot(QWidget):
    """Draws lines in the colours of their objects, with gaps where an object is not there.

    Signals
    -------
    frame_requested(int)
        The user clicked a frame.
    """

    frame_requested = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[PlotLine, ...] = ()
        self._title, self._n_frames, self._frame = "", 1, 0
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Plot of a measurement")
        self.setToolTip("Click to go to a frame.")

    @property
    def lines(self) -> tuple[PlotLine, ...]:
        """What is shown."""
        return self._lines

    @property
    def title(self) -> str:
        """Name of the column, and its unit."""
        return self._title

    def show_lines(self, title: str, lines: tuple[PlotLine, ...], n_frames: int) -> None:
        """Show these lines in a stack of so many frames."""
        self._title, self._lines, self._n_frames = title, lines, max(1, n_frames)
        self.update()

    def show_frame(self, frame: int) -> None:
        """Show which frame is in view."""
        if frame != self._frame:
            self._frame = frame
            self.update()

    def frame_at(self, x: float) -> int:
        """Return the frame nearest to a horizontal position, in pixels of the widget."""
        return min(max(round((x - _PAD) / self._step()), 0), self._n_frames - 1)

    def x_of(self, frame: int) -> float:
        """Return the horizontal position of a frame, in pixels of the widget."""
        return _PAD + frame * self._step()

    @property
    def frame_text(self) -> str:
        """The frame in view and the last one, counted from 0 as beside napari's sliders."""
        return f"frame {self._frame} / {self._n_frames - 1}"

    def mousePressEvent(self, event: Any) -> None:
        """Go to the frame that was clicked."""
        self.frame_requested.emit(self.frame_at(event.position().x()))

    def paintEvent(self, _event: Any) -> None:
        """Draw lines, range of values, and the frame in view."""
        with painting(self) as painter:
            self._paint(painter)

    def _paint(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        back = QColor(text)
        back.setAlpha(18)
        painter.fillRect(QRectF(0, 0, self.width(), self.height()), back)
        line_height = float(painter.fontMetrics().height())
        top, bottom = line_height + 2, self.height() - line_height - 2
        painter.setPen(text)
        known = [line.values[np.isfinite(line.values)] for line in self._lines]
        values = np.concatenate(known) if known else np.zeros(0)
        if not values.size:
            words = "Select objects in the table." if not self._lines else "Nothing is measured."
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, words)
            return
        low, high = float(values.min()), float(values.max())
        span = high - low or 1.0
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        width = self.width() - 2 * _PAD
        upper = QRectF(_PAD, 0, width, line_height)
        lower = QRectF(_PAD, bottom + 2, width, line_height)
        painter.drawText(upper, left, f"{high:.4g}")
        painter.drawText(upper, right, self._title)
        painter.drawText(lower, left, f"{low:.4g}")
        painter.drawText(lower, right, self.frame_text)
        grey = QColor(text)
        grey.setAlpha(110)
        painter.setPen(QPen(grey, 1))
        x = self.x_of(self._frame)
        painter.drawLine(QPointF(x, top), QPointF(x, bottom))
        for line in self._lines:
            self._draw(painter, line, low, span, top, bottom)

    def _draw(
        self,
        painter: QPainter,
        line: PlotLine,
        low: float,
        span: float,
        top: float,
        bottom: float,
    ) -> None:
        colour = QColor(*colour_of(line.object_id))
        finite = np.isfinite(line.values)
        frames, values = line.frames[finite], line.values[finite]
        breaks = np.flatnonzero(np.diff(frames) > 1) + 1
        for part, heights in zip(np.split(frames, breaks), np.split(values, breaks), strict=True):
            points = [
                QPointF(self.x_of(frame), bottom - (value - low) / span * (bottom - top))
                for frame, value in zip(part.tolist(), heights.tolist(), strict=True)
            ]
            painter.setPen(QPen(colour, 1.8))
            painter.drawPolyline(QPolygonF(points))
            if len(points) == 1:
                painter.setBrush(colour)
                painter.drawEllipse(points[0], 2.0, 2.0)

    def _step(self) -> float:
        return max(1e-6, (self.width() - 2 * _PAD) / max(1, self._n_frames - 1))
