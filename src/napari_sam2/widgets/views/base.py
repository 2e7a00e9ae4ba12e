"""Base widgets of the panel: sections, rows, buttons.

Main thread only.
"""

from __future__ import annotations

import atexit
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import (  # type: ignore[attr-defined]
    QCoreApplication,
    QDateTime,
    QEvent,
    QLocale,
    QPoint,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import QPaintDevice, QPainter
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

SHOW_OR_HIDE = "Show or hide these options."

_SPACING = 6
_CAPTION_CHARACTERS = 15
_BUTTON_PADDING = 18
_LEAST_WIDTH, _LEAST_HEIGHT = 300, 160
_TITLE_STYLE = (
    "QPushButton { text-align: left; border: none; background: transparent; }"
    "QPushButton:focus { text-decoration: underline; }"
)
_EXPANDED, _COLLAPSED = "▾", "▸"
_NO_LIMIT = 16_777_215  # QWIDGETSIZE_MAX, which PyQt does not export


class Section(QFrame):
    """A titled part of the panel.

    Parameters
    ----------
    title : str
        Shown above, in small bold letters.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        heading = QLabel(title)
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(_SPACING)
        self.body.addWidget(heading)

    def add_row(self, caption: str, *fields: QWidget, stretch: tuple[int, ...] = (1,)) -> None:
        """Add a caption with fields beside it; captions of all sections are equally wide."""
        self.body.addWidget(captioned(caption, *fields, stretch=stretch))


class Fold(QCollapsible):
    """A part that is folded away until its title is clicked.

    The content is hidden while it is folded away, so that the Tab key passes it by, and takes as
    much room as it needs when it is shown: rows may come and go.

    Parameters
    ----------
    title : str

    Attributes
    ----------
    title : QPushButton
        Checked while the content is shown.
    body : QVBoxLayout
        Layout of the content.
    """

    def __init__(self, title: str) -> None:
        super().__init__(title, expandedIcon=_EXPANDED, collapsedIcon=_COLLAPSED)
        self.setDuration(0)
        self.title = self.toggleButton()
        self.title.setToolTip(SHOW_OR_HIDE)
        self.title.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        # Flat as in `QCollapsible`, also on a theme's ground, and with a visible keyboard focus.
        self.title.setStyleSheet(_TITLE_STYLE)
        content = QWidget()
        self.body = QVBoxLayout(content)
        self.setContent(content)
        for layout in (self.layout(), self.body):
            if layout is not None:
                layout.setContentsMargins(0, 0, 0, 0)
                layout.setSpacing(_SPACING)
        self.toggled.connect(self._show_content)
        self.title.clicked.connect(self._show_all)
        self._show_content(False)

    def add_row(self, caption: str, *fields: QWidget, stretch: tuple[int, ...] = (1,)) -> None:
        """Add a caption with fields beside it."""
        self.body.addWidget(captioned(caption, *fields, stretch=stretch))

    def open(self, opened: bool) -> None:
        """Show the content, or fold it away."""
        self.title.setChecked(opened)

    def showEvent(self, event: Any) -> None:
        """Draw the arrows in the colour that the theme gives to text."""
        super().showEvent(event)
        self._draw_arrows()

    def changeEvent(self, event: Any) -> None:
        """Draw the arrows anew after a change of the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._draw_arrows()

    def _draw_arrows(self) -> None:
        self.title.ensurePolished()
        self.setExpandedIcon(_EXPANDED)
        self.setCollapsedIcon(_COLLAPSED)

    def _show_all(self, opened: bool) -> None:
        if opened:
            bring_into_view(self)

    def _show_content(self, shown: bool) -> None:
        self.content().setVisible(shown)
        self.content().setMaximumHeight(_NO_LIMIT)


class Column(QScrollArea):
    """Parts one below the other, scrolled where they are too high, as wide as they need to be.

    Parameters
    ----------
    *parts : QWidget
    margin, gap : int
        Around and between them, in pixels.

    Signals
    -------
    height_changed(int)
        So many pixels of it are in view now.
    """

    height_changed = Signal(int)

    def __init__(self, *parts: QWidget, margin: int, gap: int) -> None:
        super().__init__()
        self._awaited: QWidget | None = None
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(margin, margin, margin, margin)
        layout.setSpacing(gap)
        for part in parts:
            layout.addWidget(part)
        layout.addStretch(1)
        self.setWidget(inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # a click beside a field is no choice of keys
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        """Be wide enough for all parts and the scroll bar."""
        inner, bar = self.widget(), self.verticalScrollBar()
        width = 0 if inner is None else inner.minimumSizeHint().width()
        width += 0 if bar is None else bar.sizeHint().width()
        return QSize(max(width, _LEAST_WIDTH), _LEAST_HEIGHT)

    def resizeEvent(self, event: Any) -> None:
        """Tell the parts whose height depends on that of the panel."""
        super().resizeEvent(event)
        self.height_changed.emit(self.height())

    def bring_into_view(self, part: QWidget) -> None:
        """Scroll to a part once it has its place; of a part that is too high to its upper end."""
        self._awaited = part
        QTimer.singleShot(0, self._scroll_to_awaited)

    def _scroll_to_awaited(self) -> None:
        inner, view, bar = self.widget(), self.viewport(), self.verticalScrollBar()
        part, self._awaited = self._awaited, None
        if part is None or inner is None or view is None or bar is None:
            return
        self.ensureWidgetVisible(part, 0, 0)
        top = part.mapTo(inner, QPoint()).y()
        if part.height() > view.height():
            bar.setValue(top)

    def event(self, event: Any) -> bool:
        """Take another width when a part was shown or hidden."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().event(event)


def bring_into_view(part: QWidget) -> None:
    """Scroll the column that holds a part which has just been shown."""
    column = part.parentWidget()
    while column is not None and not isinstance(column, Column):
        column = column.parentWidget()
    if column is not None:
        column.bring_into_view(part)


def captioned(caption: str, *fields: QWidget, stretch: tuple[int, ...] = (1,)) -> QWidget:
    """Lay fields out beside a caption; captions of all sections are equally wide."""
    label = QLabel(caption)
    label.setFixedWidth(_CAPTION_CHARACTERS * label.fontMetrics().averageCharWidth())
    return row(label, *fields, stretch=(0, *stretch))


def row(*widgets: QWidget, stretch: tuple[int, ...] = ()) -> QWidget:
    """Lay widgets out side by side."""
    holder = QWidget()
    layout = QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(_SPACING)
    for index, widget in enumerate(widgets):
        layout.addWidget(widget, stretch[index] if index < len(stretch) else 0)
    return holder


def running_text(lines: int, tooltip: str = "") -> QLabel:
    """Make a label with room for so many lines: what is below stays where it is as they change."""
    label = QLabel()
    label.setWordWrap(True)
    label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
    label.setMinimumHeight(lines * label.fontMetrics().lineSpacing())
    label.setToolTip(tooltip)
    return label


@contextmanager
def painting(device: QPaintDevice) -> Iterator[QPainter]:
    """Give a painter of a widget or picture, and end it whatever happens.

    A painter that lives on, since a traceback or a profiler holds the frame of its function, would
    still be active when Qt paints the next widget, which crashes.
    """
    painter = QPainter(device)
    try:
        yield painter
    finally:
        painter.end()


def clock(seconds: float, *, date: bool = True) -> str:
    """Write a time, in seconds since 1970, as the system writes dates and times."""
    moment, form = QDateTime.fromSecsSinceEpoch(int(seconds)), QLocale.FormatType.ShortFormat
    text: str = QLocale.system().toString(moment if date else moment.time(), form)
    return text


def breakable(path: Path) -> str:
    """Write a path so that a label can break it into lines: a label is as wide as its words."""
    text = re.sub(r"(?<=[/\\_.-])(?=.)", _BREAK, str(path))
    return re.sub(rf"[^{_BREAK}]{{{_LONGEST_WORD}}}(?=.)", rf"\g<0>{_BREAK}", text)


_BREAK, _LONGEST_WORD = "\N{ZERO WIDTH SPACE}", 24


class PanelButton(QPushButton):
    """A push button that leaves the focus where it is when it is clicked; the Tab key reaches it.

    With the focus, it would take the keys of the canvas: Space, which moves the camera there, would
    press it again, or the close button of the dock once it is hidden. What is being typed is taken
    over first.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def mousePressEvent(self, event: Any) -> None:
        """End what is being typed elsewhere."""
        if isinstance(QApplication.focusWidget(), QLineEdit):
            self.setFocus(Qt.FocusReason.MouseFocusReason)
        super().mousePressEvent(event)


def button(text: str, tooltip: str, *, checkable: bool = False) -> QPushButton:
    """Make a push button."""
    made = PanelButton(text)
    # Styles would have every button as wide as a "Cancel": here three stand side by side.
    made.setMinimumWidth(made.fontMetrics().horizontalAdvance(text) + _BUTTON_PADDING)
    made.setToolTip(tooltip)
    made.setCheckable(checkable)
    return made


def end_with_python(widget: QWidget, end: Callable[[], None]) -> None:
    """Delete a widget that is still there when Python ends, as where a script ends.

    After that PyQt deletes all that Python owns, walking over a table of its objects. Every event
    that a handler in Python sees then adds to the table; where it is full it is made anew, PyQt
    goes on in memory that is free already, and the process crashes. The widgets of napari have few
    such handlers, those of magicgui and of ours many.

    Parameters
    ----------
    widget : QWidget
    end : callable
        Called before; a method, which is not kept alive.
    """
    atexit.register(_delete, weakref.ref(widget), weakref.WeakMethod(end))


def _delete(
    reference: weakref.ref[QWidget], method: weakref.WeakMethod[Callable[[], None]]
) -> None:
    widget, end = reference(), method()
    if end is not None:
        end()
    if widget is not None and isalive(widget):
        widget.deleteLater()
        QCoreApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)
