"""Propagation through z, then through time, from volume to volume."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Points
from napari.utils.notifications import notification_manager

from napari_sam2.errors import StackError
from napari_sam2.prompts.session_file import session_to_json
from napari_sam2.prompts.session_reader import session_from_json
from napari_sam2.widgets.autosave.file_store import summary
from napari_sam2.widgets.controllers.volume_handover import decided
from napari_sam2.widgets.segment_stack import segment_stack
from napari_sam2.widgets.state.positions import OBJECT
from napari_sam2.widgets.state.session_spec import Through


def moving(times: int = 4, slices: int = 5, channels: int | None = None) -> np.ndarray:
    """Two squares in a volume over time: one drifts, the other ends after two time points."""
    image = np.zeros((times, slices, 40, 50), np.uint16)
    for t in range(times):
        image[t, 1:4, 5 + t : 15 + t, 5:15] = 1000
        image[t, 2, 5 + t : 16 + t, 5:15] = 1000
        if t < 2:
            image[t, 0:3, 25:35, 30:40] = 900
    return image if channels is None else np.stack([image] * channels, axis=1)


@pytest.fixture
def panel(make_panel):
    """A panel on the moving squares, at the first time point, to go on through t."""
    panel = make_panel(moving(), axis_labels="tzyx", scale=(5, 2, 0.5, 0.5), translate=(1, 2, 3, 4))
    panel.choose_axis(1)
    for axis, index in ((0, 0), (1, 2)):
        panel.viewer.dims.set_current_step(axis, index)
    panel.start()
    panel.wait_idle()
    panel.choose_next_volume(Through(0, 1))
    return panel


def click(panel, *index: int) -> None:
    panel.click(*index)
    panel.wait_idle()


def run(panel) -> np.ndarray:
    panel.propagate("both")
    panel.wait_idle()
    return panel.labels_layer.data


def opened(script) -> list[tuple]:
    return [(spec.axis, spec.at) for spec in script.opened]


def test_axes_to_continue_along_are_offered_where_there_are_some(make_panel):
    panel = make_panel(moving(channels=2), axis_labels="tczyx")
    assert not panel.next_volumes_offered
    panel.choose_axis(2)
    panel.start()
    panel.wait_idle()
    ways = panel.next_volumes_offered
    assert ways == ["stop after this volume", "on forward through t", "on backward through t"]
    assert panel.chosen_next_volume is None
    panel.viewer.add_image(moving()[0], name="one volume")
    panel.leave()
    panel.choose_image(panel.viewer.layers["one volume"])
    panel.start()
    panel.wait_idle()
    assert not panel.next_volumes_offered


def test_masks_of_a_volume_are_prompts_of_the_next_one(panel, script):
    click(panel, 0, 2, 8, 8)
    labels = run(panel)
    expected = moving()
    assert np.array_equal(labels == 1, expected == 1000)
    # A session in the slice with most of it leads to each next volume.
    assert opened(script)[1:3] == [(0, ((1, 2),)), (1, ((0, 1),))]
    said = panel.annotations
    assert {(place[0][1], number, frame) for place, number, frame in said.handed} == {
        (1, 1, 2),
        (2, 1, 2),
        (3, 1, 2),
    }
    assert said.painted.keys() == said.handed
    assert "4 volumes" in panel.hint


def test_masks_that_are_handed_over_are_no_prompts_that_somebody_gave(panel):
    click(panel, 0, 2, 8, 8)
    run(panel)
    assert [row[2] for row in panel.object_rows] == ["1"]
    panel.viewer.dims.set_current_step(0, 2)
    assert [row[2] for row in panel.object_rows] == ["0"]
    assert summary(panel.saved_sessions().values()).startswith("1 object, 1 prompt")


def test_resumed_session_keeps_which_masks_were_handed_over(panel):
    click(panel, 0, 2, 8, 8)
    run(panel)
    saved = panel.saved_sessions().items()
    texts = {place: session_to_json(session) for place, session in saved}
    files = {place: session_from_json(text) for place, text in texts.items()}
    said = panel.resumed_state(files).user_state
    assert said.handed == panel.handed_over
    assert said.painted.keys() == said.handed
    place = ((0, 3),)
    assert not decided(panel.prompts, said, place), "free to be found anew"


def test_ended_object_is_absent_from_later_volumes(panel):
    click(panel, 0, 2, 8, 8)
    panel.next_object()
    click(panel, 0, 2, 30, 35)
    labels = run(panel)
    assert [np.unique(volume).tolist() for volume in labels] == [[0, 1, 2]] * 2 + [[0, 1]] * 2


def test_run_ends_when_all_objects_have_ended(panel, script):
    click(panel, 0, 2, 30, 35)
    labels = run(panel)
    assert [bool(volume.any()) for volume in labels] == [True, True, False, False]
    assert not panel.running
    assert opened(script)[-1][0] == 0, "it was looked for in the third volume"
    assert "Done: 2 volumes" in panel.hint
    panel.viewer.dims.set_current_step(0, 1)
    assert "Done: 2 volumes" in panel.hint


def test_propagation_continues_backwards_in_time(panel):
    panel.viewer.dims.set_current_step(0, 3)
    panel.choose_next_volume(Through(0, -1))
    click(panel, 3, 2, 10, 8)
    labels = run(panel)
    assert np.array_equal(labels == 1, moving() == 1000)


def test_propagation_through_time_stays_in_region_and_channel(make_panel):
    panel = make_panel(moving(channels=2), axis_labels="tczyx")
    panel.choose_part("rectangle")
    panel.draw_part((0, 0, 0, 2, 2), (0, 0, 0, 30, 30))
    panel.wait_idle()
    panel.choose_axis(2)
    panel.start()
    panel.wait_idle()
    for axis, index in ((0, 0), (1, 1), (2, 2)):
        panel.viewer.dims.set_current_step(axis, index)
    panel.choose_next_volume(Through(0, 1))
    click(panel, 0, 1, 2, 8, 8)
    labels = run(panel)
    assert not labels[:, 0].any()
    assert np.array_equal(labels[:, 1] == 1, moving() == 1000)


def test_prompts_in_a_later_volume_are_kept(panel, script):
    panel.viewer.dims.set_current_step(0, 2)
    panel.select_object(1)
    click(panel, 2, 2, 11, 8)
    panel.viewer.dims.set_current_step(0, 0)
    click(panel, 0, 2, 8, 8)
    labels = run(panel)
    assert np.array_equal(labels == 1, moving() == 1000)
    handed = panel.handed_over
    assert {place[0][1] for place, _, _ in handed} == {1, 3}


def test_corrected_masks_are_handed_over_again(panel):
    click(panel, 0, 2, 8, 8)
    run(panel)
    panel.delete_point(0)
    panel.wait_idle()
    panel.select_object(1)
    click(panel, 0, 2, 30, 35)
    labels = run(panel)
    assert np.array_equal(labels[:2] == 1, moving()[:2] == 900), "the other square"
    assert not labels[2].any(), "where it has ended, what was there of it is gone"
    assert list(panel.points_layer.features[OBJECT]) == [1]


def test_each_volume_is_undone_by_itself(panel):
    click(panel, 0, 2, 8, 8)
    labels = run(panel)
    done = labels.copy()
    volumes = [bool(volume.any()) for volume in labels]
    assert volumes == [True] * 4
    for _ in range(2):
        panel.undo()
        panel.wait_idle()
    assert [bool(volume.any()) for volume in labels] == [True, True, True, False]
    assert {p[0][0][1] for p in panel.handed_over} == {1, 2}
    for _ in range(2):
        panel.redo()
        panel.wait_idle()
    assert np.array_equal(labels, done)


def test_cancel_ends_the_run_within_a_frame_and_keeps_labels(panel, script, qtbot):
    click(panel, 0, 2, 8, 8)
    script.seconds = 0.03
    panel.propagate("both")
    qtbot.waitUntil(lambda: (1, ((0, 1),)) in opened(script), timeout=30_000)
    assert panel.progress_text.startswith("t ")
    panel.cancel()
    panel.wait_idle()
    labels = panel.labels_layer.data
    assert np.array_equal(labels[0] == 1, moving()[0] == 1000)
    assert not labels[2:].any()
    assert not panel.running
    assert (1, ((0, 2),)) not in opened(script)


def test_cancelling_between_volumes_ends_the_run(panel):
    click(panel, 0, 2, 8, 8)
    with panel.cancelling_between_volumes():
        panel.propagate("both")
        panel.wait_idle()
    assert not panel.running
    labels = panel.labels_layer.data
    assert np.array_equal(labels[0] == 1, moving()[0] == 1000)
    assert not labels[1:].any()
    assert "Cancelled" in panel.hint


def test_error_in_a_later_volume_is_reported_and_ends_the_run(panel, script):
    click(panel, 0, 2, 8, 8)
    count = []

    def fault(what):
        count.append(what)
        broken = what == "open" and count.count("open") == 3
        return StackError("Frame 3 cannot be read.", safe="", remedy="") if broken else None

    script.fault = fault
    labels = run(panel)
    assert "cannot be read" in notification_manager.records[-1].message
    assert not panel.running
    assert np.array_equal(labels[0] == 1, moving()[0] == 1000)
    assert not labels[2:].any()


def test_closing_the_panel_during_a_handover_leaves_no_thread(panel, script, qtbot, our_threads):
    click(panel, 0, 2, 8, 8)
    script.seconds = 0.02
    panel.propagate("both")
    qtbot.waitUntil(lambda: (0, ((1, 2),)) in opened(script), timeout=30_000)
    panel.close()
    qtbot.waitUntil(lambda: not our_threads(), timeout=30_000)


# Scripts.


@pytest.fixture
def doubled(monkeypatch, script):
    monkeypatch.setattr("napari_sam2.widgets.segment_stack.SessionFactory", lambda: script.open)
    return segment_stack


def test_script_propagates_through_z_and_then_through_time(doubled):
    image = Image(moving(), contrast_limits=(0, 1000), axis_labels="tzyx", scale=(9, 3, 1, 1))
    points = Points([(0, 6, 8, 8), (0, 6, 30, 35), (18, 6, 11, 8)], features={OBJECT: [1, 2, 3]})
    layer = doubled(image, points, axis=1, through=0)
    found = [np.unique(volume).tolist() for volume in layer.data]
    assert found[:2] == [[0, 1, 2]] * 2
    assert 2 not in found[2]
    assert np.array_equal(layer.data > 0, (moving() > 0))


def test_script_without_through_segments_only_prompted_volumes(doubled):
    image = Image(moving(), contrast_limits=(0, 1000), axis_labels="tzyx")
    layer = doubled(image, Points([(1, 2, 8, 8)]), axis=1)
    assert [bool(volume.any()) for volume in layer.data] == [False, True, False, False]


@pytest.mark.parametrize("through", [1, 2, -1, 4])
def test_impossible_axis_to_continue_along_is_refused(doubled, through):
    image = Image(moving(), contrast_limits=(0, 1000), axis_labels="tzyx")
    with pytest.raises(StackError, match="cannot lead from volume to volume"):
        doubled(image, Points([(1, 2, 8, 8)]), axis=1, through=through)
