"""Times and paths as labels show them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from qtpy.QtCore import QLocale, Qt
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QLabel, QLineEdit, QTableView, QVBoxLayout, QWidget

from napari_sam2.widgets.views.base import breakable, button, clock, painting
from napari_sam2.widgets.views.panel_view import PanelView


@pytest.mark.parametrize(
    ("name", "date", "time"), [("en_US", "3/4/26", "PM"), ("de_DE", "04.03", "14:05")]
)
def test_times_are_written_as_the_system_writes_them(monkeypatch, name, date, time):
    monkeypatch.setattr(QLocale, "system", staticmethod(lambda: QLocale(name)))
    moment = datetime(2026, 3, 4, 14, 5).timestamp()
    assert date in clock(moment)
    assert time in clock(moment)
    assert date not in clock(moment, date=False)
    assert time in clock(moment, date=False)


def test_long_paths_are_shown_in_full_and_make_no_label_wide(qtbot):
    path = Path("/data/2026-03-04 embryo") / ("a" * 60) / "cells_of_the_third_day-2.sam2.json"
    shown = breakable(path)
    assert shown.replace("\N{ZERO WIDTH SPACE}", "") == str(path)
    label = QLabel(shown)
    qtbot.addWidget(label)
    label.setWordWrap(True)
    letters = label.fontMetrics().horizontalAdvance("a" * 26)
    assert label.minimumSizeHint().width() <= letters


def test_captions_are_shown_in_full(qtbot):
    panel = PanelView()
    qtbot.addWidget(panel)
    widths = {}
    for label in panel.findChildren(QLabel):
        if label.minimumWidth() == label.maximumWidth() and label.text():
            widths[label.text()] = label.width() - label.sizeHint().width()
    assert "Compute on" in widths
    assert min(widths.values()) >= 0, widths


def test_buttons_leave_the_focus_where_it_is_and_end_what_is_typed(qtbot):
    window = QWidget()
    layout = QVBoxLayout(window)
    pressed, table, typed = button("Go", ""), QTableView(), QLineEdit()
    for each in (pressed, table, typed):
        layout.addWidget(each)
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    table.setFocus()
    qtbot.waitUntil(table.hasFocus)
    qtbot.mouseClick(pressed, Qt.MouseButton.LeftButton)
    assert table.hasFocus()
    typed.setFocus()
    qtbot.mouseClick(pressed, Qt.MouseButton.LeftButton)
    assert not typed.hasFocus()
    assert pressed.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_painter_ends_though_its_function_fails(qtbot):
    kept = []
    picture = QPixmap(8, 8)

    def fail() -> None:
        with painting(picture) as painter:
            kept.append(painter)
            raise ValueError("no colour")

    with pytest.raises(ValueError, match="no colour"):
        fail()
    assert not kept[0].isActive()
    with painting(picture) as painter:
        assert painter.isActive()
