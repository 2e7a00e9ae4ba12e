"""Docks, layers and viewers may go at any moment: no error, no thread left, no label lost."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer
from napari.utils.notifications import notification_manager

from napari_sam2.prompts import read_session
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


def test_labels_hidden_mid_run_are_filled(running, settled):
    workspace = running.coordinator.workspace
    workspace.labels.visible = workspace.image.visible = False
    settled(running)
    assert workspace.labels.data[3].any()
    assert not workspace.labels.visible
    assert notification_manager.records == []


def test_a_duplicate_made_mid_run_is_the_users_own(running, settled):
    workspace, viewer = running.coordinator.workspace, running.viewer
    viewer.layers.selection = {workspace.labels, workspace.points}
    _duplicate_layer(viewer.layers)
    copy = viewer.layers["blobs · labels copy"]
    kept = copy.data.copy()
    assert kept[0].any()
    settled(running)
    assert workspace.labels.data[3].any()
    assert np.array_equal(copy.data, kept), "nothing more is written to it"
    viewer.layers.move(viewer.layers.index(copy), 0)
    running.start.click()
    settled(running)
    assert running.coordinator.workspace.labels is workspace.labels
    viewer.layers.remove(workspace.labels)
    running.start.click()
    settled(running)
    assert running.coordinator.workspace.labels is not copy
    assert np.array_equal(copy.data, kept)
    assert notification_manager.records == []


def _said() -> list[str]:
    return [note.message for note in notification_manager.records]


@pytest.mark.parametrize("shape", [(6, 40, 50), (4, 30, 20), (2, 6, 40, 50), (40, 50)])
def test_pixels_replaced_mid_run(running, settled, shape, blobs, mouse):
    image, labels = running.coordinator.workspace.image, running.coordinator.workspace.labels.data
    image.data = blobs(shape)
    assert running.coordinator.workspace is None
    assert not running.coordinator.running
    settled(running)
    kept = labels.copy()
    assert kept[:2].any(axis=(1, 2)).all()
    (said,) = _said()
    assert "blobs has other data now" in said
    running.viewer.dims.set_point(range(running.viewer.dims.ndim), [0] * running.viewer.dims.ndim)
    running.start.click()
    settled(running)
    workspace = running.coordinator.workspace
    assert workspace.labels.data.shape == shape
    mouse(running.viewer, workspace.points, [(0,) * (len(shape) - 2) + (25, 15)])
    settled(running)
    assert len(_said()) == 1
    if shape != kept.shape:
        assert np.array_equal(labels, kept), "labels of before are as they were"


def test_image_that_grows_while_it_is_acquired(make_panel, blobs, settled, script):
    panel = make_panel(blobs((2, 40, 50)))
    notification_manager.records.clear()
    panel.viewer.layers[0].data = blobs((5, 40, 50))
    assert panel.stack.axes.currentText() == "axis 0 (5 frames)"
    assert notification_manager.records == []
    panel.start.click()
    settled(panel)
    assert script.opened[-1].stack().n_frames == 5


def test_labels_replaced_mid_run(running, settled):
    workspace = running.coordinator.workspace
    written = workspace.labels.data
    mine = np.full_like(written, 7)
    workspace.labels.data = mine
    assert not running.coordinator.running
    settled(running)
    assert (mine == 7).all(), "nothing was written to it"
    assert written[:2].any(axis=(1, 2)).all()
    (said,) = _said()
    assert "blobs · labels has other data now" in said
    running.start.click()
    settled(running)
    assert running.coordinator.workspace.labels.data is mine


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


def _say_things(panel, settled, mouse) -> None:
    """Click, propagate, name, accept in frame 2."""
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    panel.run.forward.click()
    settled(panel)
    panel.coordinator.dialogue.name(1, "cell")
    panel.viewer.dims.set_current_step(0, 2)
    panel.review.accept_requested.emit("here")
    settled(panel)


def test_restart_keeps_names_acceptance_and_history(started, settled, mouse, qtbot):
    _say_things(started, settled, mouse)
    labels = started.coordinator.workspace.labels.data
    before = labels.copy()
    summary = "Frame 2, area 100 px, score 0.90, accepted"
    qtbot.waitUntil(lambda: started.review.summary.text() == summary)
    started.start.click()
    settled(started)
    said = started.coordinator.workspace.said
    assert said.names == {1: "cell"}
    assert said.accepted == {((), 1, 2)}
    assert np.array_equal(labels, before)
    started.prompts.object_id.setValue(1)
    started.review.timeline.frame_requested.emit(2)
    qtbot.waitUntil(lambda: started.review.summary.text() == summary)  # scores as before
    started.history.undo.click()
    settled(started)
    assert started.coordinator.workspace.said.accepted == frozenset()
    started.history.undo.click()
    settled(started)
    assert labels[0].any()
    assert not labels[1:].any(), "the propagation is taken back"
    started.history.redo.click()
    settled(started)
    assert np.array_equal(labels, before)


def test_reopened_panel_keeps_names_and_acceptance(started, settled, mouse, make_panel, sessions):
    _say_things(started, settled, mouse)
    started.coordinator.close()
    again = make_panel(viewer=started.viewer)
    assert again.offer.isHidden(), "the layers hold it all"
    again.start.click()
    settled(again)
    assert again.coordinator.workspace.said.names == {1: "cell"}
    assert again.coordinator.workspace.said.accepted == {((), 1, 2)}
    again.coordinator.dialogue.name(1, "neuron")
    settled(again)
    (path,) = sessions.iterdir()
    assert read_session(path).names == {1: "neuron"}


def test_another_axis_keeps_names_and_acceptance(make_panel, blobs, settled, mouse):
    panel = make_panel(blobs((3, 4, 40, 50)))
    panel.viewer.dims.set_current_step(1, 0)
    panel.viewer.dims.set_current_step(0, 2)
    panel.start.click()
    settled(panel)
    mouse(panel.viewer, panel.coordinator.workspace.points, [(2, 0, 8, 8)])
    settled(panel)
    panel.review.accept_requested.emit("here")
    settled(panel)
    assert panel.coordinator.workspace.said.accepted == {(((0, 2),), 1, 0)}
    panel.stack.axes.choose(0)
    panel.stack.axes.activated.emit(0)
    settled(panel)
    assert panel.coordinator.workspace.axis == 0
    assert panel.coordinator.workspace.said.accepted == {(((1, 0),), 1, 2)}


@pytest.mark.parametrize("name", ["blobs", "blobs · labels", "blobs · shapes", "blobs · points"])
def test_layer_deleted_right_after_a_change_is_kept(started, mouse, settled, sessions, name):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    started.coordinator.dialogue.listen()
    started.viewer.layers.remove(name)
    settled(started)
    (path,) = sessions.iterdir()
    assert read_session(path).book.get(1, 0).points == ((8, 8),)


def test_panel_closed_right_after_a_change_is_kept(started, mouse, sessions, qtbot, our_threads):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    started.coordinator.dialogue.listen()
    started.coordinator.close()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    (path,) = sessions.iterdir()
    assert read_session(path).book.get(1, 0).points == ((8, 8),)


def test_panel_closed_while_it_resumes(started, mouse, settled, make_panel, blobs, script, qtbot):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    again = make_panel(blobs())
    qtbot.waitUntil(lambda: not again.offer.isHidden())
    notification_manager.records.clear()
    script.gate.clear()
    again.offer.resume.click()
    again.coordinator.close()
    script.gate.set()
    qtbot.wait(100)
    assert notification_manager.records == []
