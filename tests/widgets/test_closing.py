"""Docks and windows may close at any moment: no error, no thread left, no label lost."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QAbstractButton, QApplication, QMessageBox

pytestmark = pytest.mark.gl


@pytest.fixture
def running(docked, script, qtbot):
    """A panel in the middle of a run, two frames done."""
    docked.click(0, 8, 8)
    docked.wait_idle()
    notification_manager.records.clear()
    script.seconds = 0.1
    docked.propagate("forward")
    qtbot.waitUntil(lambda: docked.frames_done >= 2)
    return docked


@pytest.fixture
def undisturbed(qtbot, our_threads):
    """Check that all threads end and that nothing was reported."""

    def check() -> None:
        qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
        qtbot.wait(50)
        assert [note.message for note in notification_manager.records] == []

    return check


def test_closing_the_dock_mid_run_ends_the_run_and_keeps_labels(running, undisturbed):
    labels = running.labels_layer
    dock = running.dock
    dock.destroyOnClose()
    assert not running.running
    undisturbed()
    assert [bool(frame.any()) for frame in labels.data[:2]] == [True, True]
    assert labels in running.viewer.layers


@pytest.fixture
def shown(docked, qtbot):
    """A panel in a window on the screen, and the button that closes its dock."""
    docked.viewer.window._qt_window.show()
    qtbot.waitUntil(docked.widget.isVisible)
    button = docked.dock.titleBarWidget().findChild(QAbstractButton, "QTitleBarCloseButton")
    return docked, button


@pytest.mark.parametrize("floating", [False, True])
@pytest.mark.parametrize("answer", ["Keep working", "Close without saving"])
def test_closing_the_dock_asks_about_work_that_is_not_on_disk(shown, qtbot, answer, floating):
    docked, button = shown
    if floating:  # napari makes it another title bar
        docked.dock.setFloating(True)
        button = docked.dock.titleBarWidget().findChild(QAbstractButton, "QTitleBarCloseButton")
    docked.tick_autosave(False)
    docked.click(0, 8, 8)
    docked.wait_idle()
    asked = []

    def reply() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(10, reply)
            return
        asked.append(box.text())
        next(button for button in box.buttons() if button.text() == answer).click()

    QTimer.singleShot(10, reply)
    closes = answer == "Close without saving"
    timeout = 20_000 if closes else 500
    with qtbot.waitSignal(docked.dock.destroyed, timeout=timeout, raising=closes) as closing:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert ["Autosave is off" in text for text in asked] == [True]
    assert closing.signal_triggered == closes


def test_closing_the_dock_asks_nothing_with_everything_on_disk(shown, qtbot):
    docked, button = shown
    docked.click(0, 8, 8)
    docked.wait_idle()
    with qtbot.waitSignal(docked.dock.destroyed, timeout=20_000):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_hiding_the_dock_does_not_stop_the_run(running):
    labels = running.labels_layer
    running.dock.hide()
    running.wait_idle()
    assert labels.data[3].any()


def test_closing_the_viewer_mid_run_keeps_labels(running, undisturbed):
    labels = running.labels_layer.data
    running.viewer.close()
    undisturbed()
    assert labels[:2].any(axis=(1, 2)).all()


def test_closing_the_window_mid_run_is_no_error(running, undisturbed, qtbot):
    """By the window's own button: napari removes no layer then and closes no dock."""
    window = running.viewer.window
    with qtbot.waitSignal(window._qt_window.destroyed, timeout=5000):
        window._qt_window.close()
    del window._qt_window  # as `Window.close` leaves it
    undisturbed()


def test_deleting_the_panel_mid_run_is_no_error(running, undisturbed, qtbot):
    with qtbot.waitSignal(running.widget.destroyed, timeout=5000):
        running.widget.deleteLater()
    undisturbed()


def test_second_panel_reuses_the_layers(docked, make_docked_panel):
    viewer = docked.viewer
    docked.click(0, 8, 8)
    docked.wait_idle()
    docked.dock.destroyOnClose()
    again = make_docked_panel(viewer=viewer)
    again.start()
    again.wait_idle()
    assert len(viewer.layers) == 4
    assert again.current_object == 2
    again.propagate("both")
    again.wait_idle()
    assert again.labels[3].any()


def test_closing_one_of_two_running_viewers_leaves_the_other(
    running, make_docked_panel, blobs, script, qtbot
):
    one, two = running, make_docked_panel(blobs())
    one.pause()
    two.viewer.dims.set_current_step(0, 0)
    two.start()
    settled_labels = two.labels_layer.data
    two.click(0, 25, 30)
    two.propagate("forward")
    one.pause()
    qtbot.waitUntil(lambda: two.frames_done >= 1, timeout=10_000)
    assert one.running or one.labels[3].any()
    labels = one.labels_layer.data
    one.viewer.close()
    two.wait_idle()
    assert labels[:2].any(axis=(1, 2)).all()
    assert (settled_labels[:3] == 1).any(axis=(1, 2)).all()
    assert not (settled_labels[:, :20] == 1).any(), "each has its own labels"
    assert [note.message for note in notification_manager.records] == []


def test_two_viewers_segment_independently(make_docked_panel, blobs):
    one, two = make_docked_panel(blobs()), make_docked_panel(blobs())
    for panel in (one, two):
        panel.viewer.dims.set_current_step(0, 0)
        panel.start()
    one.click(0, 8, 8)
    two.click(0, 25, 30)
    one.propagate("forward")
    two.propagate("forward")
    one.wait_idle()
    two.wait_idle()
    assert np.unique(one.labels[0]).tolist() == [0, 1]
    assert (one.labels[0] == 1).sum() == 100
    assert (two.labels[0] == 1).sum() == 12 * 13
