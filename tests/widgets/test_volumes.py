"""Through z, then through time: objects go on from volume to volume."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Points
from napari.utils.notifications import notification_manager

from napari_sam2.errors import StackError
from napari_sam2.prompts.session_reader import session_from_json
from napari_sam2.prompts.session_writer import session_to_json
from napari_sam2.widgets.handing import decided
from napari_sam2.widgets.places import OBJECT
from napari_sam2.widgets.resuming import resumed_state
from napari_sam2.widgets.segment_stack import segment_stack
from napari_sam2.widgets.session_files import session_file
from napari_sam2.widgets.spec import Through


def moving(times: int = 4, slices: int = 5, channels: int | None = None) -> np.ndarray:
    """Two squares in a volume over time: one drifts, the other ends after two time points."""
    image = np.zeros((times, slices, 40, 50), np.uint16)
    for t in range(times):
        image[t, 1:4, 5 + t : 15 + t, 5:15] = 1000
        image[t, 2, 5 + t : 16 + t, 5:15] = 1000
        if t < 2:
            image[t, 0:3, 25:35, 30:40] = 900
    return image if channels is None else np.stack([image] * channels, axis=1)


def choose(combo, value) -> None:
    """Choose an item as the user does."""
    combo.choose(value)
    combo.activated.emit(combo.currentIndex())


@pytest.fixture
def panel(make_panel, settled):
    """A panel on the moving squares, at the first time point, to go on through t."""
    panel = make_panel(moving(), axis_labels="tzyx", scale=(5, 2, 0.5, 0.5), translate=(1, 2, 3, 4))
    choose(panel.stack.axes, 1)
    for axis, index in ((0, 0), (1, 2)):
        panel.viewer.dims.set_current_step(axis, index)
    panel.start.click()
    settled(panel)
    choose(panel.run.then, Through(0, 1))
    return panel


def click(panel, mouse, settled, *position: int) -> None:
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [workspace.image.data_to_world(position)])
    settled(panel)


def run(panel, settled) -> np.ndarray:
    panel.run.both.click()
    settled(panel)
    return panel.coordinator.workspace.labels.data


def opened(script) -> list[tuple]:
    return [(spec.axis, spec.at) for spec in script.opened]


def test_axes_to_go_on_along_are_offered_where_there_are_some(make_panel, settled):
    panel = make_panel(moving(channels=2), axis_labels="tczyx")
    assert panel.run._then.isHidden()
    choose(panel.stack.axes, 2)
    panel.start.click()
    settled(panel)
    ways = [panel.run.then.itemText(i) for i in range(panel.run.then.count())]
    assert ways == ["this one only", "on forward through t", "on backward through t"]
    assert panel.run.plan("both", 1).through is None
    panel.viewer.add_image(moving()[0], name="one volume")
    panel.coordinator._leave()
    choose(panel.stack.images, panel.viewer.layers["one volume"])
    panel.start.click()
    settled(panel)
    assert panel.run._then.isHidden()


def test_masks_of_a_volume_are_prompts_of_the_next_one(panel, settled, mouse, script):
    click(panel, mouse, settled, 0, 2, 8, 8)
    labels = run(panel, settled)
    expected = moving()
    assert np.array_equal(labels == 1, expected == 1000)
    # A session in the slice with most of it leads to each next volume.
    assert opened(script)[1:3] == [(0, ((1, 2),)), (1, ((0, 1),))]
    said = panel.coordinator.workspace.said
    assert {(place[0][1], number, frame) for place, number, frame in said.handed} == {
        (1, 1, 2),
        (2, 1, 2),
        (3, 1, 2),
    }
    assert said.painted.keys() == said.handed
    assert "4 volumes" in panel.hint.text()


def test_after_resuming_it_is_known_which_masks_nobody_drew(panel, settled, mouse):
    click(panel, mouse, settled, 0, 2, 8, 8)
    run(panel, settled)
    workspace, keeping = panel.coordinator.workspace, panel.coordinator._keeping
    works = keeping._works(workspace).items()
    texts = {place: session_to_json(session_file(work)) for place, work in works}
    files = {place: session_from_json(text) for place, text in texts.items()}
    said = resumed_state(workspace, files).said
    assert said.handed == workspace.said.handed
    assert said.painted.keys() == said.handed
    place = ((0, 3),)
    assert not decided(panel.coordinator.dialogue.prompts, said, place), "free to be found anew"


def test_an_object_that_ends_is_not_in_later_volumes(panel, settled, mouse):
    click(panel, mouse, settled, 0, 2, 8, 8)
    panel.prompts.next_object.click()
    click(panel, mouse, settled, 0, 2, 30, 35)
    labels = run(panel, settled)
    assert [np.unique(volume).tolist() for volume in labels] == [[0, 1, 2]] * 2 + [[0, 1]] * 2


def test_when_all_objects_have_ended_so_does_the_run(panel, settled, mouse, script):
    click(panel, mouse, settled, 0, 2, 30, 35)
    labels = run(panel, settled)
    assert [bool(volume.any()) for volume in labels] == [True, True, False, False]
    assert not panel.coordinator.running
    assert opened(script)[-1][0] == 0, "it was looked for in the third volume"
    assert "Done: 2 volumes" in panel.hint.text()
    panel.viewer.dims.set_current_step(0, 1)
    assert "Done: 2 volumes" in panel.hint.text()


def test_backwards_in_time(panel, settled, mouse):
    panel.viewer.dims.set_current_step(0, 3)
    choose(panel.run.then, Through(0, -1))
    click(panel, mouse, settled, 3, 2, 10, 8)
    labels = run(panel, settled)
    assert np.array_equal(labels == 1, moving() == 1000)


def test_in_a_part_with_channels_held(make_panel, settled, mouse):
    panel = make_panel(moving(channels=2), axis_labels="tczyx")
    choose(panel.stack.sight.part, "rectangle")
    outline = next(layer for layer in panel.viewer.layers if layer.name.endswith("part"))
    mouse(panel.viewer, outline, [(2, 2), (30, 30)])
    settled(panel)
    choose(panel.stack.axes, 2)
    panel.start.click()
    settled(panel)
    for axis, index in ((0, 0), (1, 1), (2, 2)):
        panel.viewer.dims.set_current_step(axis, index)
    choose(panel.run.then, Through(0, 1))
    click(panel, mouse, settled, 0, 1, 2, 8, 8)
    labels = run(panel, settled)
    assert not labels[:, 0].any()
    assert np.array_equal(labels[:, 1] == 1, moving() == 1000)


def test_what_the_user_decided_in_a_later_volume_stays(panel, settled, mouse, script):
    panel.viewer.dims.set_current_step(0, 2)
    panel.prompts.object_id.setValue(1)
    click(panel, mouse, settled, 2, 2, 11, 8)
    panel.viewer.dims.set_current_step(0, 0)
    click(panel, mouse, settled, 0, 2, 8, 8)
    labels = run(panel, settled)
    assert np.array_equal(labels == 1, moving() == 1000)
    handed = panel.coordinator.workspace.said.handed
    assert {place[0][1] for place, _, _ in handed} == {1, 3}


def test_after_a_correction_masks_are_handed_over_anew(panel, settled, mouse):
    workspace = panel.coordinator.workspace
    click(panel, mouse, settled, 0, 2, 8, 8)
    run(panel, settled)
    workspace.points.selected_data = {0}
    workspace.points.remove_selected()
    settled(panel)
    panel.prompts.object_id.setValue(1)
    click(panel, mouse, settled, 0, 2, 30, 35)
    labels = run(panel, settled)
    assert np.array_equal(labels[:2] == 1, moving()[:2] == 900), "the other square"
    assert not labels[2].any(), "where it has ended, what was there of it is gone"
    assert list(workspace.points.features[OBJECT]) == [1]


def test_each_volume_is_undone_by_itself(panel, settled, mouse):
    click(panel, mouse, settled, 0, 2, 8, 8)
    labels = run(panel, settled)
    done = labels.copy()
    volumes = [bool(volume.any()) for volume in labels]
    assert volumes == [True] * 4
    for _ in range(2):
        panel.history.undo.click()
        settled(panel)
    assert [bool(volume.any()) for volume in labels] == [True, True, True, False]
    assert {p[0][0][1] for p in panel.coordinator.workspace.said.handed} == {1, 2}
    for _ in range(2):
        panel.history.redo.click()
        settled(panel)
    assert np.array_equal(labels, done)


def test_cancel_ends_it_within_a_frame_and_keeps_what_is_done(panel, settled, mouse, script, qtbot):
    click(panel, mouse, settled, 0, 2, 8, 8)
    script.seconds = 0.03
    panel.run.both.click()
    qtbot.waitUntil(lambda: (1, ((0, 1),)) in opened(script), timeout=30_000)
    assert panel.run.progress.format().startswith("t ")
    panel.run.cancel.click()
    settled(panel)
    labels = panel.coordinator.workspace.labels.data
    assert np.array_equal(labels[0] == 1, moving()[0] == 1000)
    assert not labels[2:].any()
    assert not panel.coordinator.running
    assert (1, ((0, 2),)) not in opened(script)


def test_cancelled_between_two_volumes_nothing_goes_on(panel, settled, mouse, monkeypatch):
    click(panel, mouse, settled, 0, 2, 8, 8)
    runs, dialogue = panel.coordinator._runs, panel.coordinator.dialogue
    hand_over = dialogue.hand_over

    def cancelling(*arguments) -> None:
        hand_over(*arguments)
        runs.cancel()

    monkeypatch.setattr(dialogue, "hand_over", cancelling)
    panel.run.both.click()
    settled(panel)
    assert not panel.coordinator.running
    labels = panel.coordinator.workspace.labels.data
    assert np.array_equal(labels[0] == 1, moving()[0] == 1000)
    assert not labels[1:].any()
    assert "Cancelled" in panel.hint.text()


def test_a_fault_on_the_way_is_told_and_ends_the_run(panel, settled, mouse, script):
    click(panel, mouse, settled, 0, 2, 8, 8)
    count = []

    def fault(what):
        count.append(what)
        broken = what == "open" and count.count("open") == 3
        return StackError("Frame 3 cannot be read.", safe="", remedy="") if broken else None

    script.fault = fault
    labels = run(panel, settled)
    assert "cannot be read" in notification_manager.records[-1].message
    assert not panel.coordinator.running
    assert np.array_equal(labels[0] == 1, moving()[0] == 1000)
    assert not labels[2:].any()


def test_closing_while_objects_are_carried_on(panel, settled, mouse, script, qtbot, our_threads):
    click(panel, mouse, settled, 0, 2, 8, 8)
    script.seconds = 0.02
    panel.run.both.click()
    qtbot.waitUntil(lambda: (0, ((1, 2),)) in opened(script), timeout=30_000)
    panel.coordinator.close()
    qtbot.waitUntil(lambda: not our_threads(), timeout=30_000)


# Scripts.


@pytest.fixture
def doubled(monkeypatch, script):
    monkeypatch.setattr("napari_sam2.widgets.segment_stack.RealSessions", lambda: script.open)
    return segment_stack


def test_a_script_goes_through_z_and_then_through_time(doubled):
    image = Image(moving(), contrast_limits=(0, 1000), axis_labels="tzyx", scale=(9, 3, 1, 1))
    points = Points([(0, 6, 8, 8), (0, 6, 30, 35), (18, 6, 11, 8)], features={OBJECT: [1, 2, 3]})
    layer = doubled(image, points, axis=1, through=0)
    found = [np.unique(volume).tolist() for volume in layer.data]
    assert found[:2] == [[0, 1, 2]] * 2
    assert 2 not in found[2]
    assert np.array_equal(layer.data > 0, (moving() > 0))


def test_without_it_only_prompted_volumes_are_segmented(doubled):
    image = Image(moving(), contrast_limits=(0, 1000), axis_labels="tzyx")
    layer = doubled(image, Points([(1, 2, 8, 8)]), axis=1)
    assert [bool(volume.any()) for volume in layer.data] == [False, True, False, False]


@pytest.mark.parametrize("through", [1, 2, -1, 4])
def test_impossible_axis_to_go_through(doubled, through):
    image = Image(moving(), contrast_limits=(0, 1000), axis_labels="tzyx")
    with pytest.raises(StackError, match="cannot lead from volume to volume"):
        doubled(image, Points([(1, 2, 8, 8)]), axis=1, through=through)
