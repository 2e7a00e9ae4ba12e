"""Objects that are found are ordinary prompts of one step, marked until somebody looks at them."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_sam2.errors import DeviceError
from napari_sam2.prompts import read_session
from napari_sam2.types import Region
from napari_sam2.widgets.stack_panel import ImagePanel

FOUR = ((4, 4), (4, 30), (25, 6), (25, 34))
SIDES = (6, 6, 10, 8)


def squares() -> np.ndarray:
    """Four bright squares of 6, 6, 10 and 8 pixels in each of three frames."""
    image = np.zeros((3, 40, 50), np.uint16)
    for (y, x), side in zip(FOUR, SIDES, strict=True):
        image[:, y : y + side, x : x + side] = 900
    return image


@pytest.fixture
def panel(make_panel):
    """A panel that has been started on the squares."""
    panel = make_panel(squares(), scale=(4, 0.3, 0.3), translate=(-3, 10.7, 20.1))
    panel.viewer.dims.set_current_step(0, 1)
    panel.start()
    panel.wait_idle()
    return panel


def found_in(panel) -> np.ndarray:
    panel.find_objects()
    panel.wait_idle()
    return panel.labels


def told(script, *what: str) -> list[tuple]:
    return [each for each in script.told if each[0] in what]


def test_all_are_objects_with_one_point_and_none_is_sent_again(panel, script):
    labels = found_in(panel)
    assert np.array_equal(labels[1] > 0, squares()[1] > 0)
    assert not labels[[0, 2]].any()
    assert panel.prompted_objects == panel.found == {1, 2, 3, 4}
    for (_, y, x), number in zip(panel.points, panel.points_layer.features["object"], strict=True):
        assert labels[1, round(y), round(x)] == number
    assert panel.current_object == 5, "the next click is a new object"
    panel.click(1, 20, 20)
    panel.wait_idle()
    assert told(script, "set", "remove", "box", "mask") == []
    assert [each[1] for each in told(script, "points")] == [5]
    assert np.array_equal(panel.labels[1] * (panel.labels[1] < 5), labels[1])


@pytest.mark.parametrize("how", ["restart", "speed"])
def test_new_session_waits_until_found_objects_are_added(panel, script, how, qtbot):
    panel.find_objects()
    panel.wait_for_worker()
    script.gate.clear()
    qtbot.waitUntil(lambda: panel.undo_texts == ["4 found objects"])
    panel.start() if how == "restart" else panel.choose_speed("fastest")
    script.gate.set()
    panel.wait_idle()
    assert panel.prompted_objects == panel.found == {1, 2, 3, 4}
    assert set(panel.session.object_ids) == {1, 2, 3, 4}
    assert set(np.unique(panel.labels[1])) == {0, 1, 2, 3, 4}
    assert len(script.opened) == 2


def test_one_undo_takes_all_of_it_back_and_redo_brings_it_again(panel, script):
    panel.click(1, 28, 9)
    panel.wait_idle()
    before, points = panel.labels, panel.points
    after = found_in(panel)
    assert panel.undo_texts == ["prompt", "3 found objects"]
    assert panel.found == {2, 3, 4}
    script.told.clear()
    panel.undo()
    panel.wait_idle()
    assert np.array_equal(panel.labels, before)
    assert np.array_equal(panel.points, points)
    assert (panel.found, panel.prompted_objects) == (set(), {1})
    panel.redo()
    panel.wait_idle()
    assert np.array_equal(panel.labels, after)
    assert (panel.found, len(panel.points)) == ({2, 3, 4}, 4)
    assert script.told == [], "nothing was computed"


def test_sizes_and_part_in_view_bound_the_search(panel, script):
    panel.settings.min_size.value, panel.settings.max_size.value = 50, 90
    assert sorted(np.bincount(found_in(panel)[1].ravel())[1:]) == [64]
    panel.undo()
    panel.wait_idle()
    panel.settings.min_size.value, panel.settings.max_size.value = 0, 0
    panel.settings.in_view.value = True
    panel.image_layer.corner_pixels = np.array([(1, -9, 0), (1, 20, 25)])
    assert np.argwhere(found_in(panel)[1]).max(axis=0).tolist() == [9, 9]
    assert told(script, "search")[-1][3] == Region(0, 0, 21, 26)


def test_a_view_beside_the_image_is_refused(panel, script):
    panel.settings.in_view.value = True
    panel.image_layer.corner_pixels = np.array([(1, 60, 60), (1, 90, 90)])
    notification_manager.records.clear()
    panel.find_objects()
    assert "nothing of the image" in notification_manager.records[-1].message
    assert not panel.searching
    assert told(script, "search") == []


def test_positions_are_those_of_the_part_that_is_worked_in(make_panel):
    panel = make_panel(squares())
    panel.viewer.dims.set_current_step(0, 1)
    panel.start_in(Region(20, 2, 40, 50))
    panel.wait_idle()
    labels = found_in(panel)
    assert set(np.unique(labels)) == {0, 1, 2}
    for _, y, x in panel.points:
        assert labels[1, round(y), round(x)]
    assert not labels[1, :20].any()


def test_a_cancelled_search_adds_nothing_and_says_so(panel, script, qtbot):
    script.gate.clear()
    panel.find_objects()
    assert panel.searching
    assert not panel.can_find
    panel.cancel_search()
    script.gate.set()
    panel.wait_idle()
    assert panel.search_text == "Cancelled; nothing was added."
    assert (panel.undo_texts, len(panel.points), panel.labels.any()) == ([], 0, False)
    assert panel.can_find
    assert not panel.searching


def test_undo_cancels_a_search_and_takes_nothing_else_back(panel, script):
    panel.click(1, 28, 9)
    panel.wait_idle()
    script.gate.clear()
    panel.find_objects()
    panel.undo()
    script.gate.set()
    panel.wait_idle()
    assert panel.undo_texts == ["prompt"]
    assert panel.prompted_objects == {1}


def test_an_empty_search_leaves_no_step_and_says_so(panel):
    found_in(panel)
    panel.accept_found()
    panel.wait_idle()
    panel.find_objects()
    panel.wait_idle()
    assert panel.search_text.startswith("No further object was found in this frame")
    assert panel.undo_texts == ["4 found objects", "acceptance of 4 found objects"]


def test_what_is_tiny_is_left_out_and_told(make_panel):
    image = np.zeros((2, 50, 60), np.uint16)
    image[:, 5:25, 5:25] = image[:, 5:25, 32:52] = 900
    image[:, 35:40, 10:15] = image[:, 35:40, 30:35] = 900
    panel = make_panel(image)
    panel.start()
    panel.wait_idle()
    assert set(np.unique(found_in(panel))) == {0, 1, 2}
    assert panel.search_text.endswith(
        "2 unlikely objects were left out (noise, tiny, or dark among bright ones or the reverse); "
        "give a smallest area to keep such objects."
    )
    panel.undo()
    panel.wait_idle()
    panel.settings.min_size.value = 20
    assert set(np.unique(found_in(panel))) == {0, 1, 2, 3, 4}
    assert "tiny" not in panel.search_text


def test_where_only_unlikely_things_are_found_nothing_is_added_and_no_error(panel, script):
    script.doubtful = True
    notification_manager.records.clear()
    panel.find_objects()
    panel.wait_idle()
    assert panel.search_text.startswith("No further object was found in this frame")
    assert "4 unlikely objects were left out" in panel.search_text
    assert not notification_manager.records
    assert (panel.undo_texts, len(panel.points), panel.labels.any()) == ([], 0, False)
    assert panel.can_find


def test_a_failing_search_is_reported_and_leaves_no_step(panel, script):
    script.fault = lambda what: DeviceError("Out of memory.") if what == "look" else None
    notification_manager.records.clear()
    panel.find_objects()
    panel.wait_idle()
    assert "Out of memory" in notification_manager.records[-1].message
    assert (panel.undo_texts, panel.searching) == ([], False)


def test_an_addition_that_fails_leaves_no_step(panel, script):
    script.fault = lambda what: DeviceError("Gone.") if what == "add" else None
    panel.find_objects()
    panel.wait_idle()
    assert (panel.undo_texts, len(panel.points), panel.found) == ([], 0, set())


def test_a_click_while_searching_stays_and_its_pixels_are_left_alone(panel, script):
    script.gate.clear()
    panel.find_objects()
    panel.click(1, 28, 9)
    panel.send_prompts()
    script.gate.set()
    panel.wait_idle()
    labels = panel.labels[1]
    assert labels[28, 9] == 1
    assert len(np.unique(labels[squares()[1] > 0])) == 4
    assert panel.found == {2, 3, 4}
    assert panel.prompted_objects == {1, 2, 3, 4}


def test_a_click_before_found_objects_are_there_is_undone_by_itself(panel, script, wait_until):
    script.fault = lambda step: script.gate.clear() if step == "add" else None
    panel.find_objects()
    wait_until(lambda: not script.gate.is_set())
    wait_until(lambda: bool(panel.undo_texts))
    panel.next_object()
    panel.click(0, 20, 10)
    panel.send_prompts()
    script.fault = lambda _: None
    script.gate.set()
    panel.wait_idle()
    assert len(panel.points) == 5
    panel.undo()
    panel.wait_idle()
    assert (len(panel.points), panel.found) == (4, {1, 2, 3, 4})
    panel.undo()
    panel.wait_idle()
    assert not len(panel.points)
    assert not panel.labels.any()


def test_a_further_click_on_a_found_object_corrects_it(panel, script):
    found_in(panel)
    panel.click(1, 9, 9, object_id=1)
    panel.wait_idle()
    assert told(script, "set") == []
    ((_, number, frame, points, _),) = told(script, "points")
    assert (number, frame, len(points)) == (1, 1, 1), "the new click alone"
    assert np.allclose(points, (9, 9))


def test_marks_go_with_a_click_an_acceptance_and_an_edit(panel):
    found_in(panel)
    assert [row[-1] for row in panel.object_rows] == ["new"] * 4
    panel.select_object(1)
    assert "found, not looked at yet" in panel.timeline.describe(1)
    panel.click(1, 5, 5, object_id=1)
    panel.wait_idle()
    panel.select_object(2)
    panel.accept("here")
    panel.wait_idle()
    panel.delete(3)
    panel.wait_idle()
    assert panel.found == {4}
    assert panel.search_text.startswith("1 found object is not looked at yet")
    panel.undo()
    panel.wait_idle()
    assert panel.found == {3, 4}


def test_all_found_are_accepted_as_one_step(panel):
    assert not panel.offers_found
    labels = found_in(panel)
    assert panel.offers_found
    panel.accept_found()
    panel.wait_idle()
    assert {(i, f) for _, i, f in panel.accepted} == {(i, 1) for i in (1, 2, 3, 4)}
    assert not panel.offers_found
    assert np.array_equal(panel.labels, labels)
    panel.undo()
    panel.wait_idle()
    assert (len(panel.found), panel.accepted) == (4, frozenset())


def test_all_found_are_thrown_away_as_one_step_with_their_propagated_masks(panel):
    panel.click(1, 28, 9)
    panel.wait_idle()
    found_in(panel)
    panel.propagate("both")
    panel.wait_idle()
    labels, points = panel.labels, panel.points
    assert set(np.unique(labels[2])) == {0, 1, 2, 3, 4}
    panel.discard_found()
    panel.wait_idle()
    assert np.array_equal(panel.labels, labels * (labels == 1))
    assert panel.prompted_objects == {1}
    assert not panel.offers_found
    panel.undo()
    panel.wait_idle()
    assert np.array_equal(panel.labels, labels)
    assert np.array_equal(panel.points, points)
    assert panel.found == {2, 3, 4}


def test_the_session_file_keeps_the_marks_and_resume_brings_them_back(
    panel, make_panel, sessions, qtbot
):
    labels = found_in(panel)
    panel.click(1, 5, 5, object_id=1)
    panel.wait_idle()
    (path,) = sessions.glob("*.json")
    assert read_session(path).found == {2, 3, 4}
    panel.close()
    again = make_panel(squares(), scale=(4, 0.3, 0.3), translate=(-3, 10.7, 20.1))
    qtbot.waitUntil(lambda: again.offers_to_resume, timeout=10_000)
    again.resume()
    again.wait_idle()
    assert again.found == {2, 3, 4}
    assert again.offers_found
    assert np.array_equal(again.labels, labels)


def with_example(panel) -> None:
    """Search for squares like the first one, of 6 pixels."""
    panel.click(1, 6, 6)
    panel.wait_idle()
    panel.select_rows(0)
    panel.find_more_like_these()
    panel.wait_idle()


def test_similar_objects_are_shown_before_any_is_added(panel, script):
    panel.set_similarity(0.9)
    with_example(panel)
    assert told(script, "search")[-1][2] == (1,)
    assert panel.choice_text == "1 of 3 objects of this size would be added."
    assert panel.prompted_objects == {1}
    assert np.argwhere(panel.outlined).min(axis=0).tolist() == [4, 30]
    panel.set_similarity(0.5)
    assert panel.choice_text.startswith("2 of 3")
    panel.set_similarity(0.0)
    assert len(np.unique(panel.outlined)) == 4
    panel.set_similarity(0.5)
    panel.add_similar()
    panel.wait_idle()
    assert sorted(np.bincount(panel.labels[1].ravel())[1:]) == [36, 36, 64]
    assert panel.outlined is None
    assert panel.undo_texts == ["prompt", "2 found objects"]


def test_outlines_are_seen_in_their_frame_only_and_go(panel):
    with_example(panel)
    (layer,) = [each for each in panel.viewer.layers if each.name.endswith("· found")]
    assert layer.visible
    panel.viewer.dims.set_current_step(0, 2)
    assert not layer.visible
    assert panel.labels_to_take is None, "it is no layer of the user"
    assert panel.viewer.layers.selection.active is panel.points_layer
    panel.add_no_similar()
    panel.wait_idle()
    assert panel.outlined is None
    assert (panel.undo_texts, panel.prompted_objects) == (["prompt"], {1})
    assert panel.can_find


def test_another_search_takes_the_place_of_a_choice(panel, script):
    with_example(panel)
    assert panel.outlined is not None
    panel.press("F")
    panel.wait_idle()
    assert (panel.outlined, panel.choice_text) == (None, "")
    assert panel.undo_texts[-1] == "3 found objects"
    assert "not looked at yet" in panel.search_text
    panel.set_similarity(0.0)
    assert panel.choice_text == "", "nothing is to be chosen any more"
    panel.viewer.dims.set_current_step(0, 2)
    panel.select_rows(0)
    panel.find_more_like_these()
    panel.wait_idle()
    panel.add_no_similar()
    assert not [layer for layer in panel.viewer.layers if layer.name.endswith("· found")]


def test_an_object_that_was_drawn_meanwhile_is_not_added_twice(panel):
    panel.set_similarity(0.0)
    with_example(panel)
    panel.next_object()
    panel.click(1, 28, 9)
    panel.wait_idle()
    panel.add_similar()
    panel.wait_idle()
    assert panel.labels[1, 28, 9] == 2
    assert len(np.unique(panel.labels[1])) == 5
    assert panel.found == {3, 4}


def test_examples_must_be_selected_and_looked_at(panel, script):
    found_in(panel)
    panel.select_rows(0, 1)
    notification_manager.records.clear()
    script.told.clear()
    panel.find_more_like_these()
    assert "No object is selected" in notification_manager.records[-1].message
    assert told(script, "search") == []


def test_leaving_the_image_ends_search_and_choice(panel, script):
    with_example(panel)
    panel.start()
    panel.wait_idle()
    assert panel.outlined is None
    assert panel.can_find


def test_every_click_and_every_box_can_be_a_new_object(panel):
    panel.settings.every_click.value = True
    panel.click(1, 6, 6)
    panel.click(1, 28, 9)
    panel.draw_box((1, 24, 33), (1, 34, 43))
    panel.wait_idle()
    assert panel.prompted_objects == {1, 2, 3}
    assert panel.current_object == 3
    panel.choose_tool("points")
    panel.click(1, 20, 20, shift=True)
    panel.wait_idle()
    assert panel.prompted_objects == {1, 2, 3}, "a background click is of the last object"
    panel.click(1, 5, 5, ctrl=True)
    assert panel.current_object == 1
    panel.settings.every_click.value = False
    panel.click(1, 7, 7)
    panel.wait_idle()
    assert panel.prompted_objects == {1, 2, 3}


def test_click_with_the_box_tool_is_a_point_of_the_same_object(panel):
    panel.choose_tool("boxes")
    place = tuple(panel.image_layer.data_to_world((1, 28, 9)))
    panel.drag(panel.shapes_layer, place)
    panel.wait_idle()
    assert panel.shapes == []
    assert np.allclose(panel.points, [[1, 28, 9]])
    assert panel.prompted_objects == {1}
    panel.draw_box((1, 24, 33), (1, 34, 43))
    panel.wait_idle()
    assert len(panel.shapes) == 1, "a box that is drawn stays one"


def test_search_and_propagation_wait_for_each_other(panel, script):
    panel.click(1, 28, 9)
    panel.wait_idle()
    script.gate.clear()
    panel.find_objects()
    panel.propagate()
    assert not panel.running
    script.gate.set()
    panel.wait_idle()
    assert not panel.labels[2].any()
    script.gate.clear()
    panel.propagate()
    assert panel.running
    assert not panel.can_find
    script.gate.set()
    panel.wait_idle()
    assert panel.labels[2].any()
    assert panel.can_find


@pytest.mark.parametrize("key", ["Escape", "Ctrl+Z"])
def test_keys_cancel_a_search(panel, script, key):
    script.gate.clear()
    panel.find_objects()
    panel.press(key)
    script.gate.set()
    panel.wait_idle()
    assert panel.search_text == "Cancelled; nothing was added."
    assert not panel.labels.any()


def test_single_images_are_searched_too(make_panel):
    panel = make_panel(squares()[0], kind=ImagePanel)
    panel.start()
    panel.wait_idle()
    labels = found_in(panel)
    assert np.array_equal(labels > 0, squares()[0] > 0)
    panel.undo()
    panel.wait_idle()
    assert not panel.labels.any()
