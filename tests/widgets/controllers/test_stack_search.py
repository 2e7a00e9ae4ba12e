"""Objects are looked for in every Nth frame and followed in between, as one step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_sam2.errors import DeviceError
from napari_sam2.types import Region

LATE = (2, 4)  # frames of a square that is not in the others


def squares() -> np.ndarray:
    """Two squares in all of six frames, and one in two of them."""
    image = np.zeros((6, 40, 50), np.uint16)
    for y, x in ((4, 4), (4, 30)):
        image[:, y : y + 8, x : x + 8] = 900
    image[slice(*LATE), 25:35, 20:30] = 900
    return image


@pytest.fixture
def panel(make_panel):
    panel = make_panel(squares())
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    panel.settings.look_again.value = 2
    return panel


def searched(script) -> list[int]:
    return [each[1] for each in script.told if each[0] == "search"]


def held_at(script, what: str, nth: int) -> Callable[[], bool]:
    """Keep the session at the nth step of a kind; the result tells whether it is there."""
    times = 0

    def hold(step: str) -> None:
        nonlocal times
        times += step == what
        if step == what and times == nth:
            script.gate.clear()

    script.fault = hold
    return lambda: not script.gate.is_set()


def test_objects_that_begin_later_are_found_and_all_are_followed(panel, script):
    panel.press("F")
    panel.wait_idle()
    assert searched(script) == [0, 2, 4]
    assert [each[-1] for each in script.told if each[0] == "search"] == [(2,), (0, 4), (2,)]
    assert np.array_equal(panel.labels > 0, squares() > 0)
    assert panel.found == {1, 2, 3}
    assert [len(np.unique(plane)) - 1 for plane in panel.labels] == [2, 2, 3, 3, 2, 2]
    assert panel.can_find


@pytest.mark.parametrize(("kind", "asked"), [("unknown", True), ("time-lapse", False)])
def test_it_asks_what_the_frames_are_where_nobody_said_so(panel, kind, asked):
    panel.choose_kind(kind)
    panel.start()
    panel.wait_idle()
    panel.find_objects()
    panel.wait_idle()
    assert ("say so under Frames are" in panel.search_text) is asked
    assert "not looked at yet" in panel.search_text


def test_one_undo_takes_all_of_it_back_and_redo_brings_it_again(panel, script):
    panel.click(0, 6, 6)
    panel.wait_idle()
    before, points = panel.labels, panel.points
    panel.find_objects()
    panel.wait_idle()
    after = panel.labels
    assert panel.undo_texts == ["prompt", "objects found through the stack"]
    script.told.clear()
    panel.undo()
    panel.wait_idle()
    assert np.array_equal(panel.labels, before)
    assert np.array_equal(panel.points, points)
    assert (panel.found, panel.prompted_objects) == (set(), {1})
    panel.redo()
    panel.wait_idle()
    assert np.array_equal(panel.labels, after)
    assert (panel.found, panel.prompted_objects) == ({2, 3}, {1, 2, 3})
    assert script.told == [], "nothing was computed"


@pytest.mark.parametrize(("what", "nth"), [("search", 1), ("frame", 2)])
def test_cancelling_keeps_what_is_done_as_one_step(panel, script, qtbot, what, nth):
    held = held_at(script, what, nth)
    panel.find_objects()
    qtbot.waitUntil(held)
    panel.press("Escape")
    script.gate.set()
    panel.wait_idle()
    assert len(searched(script)) == 1
    steps = [] if what == "search" else ["objects found through the stack"]
    assert panel.undo_texts == steps
    assert "say so under Frames are" not in panel.search_text
    panel.undo()
    panel.wait_idle()
    assert not panel.labels.any()
    assert (len(panel.points), panel.undo_texts) == (0, [])
    panel.settings.look_again.value = 0
    panel.find_objects()
    panel.wait_idle()
    assert panel.undo_texts == ["2 found objects"]


# The second frame of two propagations, and the searches of all three frames.
@pytest.mark.parametrize(
    ("what", "nth"), [("search", 1), ("frame", 2), ("search", 2), ("frame", 5), ("search", 3)]
)
def test_undo_while_it_runs_ends_it_and_takes_all_of_it_back(panel, script, qtbot, what, nth):
    panel.click(0, 6, 6)
    panel.wait_idle()
    before = panel.labels
    held = held_at(script, what, nth)
    panel.find_objects()
    qtbot.waitUntil(held)
    assert panel.searching == (what == "search")
    then = panel.labels
    panel.undo()
    script.gate.set()
    panel.wait_idle()
    assert np.array_equal(panel.labels, before)
    assert (len(panel.points), panel.undo_texts) == (1, ["prompt"])
    panel.redo()
    panel.wait_idle()
    assert what == "frame" or np.array_equal(panel.labels, then)


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("key", ["Escape", "Ctrl+Z"])
def test_a_key_ends_it_when_a_search_is_answered_already(panel, script, qtbot, key, nth):
    held = held_at(script, "search", nth)
    panel.find_objects()
    qtbot.waitUntil(held)
    before, found = panel.labels, panel.found
    script.gate.set()
    panel.wait_for_worker()
    panel.press(key)
    panel.wait_idle()
    assert len(searched(script)) == nth
    stays = nth == 2 and key == "Escape"
    assert panel.undo_texts == (["objects found through the stack"] if stays else [])
    assert panel.found == (found if stays else set())
    assert np.array_equal(panel.labels, before if stays else np.zeros_like(before))


def test_a_click_in_between_stays_a_step_of_its_own(panel, script, qtbot):
    held = held_at(script, "frame", 2)
    panel.find_objects()
    qtbot.waitUntil(held)
    panel.click(3, 30, 25)
    panel.send_prompts()
    script.gate.set()
    panel.wait_idle()
    assert "prompt" in panel.undo_texts
    assert "objects found through the stack" not in panel.undo_texts
    while panel.undo_texts:
        panel.undo()
        panel.wait_idle()
    assert (panel.labels.any(), len(panel.points)) == (False, 0)


def test_undo_after_a_click_during_a_later_search_takes_the_click_back(panel, script, qtbot):
    held = held_at(script, "search", 2)
    panel.find_objects()
    qtbot.waitUntil(held)
    before = panel.labels
    panel.click(3, 30, 25)
    panel.undo()
    script.gate.set()
    panel.wait_idle()
    assert len(searched(script)) == 2
    assert np.array_equal(panel.labels, before)
    assert panel.undo_texts == ["2 found objects", "propagation"]


def test_an_error_ends_it_and_keeps_what_is_done(panel, script):
    panel.click(0, 6, 6)
    panel.wait_idle()
    looks = iter(range(100))
    script.fault = lambda what: (
        DeviceError("Gone.") if what == "search" and next(looks) == 1 else None
    )
    panel.find_objects()
    panel.wait_idle()
    assert len(searched(script)) == 2
    assert panel.labels.any()
    assert not panel.searching
    assert not panel.running


@pytest.mark.parametrize("steps", [1, 3])
def test_what_the_worker_cannot_take_back_any_more_is_not_offered(panel, steps):
    panel.limit_undo_of_worker(steps)
    panel.find_objects()
    panel.wait_idle()
    assert "objects found through the stack" not in panel.undo_texts
    assert len(panel.undo_texts) <= steps
    assert panel.labels.any()


def test_a_range_of_frames_bounds_it(panel, script):
    panel.settings.last.value = 3
    panel.find_objects()
    panel.wait_idle()
    assert searched(script) == [0, 2]
    assert not panel.labels[4:].any()


def test_a_single_image_is_searched_once(make_panel, script):
    panel = make_panel(squares()[0])
    panel.start()
    panel.wait_idle()
    panel.settings.look_again.value = 2
    panel.find_objects()
    panel.wait_idle()
    assert len(searched(script)) == 1
    assert panel.undo_texts == ["2 found objects"]


def test_an_object_that_was_lost_goes_on_and_counts_once(panel, script):
    panel.settings.look_again.value = 0
    panel.find_objects()
    panel.wait_idle()
    before = panel.labels
    panel.viewer.dims.set_current_step(0, 1)
    script.lost = 2
    panel.find_objects()
    panel.wait_idle()
    assert panel.prompted_objects == panel.found == {1, 2, 3}
    assert sorted(int(frame) for frame, _, _ in panel.points) == [0, 0, 1, 1]
    assert set(np.unique(panel.labels[1])) == {0, 2, 3}
    assert panel.search_text.startswith("3 found objects are not looked at yet")
    panel.undo()
    panel.wait_idle()
    assert np.array_equal(panel.labels, before)
    assert panel.found == {1, 2}
    panel.redo()
    panel.wait_idle()
    panel.discard_found()
    panel.wait_idle()
    assert panel.undo_texts[-1] == "throwing 3 found objects away"
    assert not panel.labels.any()


def test_all_found_are_accepted_by_a_key(panel):
    panel.settings.look_again.value = 0
    panel.find_objects()
    panel.wait_idle()
    panel.press("Shift+A")
    panel.wait_idle()
    assert {(i, f) for _, i, f in panel.accepted} == {(1, 0), (2, 0)}


def test_stack_part_and_sizes_are_those_of_the_start(make_panel, script, qtbot):
    panel = make_panel(np.stack([squares()] * 3), axis_labels=("t", "z", "y", "x"))
    panel.choose_axis(1)
    panel.viewer.dims.set_current_step((0, 1), (1, 0))
    panel.start()
    panel.wait_idle()
    panel.settings.look_again.value = 2
    panel.settings.in_view.value = True
    panel.settings.max_size.value = 90
    panel.image_layer.corner_pixels = np.array([(1, 0, 0, 0), (1, 0, 39, 30)])
    held = held_at(script, "frame", 2)
    panel.find_objects()
    qtbot.waitUntil(held)
    panel.viewer.dims.set_current_step(0, 2)
    panel.image_layer.corner_pixels = np.array([(2, 0, 60, 60), (2, 0, 90, 90)])
    panel.settings.max_size.value = 30
    script.gate.set()
    panel.wait_idle()
    bounds = [
        (each[1], each[3], each[4]["max_size"]) for each in script.told if each[0] == "search"
    ]
    assert bounds == [(frame, Region(0, 0, 40, 31), 90) for frame in (0, 2, 4)]
    assert not panel.labels[[0, 2]].any()
    assert (panel.labels[1] == 1).any(axis=(1, 2)).all()
    assert panel.undo_texts == ["objects found through the stack"]


def test_a_slider_beside_the_stack_does_not_end_it(panel, script, qtbot):
    held = held_at(script, "frame", 1)
    panel.find_objects()
    qtbot.waitUntil(held)
    panel.viewer.add_image(np.zeros((40, 4, 4)), name="longer")
    panel.viewer.dims.set_current_step(0, 30)
    script.gate.set()
    panel.wait_idle()
    assert searched(script) == [0, 2, 4]
    assert panel.undo_texts == ["objects found through the stack"]
