"""Everything that was done is taken back and made again, in order, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.labels import History
from napari_sam2.widgets import hints
from napari_sam2.widgets.edits import Delete, Merge, Split


def labels(panel) -> np.ndarray:
    return panel.coordinator.workspace.labels.data


def world(panel) -> tuple:
    """All that the user sees: labels, marks, acceptance."""
    workspace = panel.coordinator.workspace
    return (
        labels(panel).copy(),
        np.array(workspace.points.data),
        workspace.points.features.to_numpy().tolist(),
        [np.array(each) for each in workspace.shapes.data],
        workspace.said.accepted,
        sorted(workspace.said.painted),
    )


def same(one, other) -> bool:
    return (
        np.array_equal(one[0], other[0])
        and np.array_equal(one[1], other[1])
        and one[2] == other[2]
        and len(one[3]) == len(other[3])
        and all(np.allclose(a, b) for a, b in zip(one[3], other[3], strict=True))
        and one[4:] == other[4:]
    )


@pytest.fixture
def acts(started, settled, mouse):
    """Things that a user does, each a step."""
    coordinator = started.coordinator
    workspace = coordinator.workspace

    def click(y, x):
        mouse(started.viewer, workspace.points, [(workspace.here()[1], y, x)])

    def paint():
        workspace.edit("brush")
        workspace.labels.brush_size = 4
        mouse(started.viewer, workspace.labels, [(workspace.here()[1], 30, 5)])

    def move_point():
        workspace.points.selected_data = {0}
        workspace.points._drag_start = None
        workspace.points._move({0}, workspace.points.data[0])
        workspace.points._move({0}, workspace.points.data[0] + (0, 1, 1))

    def box():
        workspace.edit("boxes")
        mouse(started.viewer, workspace.shapes, [(0, 4, 4), (0, 10, 10), (0, 16, 16)])

    def done(act):
        act()
        settled(started)

    return {
        "click": lambda: done(lambda: click(8, 12)),
        "other": lambda: (started.prompts.next_object.click(), done(lambda: click(25, 30))),
        "box": lambda: done(box),
        "move": lambda: done(move_point),
        "run": lambda: done(started.run.both.click),
        "paint": lambda: done(paint),
        "accept": lambda: done(lambda: started.review.accept_requested.emit("frame")),
        "delete": lambda: done(lambda: coordinator.dialogue.edit(Delete(1), "deletion")),
        "merge": lambda: done(lambda: coordinator.dialogue.edit(Merge(1, 2), "merging")),
        "split": lambda: done(lambda: coordinator.dialogue.edit(Split(1, 3, 9), "splitting")),
    }


@pytest.mark.parametrize(
    "story",
    [
        ["click", "click", "run"],
        ["click", "other", "run", "merge", "accept"],
        ["click", "box", "move", "run", "paint"],
        ["click", "run", "split", "run"],
        ["click", "run", "accept", "click", "run"],
        ["click", "other", "run", "delete"],
    ],
    ids="-".join,
)
def test_story_undone_and_done_again(started, settled, acts, story):
    seen = [world(started)]
    for act in story:
        acts[act]()
        seen.append(world(started))
    for before in reversed(seen[:-1]):
        assert started.history.undo.isEnabled()
        started.history.undo.click()
        settled(started)
        assert same(world(started), before)
    assert not started.history.undo.isEnabled()
    for after in seen[1:]:
        started.history.redo.click()
        settled(started)
        assert same(world(started), after)
    assert not started.history.redo.isEnabled()


def test_what_was_taken_back_is_computed_again(started, settled, acts, script):
    acts["click"]()
    acts["run"]()
    started.history.undo.click()
    settled(started)
    assert not labels(started)[1:].any()
    acts["run"]()
    assert all((labels(started)[f] == 1).sum() == 100 for f in range(6))


def test_a_run_that_was_taken_back_is_not_said_to_be_done(started, settled, acts):
    acts["click"]()
    acts["run"]()
    assert started.hint.text().startswith("Done")
    started.history.undo.click()
    settled(started)
    assert started.hint.text() == hints.GO_ON
    started.history.redo.click()
    settled(started)
    assert not started.hint.text().startswith("Done")


def test_the_masks_of_a_click_begin_anew_when_one_was_taken_back(started, settled, acts, script):
    acts["click"]()
    for _ in range(2):
        started.prompts.candidate_requested.emit()
        settled(started)
        assert script.told[-1] == ("choose", 1, 0, 1)
        started.history.undo.click()
        settled(started)


def test_new_step_ends_what_could_be_made_again(started, settled, acts):
    acts["click"]()
    acts["run"]()
    started.history.undo.click()
    settled(started)
    acts["other"]()
    assert not started.history.redo.isEnabled()
    assert "prompt" in started.history.undo.toolTip()


def test_undo_by_key(docked, settled, mouse, qtbot):
    from qtpy.QtCore import Qt

    viewer = docked.viewer
    mouse(viewer, docked.coordinator.workspace.points, [(0, 8, 8)])
    settled(docked)
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settled(docked)
    assert not labels(docked).any()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(canvas, Qt.Key.Key_Z, both)
    settled(docked)
    assert (labels(docked)[0] == 1).sum() == 100


def test_undo_while_it_runs_stops_the_run_and_takes_it_back(started, settled, acts, script, qtbot):
    acts["click"]()
    before = world(started)
    script.seconds = 0.1
    started.run.both.click()
    qtbot.waitUntil(lambda: started.run.progress.value() >= 2)
    started.history.undo.click()
    settled(started)
    qtbot.waitUntil(lambda: same(world(started), before))


def test_prompt_during_a_run_is_taken_back_alone(started, settled, acts, script, qtbot, mouse):
    acts["click"]()
    script.seconds = 0.1
    started.run.forward.click()
    qtbot.waitUntil(lambda: started.run.progress.value() >= 1)
    started.prompts.next_object.click()
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 25, 30)])
    settled(started)
    script.seconds = 0
    assert {1, 2} <= set(np.unique(labels(started)[5]).tolist())
    started.history.undo.click()
    settled(started)
    assert not (labels(started)[5] == 2).any(), "what the run did after the click"
    assert (labels(started)[0] == 2).any()
    started.history.undo.click()
    settled(started)
    assert not (labels(started) == 2).any()
    assert (labels(started)[0] == 1).any()
    started.history.undo.click()
    settled(started)
    assert not labels(started)[1:].any()


def test_clicks_that_were_taken_in_together_are_taken_back_one_by_one(
    started, settled, script, mouse
):
    points = started.coordinator.workspace.points
    script.gate.clear()
    for y, x in ((8, 8), (8, 9), (25, 30)):
        mouse(started.viewer, points, [(0, y, x)])
        started.coordinator.dialogue.listen()
    script.gate.set()
    settled(started)
    assert (labels(started)[0] == 1).sum() == 12 * 13
    started.history.undo.click()
    settled(started)
    assert len(points.data) == 2
    assert (labels(started)[0] == 1).sum() == 100
    started.history.undo.click()
    settled(started)
    started.history.undo.click()
    settled(started)
    assert not labels(started).any()
    for area in (100, 100, 12 * 13):
        started.history.redo.click()
        settled(started)
        assert (labels(started)[0] == 1).sum() == area


def test_undo_after_another_model_brings_the_labels_back(started, settled, acts):
    acts["click"]()
    before = world(started)
    acts["run"]()
    started.model.devices.choose("cpu")
    started.model.devices.activated.emit(1)
    settled(started)
    started.history.undo.click()
    settled(started)
    assert same(world(started), before)


def test_edit_that_fails_is_no_step(started, settled, acts, script):
    from napari_sam2.errors import SessionError

    acts["click"]()
    script.fault = lambda step: SessionError("No.") if step == "split" else None
    before = world(started)
    acts["split"]()
    assert same(world(started), before)
    assert "prompt" in started.history.undo.toolTip()


@pytest.mark.parametrize("name", ["delete", "merge", "split"])
def test_an_edit_is_taken_back_before_it_is_answered(started, settled, acts, script, name, qtbot):
    for act in ("click", "other", "run"):
        acts[act]()
    before = world(started)
    edits = {"delete": Delete(1), "merge": Merge(1, 2), "split": Split(1, 3, 9)}
    script.gate.clear()
    started.coordinator.dialogue.edit(edits[name], name)
    started.history.undo.click()
    script.gate.set()
    settled(started)
    assert same(world(started), before)
    started.history.redo.click()
    settled(started)
    after = world(started)
    assert not same(after, before)
    started.history.undo.click()
    settled(started)
    assert same(world(started), before)
    acts["click"]()
    assert {1, 2} <= set(np.unique(labels(started))), "window and session agree"


def test_a_click_while_an_edit_is_under_way_brings_nothing_back(
    started, settled, acts, script, mouse, qtbot
):
    for act in ("click", "other"):
        acts[act]()
    points = started.coordinator.workspace.points
    started.prompts.next_object.click()
    script.gate.clear()
    started.coordinator.dialogue.edit(Delete(1), "deletion")
    mouse(started.viewer, points, [(0, 30, 30)])
    qtbot.waitUntil(lambda: started.coordinator.dialogue.settled)
    script.gate.set()
    settled(started)
    assert set(np.unique(labels(started))) == {0, 3}, "3 took the place of 2"
    assert points.features["object"].tolist() == [2, 3]
    assert "points" not in [told[0] for told in script.told if told[1:2] == (1,)][1:]


def test_a_click_on_an_object_that_is_being_merged_counts(
    started, settled, acts, script, mouse, qtbot
):
    for act in ("click", "other"):
        acts[act]()
    workspace = started.coordinator.workspace
    script.gate.clear()
    started.coordinator.dialogue.edit(Merge(1, 2), "merging")
    started.coordinator._desks.prompting.choose_object(1)
    started.viewer.dims.set_current_step(0, 2)
    mouse(started.viewer, workspace.points, [(2, 8, 12)])
    qtbot.waitUntil(lambda: started.coordinator.dialogue.settled)
    script.gate.set()
    settled(started)
    assert workspace.points.data.tolist() == [[2, 8, 12]], "those of before are in the mask"
    assert (labels(started)[2] == 1).sum() == 100
    assert (labels(started)[0] == 1).sum() == 100 + 12 * 13
    assert not (labels(started) == 2).any()


def test_edit_that_fails_during_a_run_is_no_step_and_the_run_goes_on(
    started, settled, acts, script, qtbot
):
    from napari_sam2.errors import SessionError

    acts["click"]()
    script.seconds = 0.05
    script.fault = lambda step: SessionError("No.") if step == "split" else None
    started.run.forward.click()
    qtbot.waitUntil(lambda: started.run.progress.value() >= 1)
    started.coordinator.dialogue.edit(Split(1, 3, 9), "splitting")
    settled(started)
    assert (labels(started) == 1).any(axis=(1, 2)).all()
    assert not (labels(started) == 9).any()
    titles = [step.title for step in started.coordinator.dialogue.past._done]
    assert "splitting" not in titles
    while started.coordinator.dialogue.past.next_undo is not None:
        started.history.undo.click()
        settled(started)
    assert not labels(started).any()


def test_steps_that_the_worker_has_forgotten_cannot_be_taken_back(started, settled, acts, qtbot):
    for _ in range(3):
        acts["click"]()
    bench = started.coordinator._engine._bench
    bench._history = History(1, 2**20)
    acts["other"]()
    acts["other"]()
    before = labels(started).copy()
    started.history.undo.click()
    settled(started)
    assert started.coordinator.dialogue.past.next_undo is None, "the worker keeps but one"
    assert labels(started).any()
    started.history.redo.click()
    settled(started)
    assert np.array_equal(labels(started), before)
