"""The section of review: timeline of the current object, doubtful frames, acceptance.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import (  # type: ignore[attr-defined]
    QAction,
    QBrush,
    QColor,
    QPainter,
    QPalette,
    QPen,
    QPolygonF,
)
from qtpy.QtWidgets import QLabel, QMenu, QSizePolicy, QToolTip, QWidget

from napari_sam2.widgets.state.object_records import ObjectSeries
from napari_sam2.widgets.views.base import Section, button, painting, row, running_text

_HEIGHT = 72
_MARK_ROW = 14.0
_PAD = 4.0
# Okabe and Ito: told apart by colour-blind users, and by form besides.
_SCORE = QColor(86, 180, 233)
_PROMPTED = QColor(0, 158, 115)
_ACCEPTED = QColor(204, 121, 167)
_DOUBTFUL = QColor(230, 159, 0)
_DIVISION = QColor(240, 228, 66)
_OUTDATED = QColor(140, 140, 140)
_PALE = 130  # opacity, of 255, of what covers masks that are out of date

MARKS = (
    ("●", "prompted", _PROMPTED),
    ("■", "accepted", _ACCEPTED),
    ("▲", "doubtful", _DOUBTFUL),
    ("◆", "division", _DIVISION),
    ("▨", "out of date", _OUTDATED),
)
"""What is marked in frames: sign, meaning and colour."""


class Timeline(QWidget):
    """Draws an `ObjectSeries`: bars for scores, a line for areas, marks, and the frame in view.

    Signals
    -------
    frame_requested(int)
        The user clicked a frame, or went there by an arrow key.
    """

    frame_requested = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._series, self._frame = ObjectSeries(), 0
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("Timeline of the object")

    @property
    def series(self) -> ObjectSeries:
        """What is shown."""
        return self._series

    def show_series(self, series: ObjectSeries, frame: int = 0) -> None:
        """Show an object, and which frame is in view."""
        if frame != self._frame or series != self._series:
            self._series, self._frame = series, frame
            self.update()

    def frame_at(self, x: float) -> int:
        """Return the frame under a horizontal position, in pixels of the widget."""
        frame = int((x - _PAD) / self._step())
        return min(max(frame, 0), self._series.n_frames - 1)

    def x_of(self, frame: int) -> float:
        """Return the horizontal middle of a frame, in pixels of the widget."""
        return _PAD + (frame + 0.5) * self._step()

    def event(self, event: Any) -> bool:
        """Say what is known of the frame under the mouse."""
        if event.type() == QEvent.Type.ToolTip:
            text = self._series.describe(self.frame_at(event.pos().x()))
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def mousePressEvent(self, event: Any) -> None:
        """Go to the frame that was clicked."""
        self.frame_requested.emit(self.frame_at(event.position().x()))

    def mouseMoveEvent(self, event: Any) -> None:
        """Go along while the button is held."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            frame = self.frame_at(event.position().x())
            if frame != self._frame:
                self.frame_requested.emit(frame)

    def keyPressEvent(self, event: Any) -> None:
        """Go one frame on with an arrow key, or to an end of the stack."""
        last = self._series.n_frames - 1
        target = {
            Qt.Key.Key_Left: self._frame - 1,
            Qt.Key.Key_Right: self._frame + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
        }.get(event.key())
        if target is None:
            super().keyPressEvent(event)
        elif 0 <= target <= last:
            self.frame_requested.emit(target)

    def paintEvent(self, _event: Any) -> None:
        """Draw it all: a few hundred rectangles at most, however long the stack is."""
        with painting(self) as painter:
            self._paint(painter)

    def _paint(self, painter: QPainter) -> None:
        palette = self.palette()
        text = palette.color(QPalette.ColorRole.WindowText)
        bottom = self.height() - _MARK_ROW
        back = QColor(text)
        back.setAlpha(18)
        painter.fillRect(QRectF(0, 0, self.width(), bottom), back)
        self._draw_scores(painter, bottom)
        self._draw_outdated(painter, bottom, palette.color(QPalette.ColorRole.Window))
        self._draw_areas(painter, bottom, text)
        self._draw_marks(painter, bottom)
        painter.setPen(QPen(text, 1.5))
        x = self.x_of(self._frame)
        painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
        if self.hasFocus():
            painter.setPen(QPen(text, 1, Qt.PenStyle.DotLine))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _step(self) -> float:
        return max(1e-6, (self.width() - 2 * _PAD) / max(1, self._series.n_frames))

    def _columns(self, frames: list[int]) -> tuple[list[int], NDArray[np.intp]]:
        """Join frames, ascending, that fall on the same pixel; where each column begins in them."""
        step = self._step()
        positions = ((np.array(frames) + 0.5) * step / max(1.0, step)).astype(int)
        columns, starts = np.unique(positions, return_index=True)
        return columns.tolist(), starts

    def _draw_scores(self, painter: QPainter, bottom: float) -> None:
        width = max(1.0, self._step())
        scored = [(r.frame, r.score) for r in self._series.records if r.area]
        known = [(frame, score) for frame, score in scored if score is not None]
        if not known:
            return
        columns, starts = self._columns([frame for frame, _ in known])
        lowest = np.minimum.reduceat([score for _, score in known], starts)
        for column, score in zip(columns, lowest.tolist(), strict=True):
            height = max(1.0, score * (bottom - 4))
            painter.fillRect(
                QRectF(_PAD + column * width, bottom - height, max(1.0, width - 1), height), _SCORE
            )

    def _draw_outdated(self, painter: QPainter, bottom: float, ground: QColor) -> None:
        """Make the bars of masks that are older than their prompts pale, and hatch them."""
        pale, width = QColor(ground), max(1.0, self._step())
        pale.setAlpha(_PALE)
        hatched = QBrush(_OUTDATED, Qt.BrushStyle.BDiagPattern)
        for x in self._positions(self._series.outdated):
            column = QRectF(x - width / 2, 0, width, bottom)
            painter.fillRect(column, pale)
            painter.fillRect(column, hatched)

    def _draw_areas(self, painter: QPainter, bottom: float, colour: QColor) -> None:
        areas = np.array([record.area for record in self._series.records], dtype=float)
        top = float(areas.max(initial=0.0))
        if not top:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colour, 1.2))
        width = max(1.0, self._step())
        columns, starts = self._columns([record.frame for record in self._series.records])
        means = np.add.reduceat(areas, starts) / np.diff([*starts, len(areas)])
        line: list[QPointF] = []
        previous: int | None = None
        for column, area in zip(columns, means.tolist(), strict=True):
            if previous is not None and column != previous + 1:
                painter.drawPolyline(QPolygonF(line))
                line = []
            x = _PAD + (column + 0.5) * width
            line.append(QPointF(x, bottom - 2 - area / top * (bottom - 6)))
            previous = column
        painter.drawPolyline(QPolygonF(line))

    def _draw_marks(self, painter: QPainter, bottom: float) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        y, half = bottom + _MARK_ROW / 2, min(4.0, max(2.0, self._step() / 2))
        painter.setBrush(_ACCEPTED)
        for x in self._positions(self._series.accepted):
            painter.drawRect(QRectF(x - half, y - half, 2 * half, 2 * half))
        painter.setBrush(_DOUBTFUL)
        for x in self._positions(self._series.doubtful):
            triangle = [QPointF(x - half, y + half), QPointF(x + half, y + half)]
            painter.drawPolygon(QPolygonF([*triangle, QPointF(x, y - half - 1)]))
        painter.setBrush(_PROMPTED)
        for x in self._positions(self._series.prompted - self._series.found):
            painter.drawEllipse(QPointF(x, y), half, half)
        # Hollow: the point is not the user's own.
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(_PROMPTED, 1.5))
        for x in self._positions(self._series.found):
            painter.drawEllipse(QPointF(x, y), half, half)
        painter.setBrush(_DIVISION)
        # Yellow on a light ground is seen by its edge.
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.WindowText), 0.8))
        for x in self._positions(self._series.births):
            left, right = QPointF(x - half - 1, y), QPointF(x + half + 1, y)
            ends = QPointF(x, y - half - 1), QPointF(x, y + half + 1)
            painter.drawPolygon(QPolygonF([left, ends[0], right, ends[1]]))

    def _positions(self, frames: Iterable[int]) -> list[float]:
        """Return where to mark frames, once where several fall on the same pixel."""
        found = np.fromiter(frames, dtype=float)
        positions: list[float] = np.unique(np.rint(_PAD + (found + 0.5) * self._step())).tolist()
        return positions


