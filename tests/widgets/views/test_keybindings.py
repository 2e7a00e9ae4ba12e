"""Keys work wherever the focus is inside the window, unless text is being typed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QListWidget,
    QMainWindow,
    QSpinBox,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.widgets.views.keybindings import FocusKeys, HeldAction

FIELDS = {"list": QListWidget, "combo": QComboBox, "number": QSpinBox, "line": QLineEdit}


@pytest.fixture
def window(qtbot):
    """A window with a panel and other fields, and what the keys have done."""
    window, panel = QMainWindow(), QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(panel)
    for name, kind in FIELDS.items():
        field = kind()
        field.setObjectName(name)
        layout.addWidget(field)
    text = QTextEdit()
    text.setObjectName("text")
    layout.addWidget(text)
    window.setCentralWidget(panel)
    return window


@pytest.fixture
def keys(window):
    """Keys of the panel, and the list of what they have done."""
    done = []
    keys = FocusKeys(window.centralWidget())
    keys.attach(
        {
            "D": lambda: done.append("D"),
            "Control-Shift-Z": lambda: done.append("redo"),
            "Escape": lambda: done.append("cancel"),
            "H": HeldAction(lambda: done.append("hide"), lambda: done.append("show")),
        }
    )
    yield keys, done
    keys.detach()


def focus(widget: QWidget | None) -> None:
    """Give a widget the focus, as Qt says it; windows of tests may not be active."""
    QApplication.instance().focusChanged.emit(None, widget)


def key(widget, name, modifiers=Qt.KeyboardModifier.NoModifier, kind=QEvent.Type.KeyPress):
    QApplication.sendEvent(widget, QKeyEvent(kind, name, modifiers, "x"))


@pytest.mark.parametrize("name", ["list", "combo", "number"])
def test_keys_work_in_lists_and_number_fields(window, keys, name):
    _, done = keys
    field = window.findChild(FIELDS[name], name)
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    focus(field)
    key(field, Qt.Key.Key_D)
    key(field, Qt.Key.Key_Z, both)
    key(field, Qt.Key.Key_Escape)
    key(field, Qt.Key.Key_Q)
    assert done == ["D", "redo", "cancel"]


@pytest.mark.parametrize("name", ["line", "text"])
def test_letters_go_into_text(window, keys, name):
    _, done = keys
    field = window.findChild(QWidget, name)
    focus(field)
    QApplication.sendEvent(
        field,
        QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_D, Qt.KeyboardModifier.NoModifier, "d"),
    )
    assert done == []
    assert (field.text() if name == "line" else field.toPlainText()) == "d"
    field.setReadOnly(True)
    key(field, Qt.Key.Key_D)
    assert done == ["D"]


def test_a_held_key_ends_when_it_is_let_go_or_the_focus_goes(window, keys):
    _, done = keys
    field = window.findChild(QListWidget, "list")
    focus(field)
    key(field, Qt.Key.Key_H)
    key(field, Qt.Key.Key_H)
    assert done == ["hide"]
    key(field, Qt.Key.Key_H, kind=QEvent.Type.KeyRelease)
    assert done == ["hide", "show"]
    key(field, Qt.Key.Key_H)
    focus(window.findChild(QLineEdit, "line"))
    assert done == ["hide", "show", "hide", "show"]


def test_other_windows_and_former_focus_are_left_alone(window, keys, qtbot):
    watched, done = keys
    field, other = window.findChild(QListWidget, "list"), QDialog()
    qtbot.addWidget(other)
    foreign = QListWidget(other)
    focus(foreign)
    key(foreign, Qt.Key.Key_D)
    focus(field)
    focus(foreign)
    key(field, Qt.Key.Key_D)
    focus(field)
    watched.detach()
    key(field, Qt.Key.Key_D)
    assert done == []


@pytest.mark.parametrize("part", ["table", "number"])
def test_keys_of_a_docked_panel_work_from_its_fields(docked, part):
    docked.click(0, 8, 12)
    docked.wait_idle()
    docked.propagate("both")
    docked.wait_idle()
    docked.put_records(replace(docked.records_of(1)[3], score=0.1, presence=0.2))
    table, number = docked.object_section.table, docked.settings.object_id.native
    field = table if part == "table" else number
    focus(field)
    key(field, Qt.Key.Key_D)
    assert docked.frame == 3
    docked.close()
    focus(field)
    key(field, Qt.Key.Key_D)
    assert docked.viewer.dims.current_step[0] == 3, "the keys are given back"
