"""Painting, erasing and other labels are mask prompts."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.notifications import notification_manager

from napari_sam2.widgets.layers.strokes import before_stroke, stroke_changes


def told(script, kind) -> list[tuple]:
    return [each for each in script.told if each[0] == kind]


def test_painted_pixels_are_a_mask_prompt_of_the_current_object(started, script):
    started.paint((0, 30, 5), (0, 30, 7))
    started.wait_idle()
    labels = started.labels_layer.data
    area = int((labels[0] == 1).sum())
    assert area > 10
    assert told(script, "mask") == [("mask", 1, 0, area)]
    assert [spot[1:] for spot in started.painted] == [(1, 0)]


def test_painting_replaces_the_clicks_of_the_frame(started, script):
    started.click(0, 8, 8)
    started.wait_idle()
    started.paint((0, 30, 5), (0, 30, 7))
    started.wait_idle()
    labels = started.labels_layer.data
    assert len(started.points) == 0
    assert told(script, "mask")[-1] == ("mask", 1, 0, int((labels[0] == 1).sum()))
    assert (labels[0] == 1).sum() > 100, "the clicked mask and the stroke"
    started.choose_tool("points")
    started.click(0, 9, 9)
    started.wait_idle()
    assert told(script, "points")[-1][1:] == (1, 0, ((9.0, 9.0),), (True,))


def frames_of(panel, object_id) -> list[int]:
    return [int((plane == object_id).sum()) for plane in panel.labels]


@pytest.mark.parametrize(("tool", "to"), [("paint", (0, 8, 20)), ("erase", (0, 8, 4))])
def test_stroke_in_the_only_prompted_frame_leaves_all_other_frames(started, tool, to):
    started.click(0, 8, 12)
    started.propagate("both")
    started.wait_idle()
    before = frames_of(started, 1)
    getattr(started, tool)((0, 8, 8), to, size=3)
    started.wait_idle()
    after = frames_of(started, 1)
    assert after[0] != before[0]
    assert after[1:] == before[1:] == [100] * 5
    started.propagate("both")
    started.wait_idle()
    assert frames_of(started, 1)[1:] == before[1:]


def test_erasing_all_of_the_only_prompted_frame_keeps_the_other_masks(started):
    started.click(0, 8, 12)
    started.propagate("both")
    started.wait_idle()
    started.erase((0, 8, 8), (0, 8, 10), size=40)
    started.wait_idle()
    assert frames_of(started, 1) == [0] + [100] * 5
    assert {frame for _, _, frame in started.accepted} == set(range(6))
    started.undo()
    started.wait_idle()
    assert frames_of(started, 1) == [100] * 6
    assert started.accepted == frozenset()


@pytest.mark.parametrize("tool", ["paint", "erase"])
def test_stroke_over_other_objects_changes_the_current_object_only(started, script, tool):
    started.click(0, 8, 12)
    started.propagate("both")
    started.wait_idle()
    started.next_object()
    started.click(0, 28, 30)
    started.wait_idle()
    getattr(started, tool)((0, 8, 8), (0, 28, 30), size=9)
    started.wait_idle()
    assert frames_of(started, 1) == [100] * 6
    assert frames_of(started, 2)[0] != 156
    assert {object_id for _, object_id, _ in started.painted} == {2}
    assert len(started.points) == 1, "the click of the other object is there"


def test_polygon_and_fill_of_napari_count_as_painting(started, script):
    started.next_object()
    started.labels_layer.paint_polygon([(0, 30, 5), (0, 30, 15), (0, 38, 15), (0, 38, 5)], 1)
    started.wait_idle()
    drawn = frames_of(started, 1)[0]
    assert drawn > 50
    assert told(script, "mask") == [("mask", 1, 0, drawn)]
    started.labels_layer.fill((0, 0, 0), 3)
    started.wait_idle()
    assert told(script, "mask")[-1] == ("mask", 3, 0, 40 * 50 - drawn)


def test_erased_pixels_are_a_mask_prompt_of_the_object_that_lost_them(started, script):
    started.click(0, 8, 8)
    started.wait_idle()
    started.erase((0, 8, 8), (0, 8, 10), size=3)
    started.wait_idle()
    labels = started.labels_layer.data
    left = int((labels[0] == 1).sum())
    assert 0 < left < 100
    assert told(script, "mask") == [("mask", 1, 0, left)]


def test_wholly_erased_object_is_absent_from_the_frame(started, script):
    started.click(0, 8, 12)
    started.wait_idle()
    started.propagate("both")
    started.wait_idle()
    started.erase((3, 8, 12), (3, 8, 14), size=30)
    started.wait_idle()
    assert not started.labels[3].any()
    assert {spot[1:] for spot in started.accepted} == {(1, 3)}
    started.tick_recompute()
    started.propagate("both")
    started.wait_idle()
    assert not started.labels[3].any()


def test_key_t_changes_brush_and_eraser(started):
    started.choose_tool("brush")
    started.press("T")
    assert started.labels_layer.mode == "erase"
    assert started.tool == "eraser"
    started.press("T")
    assert started.labels_layer.mode == "paint"


def test_stroke_in_a_frame_that_a_run_writes_is_not_lost(started, script, qtbot):
    started.click(0, 8, 12)
    started.wait_idle()
    script.seconds = 0.1
    started.propagate("forward")
    qtbot.waitUntil(lambda: started.frames_done >= 1)
    started.next_object()
    started.viewer.dims.set_current_step(0, 4)
    started.paint((4, 35, 5), (4, 35, 7))
    started.wait_idle()
    labels = started.labels_layer.data
    assert (labels[4] == 2).sum() > 10
    assert (labels[4] == 1).sum() == 100


def test_other_labels_are_prompts_for_all_their_objects(make_panel, blobs, script):
    panel = make_panel(blobs(), scale=(3, 0.5, 0.5), translate=(1, 2, 3))
    found = np.zeros((6, 40, 50), np.int32)
    found[2, 5:15, 7:17], found[2, 22:34, 23:36] = 4, 9
    panel.viewer.add_labels(found, scale=(3, 0.5, 0.5), translate=(1, 2, 3), name="cellpose")
    panel.viewer.dims.set_current_step(0, 2)
    panel.start()
    panel.wait_idle()
    assert panel.labels_to_take is panel.viewer.layers["cellpose"]
    panel.take_labels()
    panel.wait_idle()
    assert told(script, "mask") == [("mask", 4, 2, 100), ("mask", 9, 2, 156)]
    np.testing.assert_array_equal(panel.labels, found)
    assert panel.current_object == 10
    panel.undo()
    panel.wait_idle()
    assert not panel.labels.any()


def test_labels_of_another_grid_are_resampled_and_taken_ids_avoided(make_panel, blobs, script):
    panel = make_panel(blobs())
    coarse = np.zeros((20, 25), np.uint8)
    coarse[11:17, 12:19] = 1  # half the resolution, one plane
    panel.viewer.add_labels(coarse, scale=(2, 2), translate=(0.5, 0.5), name="coarse")
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    panel.click(0, 8, 8)
    panel.wait_idle()
    panel.take_labels()
    panel.wait_idle()
    assert told(script, "mask") == [("mask", 2, 0, 12 * 14)], "id 1 is taken"
    assert (panel.labels[0, 22:34, 24:38] == 2).all()


def test_labels_with_ids_above_65535_are_taken_with_other_ids(make_panel, blobs, script):
    panel = make_panel(blobs())
    found = np.zeros((6, 40, 50), np.uint32)
    found[0, 5:15, 5:15], found[0, 22:34, 25:38] = 70_000, 7
    panel.viewer.add_labels(found, name="many cells")
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    panel.take_labels()
    panel.wait_idle()
    assert told(script, "mask") == [("mask", 7, 0, 156), ("mask", 8, 0, 100)]
    assert "70000 is 8" in notification_manager.records[-1].message


def test_labels_without_objects_in_the_frame_are_reported(make_panel, blobs):
    panel = make_panel(blobs())
    panel.viewer.add_labels(np.zeros((6, 40, 50), np.uint8), name="empty")
    panel.start()
    panel.wait_idle()
    panel.take_labels()
    panel.wait_idle()
    assert "no object of empty" in notification_manager.records[-1].message


@pytest.mark.parametrize("tool", ["paint", "fill", "polygon", "setitem"])
def test_every_kind_of_stroke_is_recorded_to_the_pixel(tool):
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


def test_stroke_in_a_single_image_can_be_undone():
    labels = Labels(np.zeros((20, 25), np.uint16))
    strokes = []
    labels.events.paint.connect(lambda event: strokes.append(event.value))
    labels.paint((8, 8), 3)
    (change,) = stroke_changes(labels.data, strokes[0]).values()
    plane = labels.data.copy()
    change.undo(plane)
    assert not plane.any()
