"""Docks, layers and viewers may close at any moment: no error, no thread left, no label lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer
from napari.utils.notifications import notification_manager

from napari_sam2.prompts import read_session
from napari_sam2.widgets.stack_panel import StackPanel


@pytest.fixture
def running(started, script, qtbot):
    """A panel in the middle of a run, two frames done."""
    started.click(0, 8, 8)
    started.wait_idle()
    notification_manager.records.clear()
    script.seconds = 0.1
    started.propagate("forward")
    qtbot.waitUntil(lambda: started.frames_done >= 2)
    return started


@pytest.mark.parametrize("name", ["blobs", "blobs · labels", "blobs · shapes", "blobs · points"])
def test_deleting_a_layer_mid_run_ends_the_run_and_keeps_labels(running, name, qtbot):
    labels = running.labels_layer.data
    running.viewer.layers.remove(name)
    assert not running.started
    assert not running.running
    running.wait_idle()
    assert labels[:2].any(axis=(1, 2)).all()
    assert notification_manager.records == []
    assert running.propagation_section.isEnabled() is False


@pytest.mark.parametrize("name", ["blobs · labels", "blobs · shapes", "blobs · points"])
def test_work_can_continue_after_a_layer_is_deleted(running, script, name):
    running.viewer.layers.remove(name)
    running.wait_idle()
    running.start()
    running.wait_idle()
    assert len(running.viewer.layers) == 4
    running.click(0, 25, 30)
    running.wait_idle()
    assert (running.labels[0] > 0).sum() >= 12 * 13


def test_new_object_avoids_ids_of_labels_without_prompts(running):
    """The points were deleted, their labels were not: a new object must not take their id."""
    running.viewer.layers.remove("blobs · points")
    running.wait_idle()
    running.start()
    running.wait_idle()
    assert running.current_object == 2
    running.click(0, 25, 30)
    running.wait_idle()
    plane = running.labels[0]
    assert ((plane == 1).sum(), (plane == 2).sum()) == (100, 12 * 13)


def test_run_continues_when_layers_are_renamed_and_reordered(running):
    number = running.start_number
    running.labels_layer.name = "mine"
    running.image_layer.name = "cells"
    running.viewer.layers.move(3, 0)
    running.wait_idle()
    assert running.labels[3].any()
    assert running.chosen_image_name == "cells"
    assert running.start_number == number, "nothing was begun anew"


def test_labels_hidden_mid_run_are_filled(running):
    running.labels_layer.visible = running.image_layer.visible = False
    running.wait_idle()
    assert running.labels[3].any()
    assert not running.labels_layer.visible
    assert notification_manager.records == []


def test_duplicated_labels_are_not_written_to(running):
    viewer, layer = running.viewer, running.labels_layer
    viewer.layers.selection = {layer, running.points_layer}
    _duplicate_layer(viewer.layers)
    copy = viewer.layers["blobs · labels copy"]
    kept = copy.data.copy()
    assert kept[0].any()
    running.wait_idle()
    assert layer.data[3].any()
    assert np.array_equal(copy.data, kept), "nothing more is written to it"
    viewer.layers.move(viewer.layers.index(copy), 0)
    running.start()
    running.wait_idle()
    assert running.labels_layer is layer
    viewer.layers.remove(layer)
    running.start()
    running.wait_idle()
    assert running.labels_layer is not copy
    assert np.array_equal(copy.data, kept)
    assert notification_manager.records == []


def _said() -> list[str]:
    return [note.message for note in notification_manager.records]


@pytest.mark.parametrize("shape", [(6, 40, 50), (4, 30, 20), (2, 6, 40, 50), (40, 50)])
def test_replacing_the_image_mid_run_ends_the_run_and_keeps_labels(running, shape, blobs):
    image, labels = running.image_layer, running.labels_layer.data
    image.data = blobs(shape)
    assert not running.started
    assert not running.running
    running.wait_idle()
    kept = labels.copy()
    assert kept[:2].any(axis=(1, 2)).all()
    (said,) = _said()
    assert "blobs has other data now" in said
    running.viewer.dims.set_point(range(running.viewer.dims.ndim), [0] * running.viewer.dims.ndim)
    running.start()
    running.wait_idle()
    assert running.labels.shape == shape
    running.click(*(0,) * (len(shape) - 2), 25, 15)
    running.wait_idle()
    assert len(_said()) == 1
    if shape != kept.shape:
        assert np.array_equal(labels, kept), "labels of before are as they were"


def test_growing_image_updates_the_axis_choice(make_panel, blobs, script):
    panel = make_panel(blobs((2, 40, 50)))
    notification_manager.records.clear()
    panel.viewer.layers[0].data = blobs((5, 40, 50))
    assert panel.axes_offered == ["axis 0, slider -3 (5 frames)"]
    assert notification_manager.records == []
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].stack().n_frames == 5


def test_replacing_the_labels_mid_run_ends_the_run(running):
    written = running.labels_layer.data
    mine = np.full_like(written, 7)
    running.labels_layer.data = mine
    assert not running.running
    running.wait_idle()
    assert (mine == 7).all(), "nothing was written to it"
    assert written[:2].any(axis=(1, 2)).all()
    (said,) = _said()
    assert "blobs · labels has other data now" in said
    running.start()
    running.wait_idle()
    assert running.labels_layer.data is mine


def test_clearing_all_layers_mid_run_is_no_error(running):
    running.viewer.layers.clear()
    running.wait_idle()
    assert "Open" in running.hint
    assert notification_manager.records == []


def test_closing_restores_keys_and_callbacks(make_panel, blobs):
    panel = make_panel()

    def mine(_viewer):
        return None

    panel.viewer.bind_key("N", mine)
    panel.viewer.add_image(blobs())
    panel.start()
    panel.wait_idle()
    points = panel.points_layer
    before = list(points.mouse_drag_callbacks)
    assert mine not in panel.viewer.keymap.values()
    panel.close()
    assert list(panel.viewer.keymap.values()) == [mine]
    assert points.keymap == {}
    ours = [each for each in before if "napari_sam2" in each.__module__]
    assert len(ours) >= 3
    assert list(points.mouse_drag_callbacks) == [each for each in before if each not in ours]
    points.add([0, 8, 8])  # an ordinary layer again


def test_closing_twice_is_harmless(started):
    started.close()
    started.close()
    assert isinstance(started.widget, StackPanel)


def _click_run_name_accept(panel) -> None:
    """Click, propagate, name, accept in frame 2."""
    panel.click(0, 8, 8)
    panel.wait_idle()
    panel.propagate("forward")
    panel.wait_idle()
    panel.rename(1, "cell")
    panel.viewer.dims.set_current_step(0, 2)
    panel.accept("here")
    panel.wait_idle()


def test_restart_keeps_names_acceptance_and_history(started, qtbot):
    _click_run_name_accept(started)
    labels = started.labels_layer.data
    before = labels.copy()
    summary = "Frame 2, area 100 px, score 0.90, accepted"
    qtbot.waitUntil(lambda: started.summary == summary)
    started.start()
    started.wait_idle()
    assert started.names == {1: "cell"}
    assert started.accepted == {((), 1, 2)}
    assert np.array_equal(labels, before)
    started.select_object(1)
    started.go_to(2)
    qtbot.waitUntil(lambda: started.summary == summary)  # scores as before
    started.undo()
    started.wait_idle()
    assert started.accepted == frozenset()
    started.undo()
    started.wait_idle()
    assert started.names == {}
    started.undo()
    started.wait_idle()
    assert labels[0].any()
    assert not labels[1:].any(), "the propagation is taken back"
    started.redo()
    started.wait_idle()
    assert np.array_equal(labels, before)


def test_reopened_panel_keeps_names_and_acceptance(started, make_panel, sessions):
    _click_run_name_accept(started)
    started.close()
    again = make_panel(viewer=started.viewer)
    assert not again.offers_to_resume, "the layers hold it all"
    again.start()
    again.wait_idle()
    assert again.names == {1: "cell"}
    assert again.accepted == {((), 1, 2)}
    again.rename(1, "neuron")
    again.wait_idle()
    (path,) = sessions.iterdir()
    assert read_session(path).names == {1: "neuron"}


def test_reopened_panel_keeps_scores_and_doubts(started, make_panel):
    started.click(0, 8, 12)
    started.propagate("both")
    started.wait_idle()
    records = started.records_of(1)
    low = replace(records[3], score=0.2, presence=0.3)
    started.put_records(low)
    doubtful = started.timeline.doubtful
    assert 3 in doubtful
    started.close()
    again = make_panel(viewer=started.viewer)
    again.start()
    again.wait_idle()
    assert again.records_of(1) == {**records, 3: low}
    again.select_object(1)
    assert again.timeline.doubtful == doubtful


def test_scores_of_masks_that_are_gone_do_not_come_back(started, make_panel):
    started.click(0, 8, 12)
    started.propagate("both")
    started.wait_idle()
    started.close()
    started.viewer.layers[1].data[4] = 0
    again = make_panel(viewer=started.viewer)
    again.start()
    again.wait_idle()
    assert sorted(again.records_of(1)) == [0, 1, 2, 3, 5]


def test_another_axis_keeps_names_and_acceptance(make_panel, blobs):
    panel = make_panel(blobs((3, 4, 40, 50)))
    panel.viewer.dims.set_current_step(1, 0)
    panel.viewer.dims.set_current_step(0, 2)
    panel.start()
    panel.wait_idle()
    panel.click(2, 0, 8, 8)
    panel.wait_idle()
    panel.accept("here")
    panel.wait_idle()
    assert panel.accepted == {(((0, 2),), 1, 0)}
    panel.choose_axis(0)
    panel.wait_idle()
    assert panel.axis == 0
    assert panel.accepted == {(((1, 0),), 1, 2)}


@pytest.mark.parametrize("name", ["blobs", "blobs · labels", "blobs · shapes", "blobs · points"])
def test_change_is_saved_if_a_layer_is_deleted_right_after(started, sessions, name):
    started.click(0, 8, 8)
    started.send_prompts()
    started.viewer.layers.remove(name)
    started.wait_idle()
    (path,) = sessions.iterdir()
    assert read_session(path).book.get(1, 0).points == ((8, 8),)


def test_change_is_saved_if_the_panel_is_closed_right_after(started, sessions, qtbot, our_threads):
    started.click(0, 8, 8)
    started.send_prompts()
    started.close()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    (path,) = sessions.iterdir()
    assert read_session(path).book.get(1, 0).points == ((8, 8),)


def test_closing_the_panel_while_it_resumes_is_no_error(started, make_panel, blobs, script, qtbot):
    started.click(0, 8, 8)
    started.wait_idle()
    again = make_panel(blobs())
    qtbot.waitUntil(lambda: again.offers_to_resume)
    notification_manager.records.clear()
    script.gate.clear()
    again.resume()
    again.close()
    script.gate.set()
    qtbot.wait(100)
    assert notification_manager.records == []