# A sign and its meaning stay in one line.
_LEGEND = "&nbsp;&nbsp; ".join(
    f"<span style='color: {colour.name()}'>{sign}</span>&nbsp;{meaning.replace(' ', '&nbsp;')}"
    for sign, meaning, colour in MARKS
)


_SUMMARY_LINES = 3


class ReviewSection(Section):
    """A timeline, and buttons to go from doubt to doubt and to accept.

    Signals
    -------
    frame_requested(int)
        Go to this frame.
    doubt_requested(int), prompted_requested(int)
        Go to the next doubtful or prompted frame: 1 forwards, -1 backwards.
    accept_requested(str)
        Accept "frame" (all objects in it), "here" (the object in it), "object" or "all".
    """

    frame_requested = Signal(int)
    doubt_requested = Signal(int)
    prompted_requested = Signal(int)
    accept_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__("Review")
        self.timeline = Timeline()
        self.legend = QLabel(_LEGEND)
        self.legend.setWordWrap(True)
        self.legend.setToolTip(
            "Bars: score of each frame. Line: area of the object. Hatched: the mask is older than "
            "the prompts it follows from. Click to go to a frame."
        )
        self.summary = running_text(_SUMMARY_LINES)
        # What does not fit stands in its tooltip: the buttons below stay where they are.
        self.summary.setFixedHeight(self.summary.minimumHeight())
        self.doubt = button(
            "Next doubtful",
            "Go to the next frame that deserves a second look: of this object, then of the others "
            "in the order of the table. Key: D; back: Shift-D",
        )
        self.prompted = button(
            "Next prompted", "Go to the next frame with a prompt. Key: E; back: Shift-E"
        )
        self.accept = button("Accept", "Accepted masks are never overwritten. Key A: this frame")
        self.menu = QMenu(self.accept)
        for what, title in _ACCEPT:
            action = QAction(title, self.menu)
            action.triggered.connect(lambda _=False, what=what: self.accept_requested.emit(what))
            self.menu.addAction(action)
        self.accept.setMenu(self.menu)
        self.body.addWidget(self.timeline)
        self.body.addWidget(self.legend)
        self.body.addWidget(self.summary)
        self.body.addWidget(row(self.doubt, self.prompted, self.accept, stretch=(1, 1, 1)))
        self.timeline.frame_requested.connect(self.frame_requested)
        self.doubt.clicked.connect(lambda: self.doubt_requested.emit(1))
        self.prompted.clicked.connect(lambda: self.prompted_requested.emit(1))

    def show_series(self, series: ObjectSeries, frame: int) -> None:
        """Show an object and the frame in view."""
        self.timeline.show_series(series, frame)
        text = series.describe(frame)
        self.summary.setText(text)
        self.summary.setToolTip(text)
        self.prompted.setEnabled(bool(series.prompted))
        if series.doubtful:
            self.show_doubts(True)

    def show_doubts(self, any_doubts: bool) -> None:
        """Show whether any frame of any object is doubtful."""
        self.doubt.setEnabled(any_doubts)


_ACCEPT = (
    ("here", "This object in this frame"),
    ("frame", "All objects in this frame"),
    ("object", "This object in all frames"),
    ("all", "Everything"),
)
