"""Undo and redo restore labels, prompts and acceptance to the pixel."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_sam2.errors import SessionError
from napari_sam2.widgets.state import hints


def world(panel) -> tuple:
    """All that the user sees: labels, marks, acceptance."""
    return (
        panel.labels,
        panel.points,
        panel.points_layer.features.to_numpy().tolist(),
        panel.shapes,
        panel.accepted,
        sorted(panel.painted),
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
def acts(started):
    """Things that a user does, each a step."""

    def move_point():
        started.move_point(0, *(started.points[0] + (0, 1, 1)))

    def done(act, *arguments):
        act(*arguments)
        started.wait_idle()

    return {
        "click": lambda: done(started.click, started.frame, 8, 12),
        "other": lambda: (started.next_object(), done(started.click, started.frame, 25, 30)),
        "box": lambda: done(started.draw_box, (0, 4, 4), (0, 16, 16)),
        "move": lambda: done(move_point),
        "run": lambda: done(started.propagate),
        "paint": lambda: done(lambda: started.paint((started.frame, 30, 5), size=4)),
        "accept": lambda: done(started.accept, "frame"),
        "delete": lambda: done(started.delete, 1),
        "merge": lambda: done(started.merge, 1, 2),
        "split": lambda: done(split, started),
    }


def split(panel) -> None:
    """Split object 1 off from frame 3 on, and go back to the frame in view before."""
    before = panel.frame
    panel.viewer.dims.set_current_step(0, 3)
    panel.split(1)
    panel.viewer.dims.set_current_step(0, before)


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
def test_undo_and_redo_restore_every_state_of_a_story(started, acts, story):
    seen = [world(started)]
    for act in story:
        acts[act]()
        seen.append(world(started))
    for before in reversed(seen[:-1]):
        assert started.can_undo
        started.undo()
        started.wait_idle()
        assert same(world(started), before)
    assert not started.can_undo
    for after in seen[1:]:
        started.redo()
        started.wait_idle()
        assert same(world(started), after)
    assert not started.can_redo


def test_propagation_after_undo_computes_again(started, acts, script):
    acts["click"]()
    acts["run"]()
    started.undo()
    started.wait_idle()
    assert not started.labels[1:].any()
    acts["run"]()
    assert all((started.labels[f] == 1).sum() == 100 for f in range(6))


def test_hint_after_undo_does_not_call_the_run_done(started, acts):
    acts["click"]()
    acts["run"]()
    assert started.hint.startswith("Done")
    started.undo()
    started.wait_idle()
    assert started.hint == hints.GO_ON
    started.redo()
    started.wait_idle()
    assert started.hint == hints.FOLLOWED


def test_undo_resets_the_candidates_of_a_click(started, acts, script):
    acts["click"]()
    for _ in range(2):
        started.next_candidate()
        started.wait_idle()
        assert script.told[-1] == ("choose", 1, 0, 1)
        started.undo()
        started.wait_idle()


def test_new_step_disables_redo(started, acts):
    acts["click"]()
    acts["run"]()
    started.undo()
    started.wait_idle()
    acts["other"]()
    assert not started.can_redo
    assert "prompt" in started.undo_text


def test_ctrl_z_undoes_and_ctrl_shift_z_redoes(docked, qtbot):
    from qtpy.QtCore import Qt

    docked.click(0, 8, 8)
    docked.wait_idle()
    canvas = docked.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    docked.wait_idle()
    assert not docked.labels.any()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(canvas, Qt.Key.Key_Z, both)
    docked.wait_idle()
    assert (docked.labels[0] == 1).sum() == 100


def test_undo_during_a_run_stops_and_undoes_it(started, acts, script, qtbot):
    acts["click"]()
    before = world(started)
    script.seconds = 0.1
    started.propagate("both")
    qtbot.waitUntil(lambda: started.frames_done >= 2)
    started.undo()
    started.wait_idle()
    qtbot.waitUntil(lambda: same(world(started), before))


def test_prompt_during_a_run_is_undone_separately(started, acts, script, qtbot):
    acts["click"]()
    script.seconds = 0.1
    started.propagate("forward")
    qtbot.waitUntil(lambda: started.frames_done >= 1)
    started.next_object()
    started.click(0, 25, 30)
    started.wait_idle()
    script.seconds = 0
    assert {1, 2} <= set(np.unique(started.labels[5]).tolist())
    started.undo()
    started.wait_idle()
    assert not (started.labels[5] == 2).any(), "what the run did after the click"
    assert (started.labels[0] == 2).any()
    started.undo()
    started.wait_idle()
    assert not (started.labels == 2).any()
    assert (started.labels[0] == 1).any()
    started.undo()
    started.wait_idle()
    assert not started.labels[1:].any()


def test_clicks_processed_together_are_undone_one_by_one(started, script):
    script.gate.clear()
    for y, x in ((8, 8), (8, 9), (25, 30)):
        started.click(0, y, x)
        started.send_prompts()
    script.gate.set()
    started.wait_idle()
    assert (started.labels[0] == 1).sum() == 12 * 13
    started.undo()
    started.wait_idle()
    assert len(started.points) == 2
    assert (started.labels[0] == 1).sum() == 100
    started.undo()
    started.wait_idle()
    started.undo()
    started.wait_idle()
    assert not started.labels.any()
    for area in (100, 100, 12 * 13):
        started.redo()
        started.wait_idle()
        assert (started.labels[0] == 1).sum() == area


def test_undo_after_another_model_restores_the_labels(started, acts):
    acts["click"]()
    before = world(started)
    acts["run"]()
    started.choose_device("cpu")
    started.wait_idle()
    started.undo()
    started.wait_idle()
    assert same(world(started), before)


@pytest.mark.parametrize("how", ["restart", "unload", "speed"])
def test_undo_of_a_correction_in_another_session_restores_the_followed_mask(started, acts, how):
    acts["click"]()
    acts["run"]()
    followed = world(started)
    started.viewer.dims.set_current_step(0, 4)
    started.click(4, 10, 14, shift=True)
    started.wait_idle()
    corrected = world(started)
    if how == "restart":
        started.start()
    elif how == "unload":
        started.unload_model()
    else:
        started.choose_speed("fastest")
    started.wait_idle()
    started.undo()
    started.wait_idle()
    assert same(world(started), followed)
    assert started.records_of(1)[4].area == (followed[0][4] == 1).sum()
    started.redo()
    started.wait_idle()
    assert same(world(started), corrected)


def test_failed_edit_is_no_undo_step(started, acts, script):
    acts["click"]()
    script.fault = lambda step: SessionError("No.") if step == "split" else None
    before = world(started)
    acts["split"]()
    assert same(world(started), before)
    assert "prompt" in started.undo_text


@pytest.mark.parametrize("name", ["delete", "merge", "split"])
def test_edit_can_be_undone_before_it_is_answered(started, acts, script, name, qtbot):
    for act in ("click", "other", "run"):
        acts[act]()
    before = world(started)
    edits = {
        "delete": lambda: started.delete(1),
        "merge": lambda: started.merge(1, 2),
        "split": lambda: split(started),
    }
    script.gate.clear()
    edits[name]()
    started.undo()
    script.gate.set()
    started.wait_idle()
    assert same(world(started), before)
    started.redo()
    started.wait_idle()
    after = world(started)
    assert not same(after, before)
    started.undo()
    started.wait_idle()
    assert same(world(started), before)
    acts["click"]()
    assert {1, 2} <= set(np.unique(started.labels)), "window and session agree"


@pytest.mark.parametrize("how", ["restart", "speed"])
@pytest.mark.parametrize("name", ["delete", "merge", "split"])
def test_new_session_waits_for_an_edit(started, acts, script, name, how, qtbot):
    for act in ("click", "other", "run"):
        acts[act]()
    before, steps = world(started), started.undo_texts
    started.viewer.dims.set_current_step(0, 3)
    script.gate.clear()
    if name == "delete":
        started.delete(2)
    elif name == "merge":
        started.merge(1, 2)
    else:
        started.split(2)
    qtbot.wait(5)
    started.start() if how == "restart" else started.choose_speed("fastest")
    script.gate.set()
    started.wait_idle()
    ids = {"delete": {0, 1}, "merge": {0, 1}, "split": {0, 1, 2, 3}}[name]
    assert set(np.unique(started.labels)) == ids
    assert set(started.prompted_objects) == ids - {0}
    assert set(started.session.object_ids) == ids - {0}
    assert len(started.undo_texts) == len(steps) + 1
    assert len(script.opened) == 2
    started.undo()
    started.wait_idle()
    assert same(world(started), before)


def test_edit_that_is_not_answered_when_the_image_is_left_is_taken_back(started, acts, script):
    for act in ("click", "other", "run"):
        acts[act]()
    before = world(started)
    script.gate.clear()
    started.delete(2)
    labels = started.labels_layer
    script.gate.set()
    started.wait_for_worker()  # it is done, and the window has not heard it
    assert 2 not in labels.data
    started.leave()
    started.wait_for_worker()
    started.viewer.dims.set_current_step(0, 0)
    started.start()
    started.wait_idle()
    assert same(world(started), before)


def test_restart_does_not_keep_an_undo_from_being_done(started, acts, script):
    acts["click"]()
    before = world(started)
    acts["run"]()
    script.gate.clear()
    started.click(0, 9, 9)
    started.undo()
    started.undo()
    started.start()
    script.gate.set()
    started.wait_idle()
    assert same(world(started), before)


def test_click_during_a_deletion_does_not_restore_the_object(started, acts, script, qtbot):
    for act in ("click", "other"):
        acts[act]()
    started.next_object()
    script.gate.clear()
    started.delete(1)
    started.click(0, 30, 30)
    qtbot.waitUntil(lambda: started.prompts_sent)
    script.gate.set()
    started.wait_idle()
    assert set(np.unique(started.labels)) == {0, 3}, "3 took the place of 2"
    assert started.points_layer.features["object"].tolist() == [2, 3]
    assert "points" not in [told[0] for told in script.told if told[1:2] == (1,)][1:]


def test_click_on_an_object_being_merged_counts(started, acts, script, qtbot):
    for act in ("click", "other"):
        acts[act]()
    script.gate.clear()
    started.merge(1, 2)
    started.select_object(1)
    started.viewer.dims.set_current_step(0, 2)
    started.click(2, 8, 12)
    qtbot.waitUntil(lambda: started.prompts_sent)
    script.gate.set()
    started.wait_idle()
    assert started.points.tolist() == [[2, 8, 12]], "those of before are in the mask"
    assert (started.labels[2] == 1).sum() == 100
    assert (started.labels[0] == 1).sum() == 100 + 12 * 13
    assert not (started.labels == 2).any()


@pytest.mark.parametrize("prompt", ["click", "paint"])
@pytest.mark.parametrize("edit", ["delete", "merge", "split"])
def test_prompt_made_before_an_edit_is_answered_is_undone_by_itself(
    started, acts, script, edit, prompt
):
    for act in ("click", "other", "run"):
        acts[act]()
    before = world(started)
    acts[edit]()
    edited = world(started)
    started.undo()
    started.wait_idle()
    script.gate.clear()
    {
        "delete": lambda: started.delete(1),
        "merge": lambda: started.merge(1, 2),
        "split": lambda: split(started),
    }[edit]()
    started.next_object()
    if prompt == "click":
        started.click(5, 8, 18)
    else:
        started.paint((5, 35, 5), (5, 35, 9), size=3)
    started.send_prompts()
    script.gate.set()
    started.wait_idle()
    prompted = world(started)
    assert len(started.points) + len(started.painted) > len(edited[1]) + len(edited[5])
    for expected in (edited, before):
        started.undo()
        started.wait_idle()
        assert same(world(started), expected)
    for expected in (edited, prompted):
        started.redo()
        started.wait_idle()
        assert same(world(started), expected)


def test_click_on_an_object_of_a_pending_edit_is_undone_by_itself(started, acts, script):
    acts["click"]()
    acts["other"]()
    acts["merge"]()
    merged = world(started)
    started.undo()
    started.wait_idle()
    script.gate.clear()
    started.merge(1, 2)
    started.select_object(1)
    started.click(2, 8, 12)
    started.send_prompts()
    script.gate.set()
    started.wait_idle()
    assert (started.labels[2] == 1).any()
    started.undo()
    started.wait_idle()
    assert same(world(started), merged)


def test_object_clicked_between_two_pending_deletions_is_deleted(started, acts, script):
    acts["click"]()
    script.gate.clear()
    started.delete(1)
    started.select_object(1)
    started.click(0, 9, 12)
    started.send_prompts()
    started.delete(1)
    script.gate.set()
    started.wait_idle()
    assert not started.labels.any()
    assert not len(started.points)


def test_click_on_the_object_of_a_failed_edit_counts_and_undo_takes_it_back(started, acts, script):
    acts["click"]()
    before = world(started)
    for undone in (False, True):
        script.fault = lambda step: SessionError("No.") if step == "split" else None
        script.gate.clear()
        split(started)
        started.click(2, 8, 12, object_id=1)
        started.send_prompts()
        if undone:
            started.undo()
        script.gate.set()
        started.wait_idle()
        assert (started.labels[2] == 1).any() != undone
        if not undone:
            started.undo()
            started.wait_idle()
        assert same(world(started), before)


def test_clicks_during_a_run_are_undone_one_by_one(started, acts, script, wait_until):
    acts["click"]()
    begun = world(started)
    script.fault = lambda step: script.gate.clear() if step == "frame" else None
    started.propagate("forward")
    wait_until(lambda: not script.gate.is_set())
    script.fault = lambda step: script.gate.clear() if step == "points" else None
    started.next_object()
    started.click(0, 25, 30)
    started.send_prompts()
    asked = len(script.told)
    script.gate.set()
    while [told[0] for told in script.told[asked:]][-2:] != ["points", "frame"]:
        time.sleep(0.001)  # the window hears of nothing: the answer comes after the stroke
    started.next_object()
    started.paint((0, 38, 3), size=3)
    script.fault = lambda _: None
    script.gate.set()
    started.wait_idle()
    seen = []
    while started.undo_texts[1:]:
        title = started.undo_texts[-1]
        started.undo()
        started.wait_idle()
        seen.append((title, len(started.points), len(started.painted)))
    assert seen == [
        ("propagation", 2, 1),
        ("brush", 2, 0),
        ("propagation", 2, 0),
        ("prompt", 1, 0),
        ("propagation", 1, 0),
    ]
    assert same(world(started), begun)


def test_failed_edit_during_a_run_is_no_undo_step_and_the_run_continues(
    started, acts, script, qtbot
):
    acts["click"]()
    script.seconds = 0.05
    script.fault = lambda step: SessionError("No.") if step == "split" else None
    started.propagate("forward")
    qtbot.waitUntil(lambda: started.frames_done >= 1)
    split(started)
    started.wait_idle()
    assert (started.labels == 1).any(axis=(1, 2)).all()
    assert not (started.labels > 1).any()
    assert not any("splitting" in title for title in started.undo_texts)
    assert "propagation" in started.undo_texts
    while started.can_undo:
        started.undo()
        started.wait_idle()
    assert not started.labels.any()


def test_steps_dropped_by_the_worker_cannot_be_undone(started, acts, qtbot):
    for _ in range(3):
        acts["click"]()
    started.limit_undo_of_worker(1)
    acts["other"]()
    acts["other"]()
    before = started.labels
    started.undo()
    started.wait_idle()
    assert not started.can_undo, "the worker keeps but one"
    assert started.labels.any()
    started.redo()
    started.wait_idle()
    assert np.array_equal(started.labels, before)


def test_undo_takes_a_name_back_and_nothing_else(started, acts):
    acts["click"]()
    acts["run"]()
    started.rename(1, "nucleus")
    started.rename(1, "nucleus")
    assert started.undo_texts[-2:] == ["propagation", "name of object 1"]
    labels = started.labels
    started.undo()
    started.wait_idle()
    assert started.names == {}
    assert np.array_equal(started.labels, labels), "the propagation is not taken back"
    started.redo()
    started.wait_idle()
    assert started.names == {1: "nucleus"}
    started.undo()
    started.undo()
    started.wait_idle()
    assert not started.labels[1:].any()


def test_name_given_while_objects_merge_is_undone_by_itself(started, acts, script):
    acts["click"]()
    acts["other"]()
    script.seconds = 0.1
    started.merge(1, 2)
    started.rename(1, "both")
    started.wait_idle()
    started.undo()
    started.wait_idle()
    assert started.names == {}
    assert set(np.unique(started.labels)) == {0, 1}


def test_undo_of_a_name_does_not_stop_a_run(started, acts, script, qtbot):
    acts["click"]()
    script.seconds = 0.05
    started.propagate("forward")
    qtbot.waitUntil(lambda: started.frames_done >= 1)
    started.rename(1, "nucleus")
    started.undo()
    assert started.names == {}
    started.wait_idle()
    assert [int((plane == 1).sum()) for plane in started.labels] == [100] * 6
