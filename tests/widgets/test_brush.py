"""Painting and erasing in the Labels layer are mask prompts, and any labels can be prompts."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.notifications import notification_manager

from napari_sam2.widgets.strokes import before_stroke, stroke_changes


def told(script, kind) -> list[tuple]:
    return [each for each in script.told if each[0] == kind]


def stroke(panel, mouse, tool, y, x, size=5, frame=0) -> None:
    workspace = panel.coordinator.workspace
    workspace.edit(tool)
    workspace.labels.brush_size = size
    mouse(panel.viewer, workspace.labels, [(frame, y, x), (frame, y, x + 2)])


def test_painted_pixels_are_a_mask_prompt_of_the_current_object(started, settled, mouse, script):
    stroke(started, mouse, "brush", 30, 5)
    settled(started)
    labels = started.coordinator.workspace.labels.data
    area = int((labels[0] == 1).sum())
    assert area > 10
    assert told(script, "mask") == [("mask", 1, 0, area)]
    assert [spot[1:] for spot in started.coordinator.workspace.said.painted] == [(1, 0)]


def test_painting_uses_the_clicks_of_the_frame_up(started, settled, mouse, script):
    points = started.coordinator.workspace.points
    mouse(started.viewer, points, [(0, 8, 8)])
    settled(started)
    stroke(started, mouse, "brush", 30, 5)
    settled(started)
    labels = started.coordinator.workspace.labels.data
    assert len(points.data) == 0
    assert told(script, "mask")[-1] == ("mask", 1, 0, int((labels[0] == 1).sum()))
    assert (labels[0] == 1).sum() > 100, "the clicked mask and the stroke"
    started.prompts.tool_buttons["points"].click()
    mouse(started.viewer, points, [(0, 9, 9)])
    settled(started)
    assert told(script, "points")[-1][1:] == (1, 0, ((9.0, 9.0),), (True,))


def test_erased_pixels_are_a_mask_prompt_of_the_object_that_lost_them(
    started, settled, mouse, script
):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    started.prompts.next_object.click()
    stroke(started, mouse, "eraser", 8, 8, size=3)
    settled(started)
    labels = started.coordinator.workspace.labels.data
    left = int((labels[0] == 1).sum())
    assert 0 < left < 100
    assert told(script, "mask") == [("mask", 1, 0, left)]


def test_wholly_erased_object_is_absent_from_the_frame(started, settled, mouse, script):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 12)])
    settled(started)
    started.run.both.click()
    settled(started)
    stroke(started, mouse, "eraser", 8, 12, size=30, frame=3)
    settled(started)
    workspace = started.coordinator.workspace
    assert not workspace.labels.data[3].any()
    assert {spot[1:] for spot in workspace.said.accepted} == {(1, 3)}
    started.run.recompute.setChecked(True)
    started.run.both.click()
    settled(started)
    assert not workspace.labels.data[3].any()


def test_key_t_changes_brush_and_eraser(started):
    workspace = started.coordinator.workspace
    workspace.edit("brush")
    key = next(k for k in workspace.labels.keymap if str(k) == "T")
    workspace.labels.keymap[key](workspace.labels)
    assert workspace.labels.mode == "erase"
    assert started.prompts.tool_buttons["eraser"].isChecked()
    workspace.labels.keymap[key](workspace.labels)
    assert workspace.labels.mode == "paint"


def test_stroke_in_a_frame_that_a_run_writes_is_not_lost(started, settled, mouse, script, qtbot):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 12)])
    settled(started)
    script.seconds = 0.1
    started.run.forward.click()
    qtbot.waitUntil(lambda: started.run.progress.value() >= 1)
    started.prompts.next_object.click()
    started.viewer.dims.set_current_step(0, 4)
    stroke(started, mouse, "brush", 35, 5, frame=4)
    settled(started)
    labels = started.coordinator.workspace.labels.data
    assert (labels[4] == 2).sum() > 10
    assert (labels[4] == 1).sum() == 100


def test_other_labels_are_prompts_for_all_their_objects(make_panel, blobs, settled, script):
    panel = make_panel(blobs(), scale=(3, 0.5, 0.5), translate=(1, 2, 3))
    found = np.zeros((6, 40, 50), np.int32)
    found[2, 5:15, 7:17], found[2, 22:34, 23:36] = 4, 9
    panel.viewer.add_labels(found, scale=(3, 0.5, 0.5), translate=(1, 2, 3), name="cellpose")
    panel.viewer.dims.set_current_step(0, 2)
    panel.start.click()
    settled(panel)
    assert panel.prompts.layers.value is panel.viewer.layers["cellpose"]
    panel.prompts.take.click()
    settled(panel)
    assert told(script, "mask") == [("mask", 4, 2, 100), ("mask", 9, 2, 156)]
    np.testing.assert_array_equal(panel.coordinator.workspace.labels.data, found)
    assert panel.prompts.object_id.value() == 10
    panel.history.undo.click()
    settled(panel)
    assert not panel.coordinator.workspace.labels.data.any()


def test_labels_of_another_grid_and_taken_ids(make_panel, blobs, settled, mouse, script):
    panel = make_panel(blobs())
    coarse = np.zeros((20, 25), np.uint8)
    coarse[11:17, 12:19] = 1  # half the resolution, one plane
    panel.viewer.add_labels(coarse, scale=(2, 2), translate=(0.5, 0.5), name="coarse")
    panel.viewer.dims.set_current_step(0, 0)
    panel.start.click()
    settled(panel)
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    panel.prompts.take.click()
    settled(panel)
    assert told(script, "mask") == [("mask", 2, 0, 12 * 14)], "id 1 is taken"
    assert (panel.coordinator.workspace.labels.data[0, 22:34, 24:38] == 2).all()


def test_frame_without_objects_is_said(make_panel, blobs, settled):
    panel = make_panel(blobs())
    panel.viewer.add_labels(np.zeros((6, 40, 50), np.uint8), name="empty")
    panel.start.click()
    settled(panel)
    panel.prompts.take.click()
    settled(panel)
    assert "no object of empty" in notification_manager.records[-1].message


@pytest.mark.parametrize("tool", ["paint", "fill", "polygon", "setitem"])
def test_stroke_of_any_kind_is_known_to_the_pixel(tool):
    labels = Labels(np.random.default_rng(1).integers(0, 4, (3, 20, 25)).astype(np.uint16))
    before, strokes = labels.data.copy(), []
    labels.events.paint.connect(lambda event: strokes.append(event.value))
    labels.brush_size = 5
    if tool == "paint":
        with labels.block_history():
            for x in range(3, 12):
                labels.paint((1, 8, x), 9)
    elif tool == "fill":
        labels.contiguous = False
        labels.fill((1, 8, 8), 9)
    elif tool == "polygon":
        labels.paint_polygon([(2, 2, 2), (2, 2, 12), (2, 12, 12)], 9)
    else:
        labels.data_setitem((np.array([0, 2]), np.array([3, 4]), np.array([5, 6])), 9)
    (value,) = strokes
    planes = before_stroke(labels.data, value)
    changed = {(f,) for f in range(3) if not np.array_equal(labels.data[f], before[f])}
    assert set(planes) == changed
    for row, plane in planes.items():
        np.testing.assert_array_equal(plane, before[row])
    assert set(stroke_changes(labels.data, value)) == changed


def test_stroke_of_a_single_image():
    labels = Labels(np.zeros((20, 25), np.uint16))
    strokes = []
    labels.events.paint.connect(lambda event: strokes.append(event.value))
    labels.paint((8, 8), 3)
    (change,) = stroke_changes(labels.data, strokes[0]).values()
    plane = labels.data.copy()
    change.undo(plane)
    assert not plane.any()
