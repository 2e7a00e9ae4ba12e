"""Docks, layers and viewers may go at any moment: no error, no thread left, no label lost."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_sam2.widgets.stack_panel import StackPanel


@pytest.fixture
def running(started, settled, script, mouse, qtbot):
    """A panel in the middle of a run, two frames done."""
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    notification_manager.records.clear()
    script.seconds = 0.1
    started.run.forward.click()
    qtbot.waitUntil(lambda: started.run.progress.value() >= 2)
    return started


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


@pytest.mark.parametrize("name", ["blobs", "blobs · labels", "blobs · boxes", "blobs · points"])
def test_layer_deleted_mid_run(running, settled, name, qtbot):
    labels = running.coordinator.workspace.labels.data
    running.viewer.layers.remove(name)
    assert running.coordinator.workspace is None
    assert not running.coordinator.running
    settled(running)
    assert labels[:2].any(axis=(1, 2)).all()
    assert notification_manager.records == []
    assert running.run.isEnabled() is False


@pytest.mark.parametrize("name", ["blobs · labels", "blobs · boxes", "blobs · points"])
def test_after_a_deleted_layer_the_work_can_go_on(running, settled, script, mouse, name):
    running.viewer.layers.remove(name)
    settled(running)
    running.start.click()
    settled(running)
    assert len(running.viewer.layers) == 4
    mouse(running.viewer, running.coordinator.workspace.points, [(0, 25, 30)])
    settled(running)
    assert (running.coordinator.workspace.labels.data[0] > 0).sum() >= 12 * 13


def test_labels_without_prompts_keep_their_ids(running, settled, mouse):
    """The points were deleted, their labels were not: a new object must not take their id."""
    running.viewer.layers.remove("blobs · points")
    settled(running)
    running.start.click()
    settled(running)
    assert running.prompts.object_id.value() == 2
    mouse(running.viewer, running.coordinator.workspace.points, [(0, 25, 30)])
    settled(running)
    plane = running.coordinator.workspace.labels.data[0]
    assert ((plane == 1).sum(), (plane == 2).sum()) == (100, 12 * 13)


def test_layers_renamed_and_reordered_mid_run(running, settled):
    workspace = running.coordinator.workspace
    workspace.labels.name = "mine"
    workspace.image.name = "cells"
    running.viewer.layers.move(3, 0)
    settled(running)
    assert workspace.labels.data[3].any()
    assert running.stack.images.currentText() == "cells"
    assert running.coordinator.workspace is workspace


def test_all_layers_cleared_mid_run(running, settled):
    running.viewer.layers.clear()
    settled(running)
    assert "Open" in running.hint.text()
    assert notification_manager.records == []


def test_keys_and_callbacks_are_given_back(make_panel, blobs, settled):
    panel = make_panel()

    def mine(_viewer):
        return None

    panel.viewer.bind_key("N", mine)
    panel.viewer.add_image(blobs())
    panel.start.click()
    settled(panel)
    points = panel.coordinator.workspace.points
    before = list(points.mouse_drag_callbacks)
    assert mine not in panel.viewer.keymap.values()
    panel.coordinator.close()
    assert list(panel.viewer.keymap.values()) == [mine]
    assert points.keymap == {}
    assert len(points.mouse_drag_callbacks) == len(before) - 1
    points.add([0, 8, 8])  # an ordinary layer again


def test_second_panel_takes_the_layers_up(started, make_panel, settled, mouse):
    viewer = started.viewer
    mouse(viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    started.parent().destroyOnClose()
    again = make_panel(viewer=viewer)
    again.start.click()
    settled(again)
    assert len(viewer.layers) == 4
    assert again.prompts.object_id.value() == 2
    again.run.both.click()
    settled(again)
    assert again.coordinator.workspace.labels.data[3].any()


def test_two_viewers_at_once(make_panel, blobs, settled, mouse):
    one, two = make_panel(blobs()), make_panel(blobs())
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


def test_closing_twice_is_harmless(started):
    started.coordinator.close()
    started.coordinator.close()
    assert isinstance(started, StackPanel)
