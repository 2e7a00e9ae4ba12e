"""Timeline, doubtful frames and acceptance."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_sam2.labels import Doubt, FrameRecord
from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.state import hints
from napari_sam2.widgets.state.object_records import (
    ObjectRecords,
    ObjectSeries,
    next_frame,
    series,
)
from napari_sam2.widgets.state.session_spec import Annotations, PlacedPrompt
from napari_sam2.widgets.views.review_section import Timeline


@pytest.fixture
def run(started):
    """A panel with one object, propagated."""
    started.click(0, 8, 12)
    started.wait_idle()
    started.propagate("both")
    started.wait_idle()
    return started


@pytest.fixture
def notes(monkeypatch):
    """``notes()``: what the user was told since the last call."""
    told: list[str] = []
    monkeypatch.setattr("napari_sam2.widgets.views.notifications.show_info", told.append)

    def since() -> list[str]:
        new = list(told)
        told.clear()
        return new

    return since


def frame(panel) -> int:
    return panel.viewer.dims.current_step[0]


def test_timeline_shows_scores_areas_and_prompts(run):
    seen = run.timeline
    assert [record.frame for record in seen.records] == list(range(6))
    assert {record.area for record in seen.records} == {100}
    assert seen.prompted == {0}
    assert seen.n_frames == 6
    assert "score 0.90" in run.summary


def test_click_on_the_timeline_goes_to_the_frame(run, qtbot):
    timeline = run.timeline_widget
    timeline.resize(300, 72)
    for wanted in (4, 0, 5):
        at = QPoint(round(timeline.x_of(wanted)), 20)
        qtbot.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=at)
        assert frame(run) == wanted


def test_arrow_keys_go_along_the_timeline(run, qtbot):
    for key, wanted in (
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_End, 5),
        (Qt.Key.Key_Left, 4),
        (Qt.Key.Key_Home, 0),
        (Qt.Key.Key_Left, 0),
    ):
        qtbot.keyClick(run.timeline_widget, key)
        assert frame(run) == wanted


def test_keys_go_to_doubtful_and_prompted_frames(run):
    run.put_records(*(FrameRecord(1, f, 100, (8, 8), 0.2, 0.9) for f in (2, 4)))
    assert set(run.timeline.doubtful) == {2, 4}
    visited = []
    for key in ("D", "D", "D", "Shift+D", "E"):
        run.press(key)
        visited.append(frame(run))
    assert visited == [2, 4, 2, 4, 0]
    assert Doubt.IOU.value in run.timeline.describe(2)


def test_next_doubtful_goes_through_all_objects_in_the_order_of_the_table(run, qtbot):
    run.next_object()
    run.click(0, 25, 28)
    run.wait_idle()
    run.propagate("both")
    run.wait_idle()
    run.put_records(*(FrameRecord(1, f, 100, (8, 8), 0.2, 0.9) for f in (2, 4)))
    run.put_records(FrameRecord(2, 3, 100, (25, 28), 0.2, 0.9))
    assert [row[5] for row in run.object_rows] == ["2", "1"]
    visited = []
    for key in ("D", "D", "D", "D", "Shift+D", "Shift+D", "Shift+D"):
        run.press(key)
        visited.append((run.current_object, frame(run)))
    assert visited == [(2, 3), (1, 2), (1, 4), (2, 3), (1, 4), (1, 2), (2, 3)]
    assert run.selected_objects == (2,)


def test_next_doubtful_shows_a_hidden_object_again(run):
    run.put_records(FrameRecord(1, 2, 100, (8, 8), 0.2, 0.9))
    assert len(run.object_rows) == 1
    run.hide(0)
    run.next_object()
    run.press("D")
    assert (run.current_object, frame(run)) == (1, 2)
    assert not run.is_hidden(0)


def test_keys_without_anywhere_to_go_answer_in_words(run, notes):
    run.press("D")
    assert notes() == [hints.NOTHING_DOUBTFUL]
    run.next_object()
    run.press("E")
    run.press("A")
    assert notes() == [hints.NOT_PROMPTED.format(number=2), hints.NOTHING_TO_ACCEPT]


def test_selected_row_goes_to_the_nearest_frame_of_the_object(run):
    run.put_records(*(FrameRecord(1, f) for f in (4, 5)))
    run.viewer.dims.set_current_step(0, 5)
    run.next_object()
    assert run.object_rows[0][0] == "1"
    run.select_rows(0)
    assert (run.current_object, frame(run)) == (1, 3)


def test_selected_row_moves_the_camera_only_if_the_object_is_out_of_view(started):
    started.click(0, 25, 30)
    started.wait_idle()
    image = started.image_layer  # napari tells it what the canvas shows, whenever it is painted
    image.corner_pixels = np.array([[0, 0, 0], [5, 39, 49]])
    started.look_at(3, 3)
    started.next_object()
    started.select_rows(0)
    assert started.looks_at == (3, 3), "it is in view"
    image.corner_pixels = np.array([[0, 0, 0], [5, 6, 6]])
    started.next_object()
    started.select_rows(0)
    assert started.looks_at == pytest.approx((27.5, 31))


def test_key_o_goes_from_object_to_object_of_the_table(run):
    run.next_object()
    run.viewer.dims.set_current_step(0, 3)
    run.click(3, 25, 28)
    run.wait_idle()
    assert run.objects_in_order == (1, 2)
    visited = []
    for key in ("O", "O", "Shift+O"):
        run.press(key)
        visited.append((run.current_object, frame(run)))
    assert visited == [(1, 3), (2, 3), (1, 3)]


def test_key_a_accepts_and_unaccepts_the_frame(run, script):
    run.viewer.dims.set_current_step(0, 3)
    run.press("A")
    run.wait_idle()
    assert ("accept", 1, 3) in script.told
    assert run.timeline.accepted == {3}
    run.press("A")
    run.wait_idle()
    assert script.told[-1] == ("unaccept", 1, 3)
    assert run.timeline.accepted == frozenset()


@pytest.mark.parametrize(
    ("what", "frames"),
    [("here", {2}), ("frame", {2}), ("object", set(range(6))), ("all", set(range(6)))],
)
def test_accept_menu_accepts_frame_object_or_everything(run, what, frames):
    run.viewer.dims.set_current_step(0, 2)
    run.accept(what)
    run.wait_idle()
    assert run.timeline.accepted == frames
    assert set(run.timeline.doubtful) & frames == set()


@pytest.mark.parametrize("what", ["here", "frame"])
def test_doubtful_absence_is_accepted(run, what):
    run.put_records(FrameRecord(1, 3, 0, (0.0, 0.0), 0.2, 0.4))
    run.press("D")
    assert frame(run) == 3
    run.accept(what)
    run.wait_idle()
    assert run.timeline.accepted == {3}
    assert 3 not in run.timeline.doubtful


def test_prompt_in_an_accepted_frame_unaccepts_it(run):
    run.accept("all")
    run.wait_idle()
    run.viewer.dims.set_current_step(0, 2)
    run.click(2, 9, 12)
    run.wait_idle()
    assert run.timeline.accepted == {0, 1, 3, 4, 5}


def test_acceptance_stays_with_another_model(run, script):
    run.viewer.dims.set_current_step(0, 3)
    run.press("A")
    run.wait_idle()
    script.told.clear()
    run.choose_device("cpu")
    run.wait_idle()
    assert ("accept", 1, 3) in script.told


def test_backward_run_after_a_forward_one_compares_both(run, script):
    run.viewer.dims.set_current_step(0, 5)
    run.click(5, 25, 28)  # another blob
    run.wait_idle()
    run.tick_recompute()
    run.propagate("backward")
    run.wait_idle()
    agreed = {record.frame: record.agreement for record in run.timeline.records}
    assert agreed[1] == 1
    assert agreed[4] == 0
    assert Doubt.PASSES in run.timeline.doubtful[4]


def another_session(panel, how):
    if how == "restart":
        panel.start()
    elif how == "unload":
        panel.unload_model()
        panel.next_object()
        panel.click(0, 25, 30)
    else:
        panel.choose_speed("fastest")
    panel.wait_idle()
    panel.select_object(1)


@pytest.mark.parametrize("undone", [True, False])
@pytest.mark.parametrize("how", ["restart", "speed", "unload"])
def test_prompt_counts_again_when_its_acceptance_is_lifted_in_another_session(started, how, undone):
    started.click(0, 8, 8)
    started.click(0, 9, 13, shift=True)
    started.wait_idle()
    started.accept("here")
    started.wait_idle()
    another_session(started, how)
    if undone and how == "unload":
        started.undo()  # the other object
    if undone:
        started.undo()
    else:
        started.accept("here")
    started.wait_idle()
    assert not started.accepted
    assert started.session.prompts.get(1, 0).points == ((8, 8), (9, 13))
    started.propagate()
    started.wait_idle()
    assert (started.labels == 1).any(axis=(1, 2)).all()


def test_click_beside_an_accepted_one_counts_together_with_it_in_another_session(started):
    started.click(0, 8, 8)
    started.wait_idle()
    started.accept("here")
    started.wait_idle()
    another_session(started, "speed")
    started.click(0, 9, 9)
    started.wait_idle()
    assert not started.accepted
    assert started.session.prompts.get(1, 0).points == ((8, 8), (9, 9))


def test_series_joins_records_prompts_and_acceptance():
    prompt = FramePrompt(points=((1, 1),))
    wanted = Annotations(
        (PlacedPrompt(1, 2, prompt), PlacedPrompt(2, 3, prompt)), frozenset({(1, 4)})
    )
    records = [FrameRecord(1, f, 50, (5, 5), 0.1, 0.9) for f in range(6)]
    seen = series(1, 9, records, wanted)
    assert (seen.prompted, seen.accepted, set(seen.doubtful)) == ({2}, {4}, {0, 1, 3, 5})
    assert "low predicted IoU" in seen.describe(1)
    assert seen.describe(8) == "Frame 8"


@pytest.mark.parametrize(
    ("frames", "at", "step", "wanted"),
    [
        ([], 3, 1, None),
        ([3], 3, 1, 3),
        ([1, 5], 3, 1, 5),
        ([1, 5], 3, -1, 1),
        ([1, 5], 5, 1, 1),
        ([1, 5], 1, -1, 5),
    ],
)
def test_next_frame_wraps_around(frames, at, step, wanted):
    assert next_frame(frames, at, step) == wanted


@pytest.mark.parametrize("n_frames", [1, 7, 300, 20_000])
def test_timeline_paints_any_length(qtbot, n_frames):
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.resize(280, 72)
    records = tuple(FrameRecord(1, f, 50 + f % 9, (5, 5), 0.8, 0.9) for f in range(n_frames))
    timeline.show_series(
        ObjectSeries(n_frames, records, frozenset({0}), frozenset(range(0, n_frames, 2))),
        n_frames - 1,
    )
    pixels = timeline.grab().toImage()
    blue = [pixels.pixelColor(x, 50).blue() for x in range(6, 274, 8)]
    red = [pixels.pixelColor(x, 50).red() for x in range(6, 274, 8)]
    assert np.mean(np.array(blue) > np.array(red) + 60) > 0.5, "bars over the whole length"
    for each in {0, n_frames // 2, n_frames - 1}:
        assert abs(timeline.frame_at(timeline.x_of(each)) - each) <= 1


def test_frames_that_share_a_pixel_show_the_lowest_score(qtbot):
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.resize(280, 72)
    scores = [0.05 if f == 2_500 else 0.95 for f in range(5_000)]
    records = tuple(FrameRecord(1, f, 1, (5, 5), score, 0.9) for f, score in enumerate(scores))
    timeline.show_series(ObjectSeries(5_000, records))
    pixels = timeline.grab().toImage()

    def bar(frame: int) -> bool:
        colour = pixels.pixelColor(int(timeline.x_of(frame)), 30)
        return colour.blue() > colour.red() + 60

    assert bar(1_000)
    assert bar(4_000)
    assert not bar(2_500)


def test_masks_around_a_changed_prompt_are_marked_until_they_are_computed_again(run):
    assert run.outdated_of(1) == frozenset()
    run.viewer.dims.set_current_step(0, 2)
    run.click(2, 9, 13)
    run.wait_idle()
    assert run.outdated_of(1) == {1, 3, 4, 5}
    assert run.timeline.outdated == {1, 3, 4, 5}
    assert "out of date" in run.timeline.describe(4)
    assert "4 frames are out of date" in run.hint
    assert run.object_rows[0][3] == "6 ↻"
    run.undo()
    run.wait_idle()
    assert run.outdated_of(1) == frozenset()
    run.redo()
    run.wait_idle()
    run.propagate("forward")
    run.wait_idle()
    assert run.outdated_of(1) <= {0, 1}
    run.propagate("both")
    run.wait_idle()
    assert run.outdated_of(1) == frozenset()
    assert run.object_rows[0][3] == "6"


def test_counts_of_doubtful_frames_take_little_time_and_follow(run):
    records = ObjectRecords()
    for number in range(1, 4):
        records.put((), [FrameRecord(number, f, 100, (8, 8), 0.2, 0.9) for f in range(number)])
    counts = records.doubt_counts((), Annotations(), 0.0)
    assert (dict(counts.by_object), counts.complete) == ({1: 0, 2: 0, 3: 0}, False)
    counts = records.doubt_counts((), Annotations(), 10.0)
    assert (dict(counts.by_object), counts.complete) == ({1: 1, 2: 2, 3: 3}, True)
    records.put((), [FrameRecord(3, 0, 100, (8, 8), 0.9, 0.9)])
    counts = records.doubt_counts((), Annotations(), 0.0)
    assert (dict(counts.by_object), counts.complete) == ({1: 1, 2: 2, 3: 3}, False)
    accepted = Annotations(accepted=frozenset({(2, 0)}))
    counts = records.doubt_counts((), accepted, 10.0)
    assert dict(counts.by_object) == {1: 1, 2: 1, 3: 2}


def test_timeline_hatches_masks_that_are_out_of_date(qtbot):
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.resize(280, 72)
    records = tuple(FrameRecord(1, f, 50, (5, 5), 0.9, 0.9) for f in range(10))
    timeline.show_series(ObjectSeries(10, records))
    before = timeline.grab().toImage()
    timeline.show_series(ObjectSeries(10, records, outdated=frozenset({6, 7})))
    after = timeline.grab().toImage()
    changed = {
        f
        for f in range(10)
        if before.pixelColor(x := int(timeline.x_of(f)) + 4, 40) != after.pixelColor(x, 40)
    }
    assert changed == {6, 7}
