"""Times and paths as labels show them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QLabel

from napari_sam2.widgets.views.base import breakable, clock


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
