"""A folded part shows its title alone; its content takes the room that it needs."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSpinBox, QVBoxLayout, QWidget

from napari_sam2.widgets.views.base import Column, Fold


@pytest.fixture
def window(qtbot) -> QWidget:
    window = QWidget()
    QVBoxLayout(window)
    qtbot.addWidget(window)
    return window


@pytest.fixture
def fold(window) -> Fold:
    fold = Fold("Range")
    fold.add_row("Frames", QSpinBox())
    window.layout().addWidget(fold)
    window.show()
    return fold


def test_it_is_folded_at_first_and_a_click_or_the_keyboard_opens_it(fold, qtbot):
    (field,) = fold.findChildren(QSpinBox)
    assert not field.isVisible()
    qtbot.mouseClick(fold.title, Qt.MouseButton.LeftButton)
    assert field.isVisible()
    qtbot.keyClick(fold.title, Qt.Key.Key_Space)
    assert not field.isVisible()


def test_it_can_be_opened_by_code_and_its_title_changed(fold):
    (field,) = fold.findChildren(QSpinBox)
    fold.open(True)
    fold.open(True)
    fold.title.setText("Frames 1 to 9")
    assert field.isVisible()
    assert fold.title.isChecked()
    fold.open(False)
    assert not field.isVisible()
    assert not fold.title.isChecked()


def test_rows_added_later_have_room(fold, qtbot):
    fold.open(True)
    rows = [QLabel(f"row {number}") for number in range(5)]
    for label in rows:
        fold.body.addWidget(label)
    qtbot.waitUntil(lambda: all(label.height() >= label.sizeHint().height() for label in rows))


def test_the_arrow_has_the_colour_of_the_text(fold, window):
    for colour in ((250, 10, 10), (10, 10, 250)):
        window.setStyleSheet(f"QWidget {{ color: rgb{colour}; }}")
        image = fold.title.icon().pixmap(16, 16).toImage()
        seen = {
            image.pixelColor(x, y).getRgb()[:3]
            for x in range(image.width())
            for y in range(image.height())
            if image.pixelColor(x, y).alpha() > 200
        }
        assert seen
        assert np.abs(np.array(list(seen)) - colour).max() < 20


@pytest.mark.parametrize(("height", "seen"), [(60, "all"), (400, "upper end")])
def test_what_a_click_unfolds_below_the_view_is_scrolled_to(qtbot, height, seen):
    above, content = QWidget(), QWidget()
    above.setFixedHeight(190)
    content.setFixedHeight(height)
    fold = Fold("Range")
    fold.body.addWidget(content)
    column = Column(above, fold, margin=0, gap=0)
    qtbot.addWidget(column)
    column.resize(300, 220)
    column.show()
    qtbot.waitExposed(column)
    bar = column.verticalScrollBar()
    fold.open(True)  # by code: the view stays where it is
    qtbot.wait(50)
    assert bar.value() == 0
    fold.open(False)
    qtbot.mouseClick(fold.title, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bar.value() > 0)
    top = fold.mapTo(column.viewport(), fold.rect().topLeft()).y()
    bottom = top + fold.height()
    if seen == "all":
        assert top >= 0
        assert bottom <= column.viewport().height()
    else:
        assert top == 0
