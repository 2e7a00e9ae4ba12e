"""Docks, layers and viewers may go at any moment: no error, no thread left, no label lost."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", ["blobs", "blobs · labels", "blobs · shapes", "blobs · points"])
def test_layer_deleted_mid_run(running, settled, name, qtbot):
    labels = running.coordinator.workspace.labels.data
    running.viewer.layers.remove(name)
    assert running.coordinator.workspace is None
    assert not running.coordinator.running
    settled(running)
    assert labels[:2].any(axis=(1, 2)).all()
    assert notification_manager.records == []
    assert running.run.isEnabled() is False


@pytest.mark.parametrize("name", ["blobs · labels", "blobs · shapes", "blobs · points"])
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
    assert len(points.mouse_drag_callbacks) == len(before) - 2
    points.add([0, 8, 8])  # an ordinary layer again


def test_closing_twice_is_harmless(started):
    started.coordinator.close()
    started.coordinator.close()
    assert isinstance(started, StackPanel)
