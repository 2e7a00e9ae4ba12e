"""Views that change with each frame are painted once per frame."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication, QWidget

from napari_sam2.widgets.state.object_records import ObjectRow
from napari_sam2.widgets.views.fields import PanelFields
from napari_sam2.widgets.views.object_section import ObjectSection
from napari_sam2.widgets.views.object_table_model import COLUMNS
from napari_sam2.widgets.views.propagation_section import PropagationSection, RunProgress

FRAMES = [column.title for column in COLUMNS].index("Frames")


class Pictures(QObject):
    """Counts how often a widget's window is put together with it in it."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        self.count += event.type() == QEvent.Type.Paint
        return False


@pytest.fixture
def shown(qtbot):
    def show(widget: QWidget) -> None:
        qtbot.addWidget(widget)
        with qtbot.waitExposed(widget):
            widget.show()
        qtbot.wait(50)

    return show


def rows(frames: int) -> tuple[ObjectRow, ...]:
    return tuple(ObjectRow(number, prompts=1, frames=frames, lowest=0.9) for number in (1, 2, 3))


def test_table_is_painted_once_per_new_frame(shown, qtbot) -> None:
    box = ObjectSection(lambda _: QColor("red"))
    box.show_objects(rows(9), 1)
    shown(box)
    pictures = Pictures(box.table.viewport())
    box.show_objects(rows(10), 1)
    QApplication.processEvents()
    qtbot.wait(50)
    assert pictures.count == 1


def test_columns_are_as_wide_as_their_texts(shown) -> None:
    box = ObjectSection(lambda _: QColor("red"))
    shown(box)
    box.show_objects(rows(1), 1)
    narrow = box.table.columnWidth(FRAMES)
    box.show_objects(rows(1_000_000_000_000), 1)
    assert box.table.columnWidth(FRAMES) > narrow
    box.show_objects(rows(2), 1)
    assert box.table.columnWidth(FRAMES) == narrow


def test_progress_is_painted_once_with_the_panel(shown, qtbot) -> None:
    box = PropagationSection(PanelFields())
    box.show_running(RunProgress(0, 200, 0, 300, "frames", ""))
    shown(box)
    pictures = Pictures(box.progress)
    box.show_running(RunProgress(60, 200, 100, 300, "frames", "T 3"))
    assert pictures.count == 0, "not by itself"
    qtbot.waitUntil(lambda: pictures.count > 0)
    qtbot.wait(50)
    assert pictures.count == 1
    assert box.progress.text() == "T 3, 60 of 200 frames"
