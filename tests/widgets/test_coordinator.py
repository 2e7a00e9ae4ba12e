"""The flow of the panel in a viewer with real layers; the session is the slow or broken double."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_sam2.errors import DeviceError
from napari_sam2.types import Direction
from napari_sam2.widgets.places import OBJECT, POSITIVE


def messages() -> list[str]:
    return [note.message for note in notification_manager.records]


def area(panel, object_id, frame=0) -> int:
    return int((panel.coordinator.workspace.labels.data[frame] == object_id).sum())


def test_empty_state_says_what_to_do(make_panel):
    panel = make_panel()
    assert "Open" in panel.hint.text()
    assert not panel.start.isEnabled()
    assert not panel.prompts.isEnabled()
    assert not panel.run.isEnabled()


def test_start_makes_layers_over_the_image_and_opens_the_session(
    make_panel, blobs, settled, script
):
    panel = make_panel(blobs(), scale=(3, 0.5, 0.5), translate=(1, 2, 3))
    assert "Start" in panel.hint.text()
    panel.start.click()
    settled(panel)
    image, labels, shapes, points = panel.viewer.layers
    for layer in (labels, shapes, points):
        assert np.allclose(layer.scale, image.scale)
        assert np.allclose(layer.translate, image.translate)
    assert labels.data.shape == image.data.shape
    assert panel.viewer.layers.selection.active is points
    assert points.mode == "add"
    assert len(script.opened) == 1
    assert script.opened[0].sight.contrast == ((0, 1000),)
    assert "Click" in panel.hint.text()


def test_click_gives_the_mask_of_the_frame_at_once(started, settled, mouse, qtbot):
    workspace = started.coordinator.workspace
    redrawn = []
    workspace.labels.events.set_data.connect(lambda _: redrawn.append(area(started, 1)))
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    settled(started)
    qtbot.waitUntil(lambda: redrawn[-1:] == [100])
    assert area(started, 1, frame=1) == 0
    assert "Propagate" in started.hint.text()


def test_shift_click_marks_background(started, settled, script, mouse):
    workspace = started.coordinator.workspace
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    mouse(started.viewer, workspace.points, [(0, 30, 30)], modifiers=["Shift"])
    mouse(started.viewer, workspace.points, [(0, 9, 9)])
    settled(started)
    assert list(workspace.points.features[POSITIVE]) == [True, False, True]
    assert [str(s) for s in workspace.points.symbol] == ["disc", "x", "disc"]
    assert [told[4] for told in script.told if told[0] == "points"][-1][-1] is True


def test_key_t_changes_what_clicks_mark(started, mouse):
    workspace = started.coordinator.workspace
    key = next(k for k in workspace.points.keymap if str(k) == "T")
    workspace.points.keymap[key](workspace.points)
    assert started.prompts.negative.isChecked()
    mouse(started.viewer, workspace.points, [(0, 30, 30)])
    mouse(started.viewer, workspace.points, [(0, 8, 8)], modifiers=["Shift"])
    assert list(workspace.points.features[POSITIVE]) == [False, True]
    workspace.points.keymap[key](workspace.points)
    assert started.prompts.positive.isChecked()


def test_key_n_begins_the_next_object_in_its_own_colour(started, settled, mouse):
    workspace = started.coordinator.workspace
    key = next(k for k in started.viewer.keymap if str(k) == "N")
    started.viewer.keymap[key](started.viewer)
    assert started.prompts.object_id.value() == 1, "the first object has no prompts yet"
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    settled(started)
    started.viewer.keymap[key](started.viewer)
    assert started.prompts.object_id.value() == 2
    mouse(started.viewer, workspace.points, [(0, 25, 30)])
    settled(started)
    assert list(workspace.points.features[OBJECT]) == [1, 2]
    assert np.allclose(workspace.points.face_color[1], workspace.labels.get_color(2), atol=0.01)
    assert not np.allclose(workspace.points.face_color[0], workspace.points.face_color[1])
    assert (area(started, 1), area(started, 2)) == (100, 12 * 13)
    assert workspace.labels.selected_label == 2


def test_object_can_be_chosen_again(started, settled, mouse):
    workspace = started.coordinator.workspace
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    settled(started)
    started.prompts.next_object.click()
    started.prompts.object_id.setValue(1)
    mouse(started.viewer, workspace.points, [(0, 9, 9)])
    assert list(workspace.points.features[OBJECT]) == [1, 1]


def test_deleted_point_takes_its_mask_along(started, settled, mouse):
    workspace = started.coordinator.workspace
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    settled(started)
    workspace.points.selected_data = {0}
    workspace.points.remove_selected()
    settled(started)
    assert not workspace.labels.data.any()
    assert "Click" in started.hint.text()


def test_moved_point_takes_its_mask_along(started, settled, script, mouse):
    workspace = started.coordinator.workspace
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    settled(started)
    workspace.points.mode = "select"
    started.viewer.layers.selection.active = workspace.points
    workspace.points.selected_data = {0}
    workspace.points._drag_start = None
    workspace.points._move({0}, (0, 8, 8))
    workspace.points._move({0}, (0, 25, 30))
    settled(started)
    assert script.told[-1][0] == "set"
    assert area(started, 1) == 12 * 13


def test_drawn_rectangle_is_a_box(started, settled, script, mouse):
    workspace = started.coordinator.workspace
    started.prompts.tool_buttons["boxes"].click()
    assert started.viewer.layers.selection.active is workspace.shapes
    mouse(started.viewer, workspace.shapes, [(0, 4, 4), (0, 10, 10), (0, 16, 16)])
    settled(started)
    boxes = [told for told in script.told if told[0] == "box"]
    assert boxes == [("box", 1, 0, (4.0, 4.0, 16.0, 16.0))], "one, when it was finished"
    assert area(started, 1) == 100
    assert np.allclose(workspace.shapes.edge_color[0], workspace.labels.get_color(1), atol=0.01)


def test_mark_outside_is_said_to_be_ignored(started, settled, script, mouse):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, -8, 8)])
    settled(started)
    assert "ignored" in started.hint.text()
    assert [told for told in script.told if told[0] == "points"] == []


def test_rapid_clicks_are_worked_on_together(started, settled, script, mouse):
    script.gate.clear()
    points = started.coordinator.workspace.points
    for x in range(5, 13):
        mouse(started.viewer, points, [(0, 8, x)])
        started.coordinator.dialogue.listen()
    script.gate.set()
    settled(started)
    assert len([told for told in script.told if told[0] == "points"]) <= 3
    assert area(started, 1) == 100


@pytest.mark.parametrize(
    ("name", "frames"),
    [("forward", {2, 3, 4, 5}), ("backward", {0, 1, 2}), ("both", {0, 1, 2, 3, 4, 5})],
)
def test_propagation_fills_the_frames_of_its_direction(started, settled, name, frames, mouse):
    workspace = started.coordinator.workspace
    started.viewer.dims.set_current_step(0, 2)
    mouse(started.viewer, workspace.points, [(2, 8, 10)])
    settled(started)
    getattr(started.run, name).click()
    assert started.coordinator.running
    settled(started)
    assert {f for f in range(6) if area(started, 1, f)} == frames
    assert f"Done: {len(frames)} frames" in started.hint.text()


def test_frames_stream_into_the_layer_in_view(started, settled, script, qtbot, mouse):
    workspace = started.coordinator.workspace
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    settled(started)
    started.viewer.dims.set_current_step(0, 3)
    qtbot.wait(100)
    shown = []
    workspace.labels.events.set_data.connect(lambda _: shown.append(area(started, 1, 3)))
    script.seconds = 0.05
    started.run.forward.click()
    qtbot.waitUntil(lambda: shown[-1:] == [100], timeout=5000)
    assert started.coordinator.running, "it was shown before the run was over"
    settled(started)


def test_only_the_frame_in_view_is_redrawn(started, settled, qtbot, mouse):
    workspace = started.coordinator.workspace
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    settled(started)
    qtbot.wait(100)
    redrawn = []
    workspace.labels.events.set_data.connect(lambda _: redrawn.append(1))
    started.run.forward.click()
    settled(started)
    qtbot.wait(100)
    assert len(redrawn) == 1, "at the end: frame 0 was as it should be"


def test_progress_is_shown_in_the_panel(started, settled, script, qtbot, mouse):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    script.seconds = 0.1
    started.run.both.click()
    qtbot.waitUntil(lambda: started.run.progress.value() >= 2)
    assert started.run.progress.maximum() == 6
    settled(started)
    assert not started.run._running.isVisibleTo(started)


def test_cancel_keeps_what_is_done(started, settled, script, qtbot, mouse):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    script.seconds = 0.1
    started.run.forward.click()
    qtbot.waitUntil(lambda: started.run.progress.value() >= 2)
    started.run.cancel.click()
    settled(started)
    assert area(started, 1, 1) == 100
    assert area(started, 1, 5) == 0
    assert "Cancelled" in started.hint.text()


def test_propagate_without_prompts_asks_for_one(started, script):
    started.coordinator.propagate(Direction.BOTH)
    assert not started.coordinator.running
    assert "Click" in started.hint.text()


def test_click_during_a_run_is_answered_before_its_end(started, settled, script, qtbot, mouse):
    workspace = started.coordinator.workspace
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    settled(started)
    script.seconds = 0.1
    started.run.forward.click()
    qtbot.waitUntil(lambda: started.run.progress.value() >= 1)
    started.prompts.next_object.click()
    mouse(started.viewer, workspace.points, [(0, 25, 30)])
    qtbot.waitUntil(lambda: area(started, 2) > 0, timeout=5000)
    assert started.coordinator.running
    settled(started)


def test_error_is_a_notification_with_the_way_out(started, settled, script, mouse):
    script.fault = lambda step: (
        DeviceError("The GPU is gone.", safe="Labels are kept.", remedy="Choose cpu.")
        if step == "points"
        else None
    )
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    assert messages()[-1] == "The GPU is gone. Labels are kept. Choose cpu."


def test_after_a_bug_in_a_run_the_panel_is_ready_again(started, settled, script, mouse):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    script.fault = lambda step: KeyError("oops") if step == "frame" else None
    started.run.both.click()
    settled(started)
    assert "oops" in messages()[-1]
    assert started.run.both.isEnabled()
    script.fault = lambda _: None
    started.run.both.click()
    settled(started)
    assert area(started, 1, 3) == 100


def test_contrast_is_fixed_until_the_restart(started, settled, script, mouse):
    started.viewer.layers[0].contrast_limits = (0, 500)
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    assert {spec.sight.contrast for spec in script.opened} == {((0, 1000),)}
    started.start.click()
    settled(started)
    assert script.opened[-1].sight.contrast == ((0, 500),)
    assert len(started.viewer.layers) == 4, "the layers are taken up again"
    assert area(started, 1) == 100


def test_another_device_has_the_prompts_told_again(started, settled, script, mouse):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    started.model.devices.choose("cpu")
    started.model.devices.activated.emit(1)
    settled(started)
    assert script.opened[-1].use.device == "cpu"
    assert script.told[-1][:3] == ("points", 1, 0)


def test_answers_of_a_session_that_is_over_are_dropped(started, settled, script, qtbot, mouse):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    script.seconds = 0.1
    started.run.both.click()
    qtbot.waitUntil(lambda: started.run.progress.value() >= 1)
    started.model.devices.choose("cpu")
    started.model.devices.activated.emit(1)
    assert not started.coordinator.running
    settled(started)
    assert started.run.both.isEnabled()
    assert "frames" not in started.hint.text().split("Propagate")[0]


def test_4d_labels_land_at_the_other_sliders(make_panel, blobs, settled, script, mouse):
    panel = make_panel(
        blobs((3, 6, 40, 50)),
        scale=(1, 4, 0.5, 0.5),
        translate=(0, -8, 100, 0),
        axis_labels=("t", "z", "y", "x"),
    )
    assert panel.stack.axes.value == 0, "time is the video"
    panel.stack.axes.choose(1)
    panel.stack.axes.activated.emit(1)
    panel.viewer.dims.set_current_step(0, 2)
    panel.viewer.dims.set_current_step(1, 3)
    panel.start.click()
    settled(panel)
    workspace = panel.coordinator.workspace
    world = workspace.image.data_to_world((2, 3, 8, 10))
    mouse(panel.viewer, workspace.points, [world])
    settled(panel)
    panel.run.both.click()
    settled(panel)
    filled = (workspace.labels.data == 1).sum(axis=(2, 3))
    assert filled.tolist() == [[0] * 6, [0] * 6, [100] * 6]
    assert script.opened[-1].at == ((0, 2),)
    panel.viewer.dims.set_current_step(0, 1)
    assert "Click" in panel.hint.text(), "nothing is prompted at this time point"
    mouse(panel.viewer, workspace.points, [workspace.image.data_to_world((1, 3, 8, 10))])
    settled(panel)
    assert (workspace.labels.data[1] == 1).sum(axis=(1, 2)).tolist() == [0, 0, 0, 100, 0, 0]
    assert (workspace.labels.data[2] == 1).sum(axis=(1, 2)).tolist() == [100] * 6


def test_single_image(make_panel, blobs, settled, mouse):
    panel = make_panel(blobs((40, 50)))
    assert not panel.stack.axes.isEnabled()
    panel.start.click()
    settled(panel)
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [(8, 8)])
    settled(panel)
    assert (workspace.labels.data == 1).sum() == 100


def test_rgb_stack(make_panel, blobs, settled, script, mouse):
    grey = (blobs() > 0).astype(np.uint8) * 255
    panel = make_panel()
    viewer = panel.viewer
    viewer.add_image(np.stack([grey] * 3, axis=-1), rgb=True)
    panel.start.click()
    settled(panel)
    viewer.dims.set_current_step(0, 0)
    mouse(viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    assert area(panel, 1) == 100
    sight = script.opened[0].sight
    assert (sight.channel_axis, sight.contrast) == (3, None)


def test_another_axis_begins_again(started, settled, script, blobs):
    viewer = started.viewer
    viewer.add_image(blobs((2, 6, 40, 50)), name="4d", contrast_limits=(0, 1000))
    assert started.coordinator.workspace.image.name == "blobs", "work goes on undisturbed"
    started.stack.images.choose(viewer.layers["4d"])
    started.stack.images.activated.emit(0)
    assert started.coordinator.workspace is None
    started.start.click()
    settled(started)
    before = started.stack.axes.value
    started.stack.axes.choose(1 - before)
    started.stack.axes.activated.emit(0)
    settled(started)
    assert started.coordinator.workspace.axis == 1 - before
    assert script.opened[-1].axis == 1 - before
