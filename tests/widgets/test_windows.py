"""Docks and windows may close at any moment: no error, no thread left, no label lost."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

pytestmark = pytest.mark.gl


@pytest.fixture
def running(docked, settled, script, mouse, qtbot):
    """A panel in the middle of a run, two frames done."""
    mouse(docked.viewer, docked.coordinator.workspace.points, [(0, 8, 8)])
    settled(docked)
    notification_manager.records.clear()
    script.seconds = 0.1
    docked.run.forward.click()
    qtbot.waitUntil(lambda: docked.run.progress.value() >= 2)
    return docked


@pytest.fixture
def undisturbed(qtbot, our_threads):
    """Check that all threads end and that nothing was reported."""

    def check() -> None:
        qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
        qtbot.wait(50)
        assert [note.message for note in notification_manager.records] == []

    return check


def test_dock_closed_mid_run(running, undisturbed):
    labels = running.coordinator.workspace.labels
    dock = running.parent()
    dock.destroyOnClose()
    assert not running.coordinator.running
    undisturbed()
    assert [bool(frame.any()) for frame in labels.data[:2]] == [True, True]
    assert labels in running.viewer.layers


def test_dock_hidden_mid_run_goes_on(running, settled):
    labels = running.coordinator.workspace.labels
    running.parent().hide()
    settled(running)
    assert labels.data[3].any()


def test_viewer_closed_mid_run(running, undisturbed):
    labels = running.coordinator.workspace.labels.data
    running.viewer.close()
    undisturbed()
    assert labels[:2].any(axis=(1, 2)).all()


def test_window_closed_mid_run(running, undisturbed, qtbot):
    """By the window's own button: napari removes no layer then and closes no dock."""
    window = running.viewer.window
    with qtbot.waitSignal(window._qt_window.destroyed, timeout=5000):
        window._qt_window.close()
    del window._qt_window  # as `Window.close` leaves it
    undisturbed()


def test_panel_deleted_mid_run(running, undisturbed, qtbot):
    with qtbot.waitSignal(running.destroyed, timeout=5000):
        running.deleteLater()
    undisturbed()


def test_second_panel_takes_the_layers_up(docked, make_docked_panel, settled, mouse):
    viewer = docked.viewer
    mouse(viewer, docked.coordinator.workspace.points, [(0, 8, 8)])
    settled(docked)
    docked.parent().destroyOnClose()
    again = make_docked_panel(viewer=viewer)
    again.start.click()
    settled(again)
    assert len(viewer.layers) == 4
    assert again.prompts.object_id.value() == 2
    again.run.both.click()
    settled(again)
    assert again.coordinator.workspace.labels.data[3].any()


def test_two_viewers_run_at_once_and_one_goes(
    running, make_docked_panel, blobs, settled, mouse, script, qtbot
):
    one, two = running, make_docked_panel(blobs())
    one.run.pause.click()
    two.viewer.dims.set_current_step(0, 0)
    two.start.click()
    settled_labels = two.coordinator.workspace.labels.data
    mouse(two.viewer, two.coordinator.workspace.points, [(0, 25, 30)])
    two.run.forward.click()
    one.run.pause.click()
    qtbot.waitUntil(lambda: two.run.progress.value() >= 1, timeout=10_000)
    assert one.coordinator.running or one.coordinator.workspace.labels.data[3].any()
    labels = one.coordinator.workspace.labels.data
    one.viewer.close()
    settled(two)
    assert labels[:2].any(axis=(1, 2)).all()
    assert (settled_labels[:3] == 1).any(axis=(1, 2)).all()
    assert not (settled_labels[:, :20] == 1).any(), "each has its own labels"
    assert [note.message for note in notification_manager.records] == []


def test_two_viewers_at_once(make_docked_panel, blobs, settled, mouse):
    one, two = make_docked_panel(blobs()), make_docked_panel(blobs())
    for panel in (one, two):
        panel.viewer.dims.set_current_step(0, 0)
        panel.start.click()
    mouse(one.viewer, one.coordinator.workspace.points, [(0, 8, 8)])
    mouse(two.viewer, two.coordinator.workspace.points, [(0, 25, 30)])
    one.run.forward.click()
    two.run.forward.click()
    settled(one)
    settled(two)
    assert np.unique(one.coordinator.workspace.labels.data[0]).tolist() == [0, 1]
    assert (one.coordinator.workspace.labels.data[0] == 1).sum() == 100
    assert (two.coordinator.workspace.labels.data[0] == 1).sum() == 12 * 13
