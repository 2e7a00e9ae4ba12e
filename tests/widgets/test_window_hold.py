"""A click and its mask are drawn at once, unless the answer is slow; nothing is held for good."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QWidget

from napari_sam2.errors import DeviceError
from napari_sam2.widgets import window_hold
from napari_sam2.widgets.window_hold import WindowHold, parts_beside

SIDE = Qt.DockWidgetArea.RightDockWidgetArea


class Part(QWidget):
    """Counts how often it is painted."""

    def __init__(self) -> None:
        super().__init__()
        self.painted = 0
        self.setMinimumSize(20, 20)

    def paintEvent(self, _event: Any) -> None:
        self.painted += 1


class Window(QMainWindow):
    """A canvas in the middle, something beside it, and a panel."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self.canvas, self.beside, self.panel = Part(), Part(), panel
        self.setCentralWidget(self.canvas)
        self.docks = [self._dock(each) for each in (self.beside, panel)]

    def _dock(self, widget: QWidget) -> QDockWidget:
        dock = QDockWidget()
        dock.setWidget(widget)
        self.addDockWidget(SIDE, dock)
        return dock

    def held(self) -> bool:
        return not self.canvas.updatesEnabled()


@pytest.fixture
def window(qtbot) -> Window:
    window = Window(Part())
    qtbot.addWidget(window)
    with qtbot.waitExposed(window):
        window.show()
    qtbot.waitUntil(lambda: bool(window.canvas.painted and window.panel.painted))
    return window


@pytest.fixture
def patient(monkeypatch) -> None:
    """Only what ends a hold by its own doing ends it."""
    monkeypatch.setattr(window_hold, "LONGEST_MS", 600_000)


@pytest.fixture
def docked(make_panel, blobs, settled, qtbot):
    """A window whose panel has been started, without anything to draw on."""
    panel = make_panel(blobs())
    window = Window(panel)
    panel.viewer.dims.set_current_step(0, 0)
    panel.start.click()
    settled(panel)
    yield window
    window.docks[1].setWidget(None)  # the panel has an end of its own
    qtbot.addWidget(window)


def repaint_all(window: Window) -> tuple[int, int, int]:
    """Ask for new pictures; return how often canvas, neighbour and panel were painted."""
    parts = (window.canvas, window.beside, window.panel)
    before = [part.painted for part in parts]
    for part in parts:
        part.update()
    QApplication.processEvents()
    canvas, beside, panel = (part.painted - old for part, old in zip(parts, before, strict=True))
    return canvas, beside, panel


def test_all_but_the_panel_waits_and_is_drawn_at_the_end(window: Window) -> None:
    hold = WindowHold(window.panel)
    hold.begin()
    assert repaint_all(window) == (0, 0, 1)
    before = window.canvas.painted
    hold.end()
    QApplication.processEvents()
    assert window.canvas.painted == before + 1
    assert repaint_all(window) == (1, 1, 1)


def test_nothing_is_held_for_long(window: Window, qtbot) -> None:
    hold = WindowHold(window.panel)
    hold.begin()
    assert window.held()
    qtbot.waitUntil(lambda: not window.held(), timeout=5000)


def test_what_others_hold_stays_theirs(window: Window) -> None:
    window.beside.parentWidget().setUpdatesEnabled(False)
    hold = WindowHold(window.panel)
    hold.begin()
    hold.begin()
    hold.end()
    hold.end()
    assert not window.held()
    assert not window.beside.parentWidget().updatesEnabled()


def test_a_floating_panel_is_of_the_same_window(window: Window) -> None:
    window.docks[1].setFloating(True)
    assert parts_beside(window.panel) == [window.canvas, window.docks[0]]


def test_a_panel_in_no_window_holds_nothing(qtbot) -> None:
    panel = Part()
    qtbot.addWidget(panel)
    hold = WindowHold(panel)
    hold.begin()
    hold.end()
    assert parts_beside(panel) == []


def test_parts_may_be_gone_at_the_end(window: Window) -> None:
    hold = WindowHold(window.panel)
    hold.begin()
    window.removeDockWidget(window.docks[0])
    window.docks[0].deleteLater()
    QApplication.sendPostedEvents(window.docks[0], 0)
    QApplication.processEvents()
    hold.end()
    assert not window.held()


def test_click_holds_the_window_until_its_mask_is_there(patient, docked, settled, mouse) -> None:
    panel, held = docked.panel, []
    workspace = panel.coordinator.workspace
    workspace.labels.events.set_data.connect(lambda _: held.append(docked.held()))
    mouse(panel.viewer, workspace.points, [(0, 8, 8)])
    assert docked.held(), "before anything of the click is drawn"
    settled(panel)
    assert held == [True], "the layer was new when the picture was let go"
    assert not docked.held()


def test_slow_answer_is_not_waited_for(docked, settled, script, mouse, qtbot) -> None:
    panel = docked.panel
    script.gate.clear()
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    qtbot.waitUntil(lambda: not docked.held(), timeout=5000)
    assert not panel.coordinator.idle
    script.gate.set()
    settled(panel)


def test_failure_lets_go(patient, docked, settled, script, mouse) -> None:
    panel = docked.panel
    script.fault = lambda step: DeviceError("Gone.") if step == "points" else None
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    assert not docked.held()


def test_removed_layer_lets_go(patient, docked, script, mouse) -> None:
    panel = docked.panel
    script.gate.clear()
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [(0, 8, 8)])
    assert docked.held()
    panel.viewer.layers.remove(workspace.labels)
    assert not docked.held()


@pytest.mark.parametrize("volume", [False, True])
def test_neither_runs_nor_volumes_are_held(docked, settled, script, mouse, qtbot, volume) -> None:
    panel = docked.panel
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [(0, 8, 8)])
    settled(panel)
    if volume:
        panel.viewer.dims.ndisplay = 3
    else:
        script.seconds = 0.1
        panel.run.forward.click()
        qtbot.waitUntil(lambda: panel.run.progress.value() >= 1)
    workspace.points.add([0, 9, 9])
    assert not docked.held()
    settled(panel)
