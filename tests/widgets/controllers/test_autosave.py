"""Autosave: every change is written, work can be resumed, no other file is overwritten."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source
from napari.utils.notifications import notification_manager

from napari_sam2.errors import DeviceError, PromptError
from napari_sam2.prompts import (
    FramePrompt,
    PromptBook,
    SessionFile,
    read_session,
    read_sessions,
    write_session,
    write_sessions,
)
from napari_sam2.types import Region
from napari_sam2.widgets.autosave import file_store
from napari_sam2.widgets.state import hints


@pytest.fixture
def open_panel(make_panel, blobs, folder, qtbot):
    """``open_panel()``: a panel in a viewer of its own, beside the image on disk."""

    def make(image=None):
        viewer = ViewerModel()
        with layer_source(path=str(folder / "cells.ome.tif")):
            layer = viewer.add_image(blobs() if image is None else image, name="cells")
        layer.contrast_limits = (0, 1000)
        panel = make_panel(viewer=viewer)
        panel.wait_idle()
        qtbot.wait(20)  # what was found is told
        return panel

    return make


@pytest.fixture
def start():
    def start(panel):
        panel.viewer.dims.set_current_step(0, 0)
        panel.start()
        panel.wait_idle()
        return panel

    return start


@pytest.fixture
def worked(open_panel, start):
    """A panel with two objects: clicked, boxed, painted, propagated, accepted and named."""
    panel = start(open_panel())
    panel.click(0, 8, 8)
    panel.click(0, 9, 13, shift=True)
    panel.wait_idle()
    panel.next_object()
    panel.choose_tool("boxes")
    panel.draw_box((0, 20, 22), (0, 36, 40))
    panel.wait_idle()
    panel.propagate("forward")
    panel.wait_idle()
    panel.select_object(1)
    panel.viewer.dims.set_current_step(0, 2)
    panel.paint((2, 17, 20), (2, 17, 22), size=5)
    panel.wait_idle()
    panel.viewer.dims.set_current_step(0, 3)
    panel.accept("here")
    panel.rename(2, "nucleus")
    panel.wait_idle()
    return panel


def test_every_change_is_saved_beside_the_image(worked, folder):
    assert [p.name for p in sorted(folder.iterdir())] == ["cells.ome.tif", "cells.sam2.json"]
    saved = read_session(folder / "cells.sam2.json")
    kept = {(i, f): prompt for i, f, prompt in saved.book}
    assert kept.keys() == {(1, 0), (2, 0), (1, 2)}
    assert kept[1, 0].points == ((8, 8), (9, 13))
    assert kept[1, 0].positive == (True, False)
    assert kept[2, 0].box == (20, 22, 36, 40)
    labels = worked.labels_layer.data
    assert np.array_equal(kept[1, 2].mask, labels[2] == 1)
    assert np.array_equal(saved.accepted_masks[1, 3], labels[3] == 1)
    assert saved.contrast == ((0, 1000),)
    assert (saved.axis, dict(saved.names)) == (0, {2: "nucleus"})
    assert saved.settings["model"] == "bundled"
    assert "cells.sam2.json" in worked.session_text


def test_what_the_frames_are_is_resumed(open_panel, start, script, folder):
    panel = open_panel()
    panel.choose_kind("z-stack")
    start(panel)
    panel.add_point(0, 8, 8)
    panel.wait_idle()
    assert read_session(folder / "cells.sam2.json").kind == "z-stack"
    again = open_panel()
    assert again.chosen_kind == "unknown"
    again.resume()
    again.wait_idle()
    assert again.chosen_kind == script.opened[-1].stack().kind == "z-stack"


def test_undo_is_saved_too(worked, folder):
    worked.undo()  # the name
    worked.undo()  # the acceptance
    worked.wait_idle()
    assert read_session(folder / "cells.sam2.json").names == {}
    assert read_session(folder / "cells.sam2.json").accepted == ()


def test_work_can_be_resumed_after_a_crash(worked, open_panel, script, folder):
    labels, state = worked.labels, worked.state
    again = open_panel()
    assert again.offers_to_resume
    assert "2 objects, 3 prompts, 1 accepted mask" in again.offer_text
    again.wait_idle()
    assert again.hint == hints.PRESS_RESUME
    script.told.clear()
    again.viewer.layers["cells"].contrast_limits = (5, 10)
    again.resume()
    again.wait_idle()
    assert not again.offers_to_resume
    now = again.state
    assert np.allclose(now.points, state.points)
    assert now.point_features.equals(state.point_features)
    assert np.allclose(now.shapes[0][0], state.shapes[0][0])
    assert now.user_state.painted == state.user_state.painted
    assert (now.user_state.accepted, now.user_state.names) == (
        state.user_state.accepted,
        state.user_state.names,
    )
    assert [told[0] for told in script.told] == ["open", "replay"], "nothing is told again"
    assert script.opened[-1].source.contrast == ((0, 1000),)
    assert np.array_equal(again.labels[2] == 1, labels[2] == 1)
    assert np.array_equal(again.labels[3] == 1, labels[3] == 1)
    assert again.viewer.dims.current_step[0] in (0, 2), "a frame with prompts is in view"
    again.rename(1, "cell")
    again.wait_idle()
    assert read_session(folder / "cells.sam2.json").names[1] == "cell"
    again.undo()  # the name
    again.undo()  # the resumed session
    again.wait_idle()
    assert len(again.points) == 0
    assert not again.labels.any()


def test_table_is_filled_after_resuming(worked, open_panel, qtbot):
    again = open_panel()
    again.resume()
    again.wait_idle()
    assert again.object_rows[0] == ("1", "", "3", "3", "0.90", "", "1")
    scores = {frame: record.score for frame, record in again.records_of(1).items()}
    assert scores.keys() == {0, 2, 3}
    assert scores[3] is None, "no model was asked about what was accepted"


def test_new_start_leaves_the_earlier_session_file(worked, open_panel, start, folder):
    text = (folder / "cells.sam2.json").read_text()
    again = start(open_panel())
    assert not again.offers_to_resume
    again.click(0, 25, 30)
    again.wait_idle()
    assert (folder / "cells.sam2.json").read_text() == text
    assert len(read_session(folder / "cells-2.sam2.json").book) == 1
    assert "1 object, 1 prompt" in open_panel().offer_text, "the newest is offered"


def test_two_windows_on_one_image_write_two_files(open_panel, start, folder):
    one, two = start(open_panel()), start(open_panel())
    for panel, point in ((one, (0, 8, 8)), (two, (0, 25, 30)), (one, (0, 12, 12))):
        panel.click(*point)
        panel.wait_idle()
    assert len(read_session(folder / "cells.sam2.json").book.get(1, 0).points) == 2
    assert len(read_session(folder / "cells-2.sam2.json").book.get(1, 0).points) == 1


def test_file_written_by_another_program_is_not_overwritten(worked, folder):
    path = folder / "cells.sam2.json"
    write_session(SessionFile(PromptBook((6, 40, 50))), path)
    text = path.read_text()
    worked.rename(1, "cell")
    worked.wait_idle()
    assert path.read_text() == text
    assert len(read_session(folder / "cells-2.sam2.json").book) == 3


def test_session_of_an_image_without_a_file_has_its_own_folder(started, sessions, make_panel):
    started.click(0, 8, 8)
    started.wait_idle()
    (path,) = sessions.iterdir()
    assert path.name == "blobs 6x40x50.sam2.json"
    assert started.session_path == str(path)


@pytest.mark.parametrize("fault", [PromptError("Read-only."), PermissionError("Read-only.")])
def test_session_goes_elsewhere_if_the_folder_is_read_only(
    open_panel, start, sessions, folder, monkeypatch, fault
):
    def write(sessions, path):
        if path.parent == folder:
            raise fault
        write_sessions(sessions, path)

    monkeypatch.setattr(file_store, "write_sessions", write)
    panel = start(open_panel())
    panel.click(0, 8, 8)
    panel.wait_idle()
    (path,) = sessions.iterdir()
    assert panel.session_path == str(path)
    assert len(read_session(path).book) == 1


def test_failed_write_is_reported_and_tried_again(worked, folder, monkeypatch):
    def full(session, path):
        raise PromptError("No space left.", safe="All is kept.")

    notification_manager.records.clear()
    with monkeypatch.context() as patch:
        patch.setattr(file_store, "write_sessions", full)
        worked.rename(1, "cell")
        worked.wait_idle()
    assert "not kept" in worked.save_title
    assert "No space left." in notification_manager.records[-1].message
    worked.rename(1, "neuron")
    worked.wait_idle()
    assert read_session(folder / "cells.sam2.json").names[1] == "neuron"
    assert "not kept" not in worked.save_title


def test_damaged_file_is_neither_offered_nor_overwritten(open_panel, start, folder):
    (folder / "cells.sam2.json").write_text('{"format": "napari-sam2 session", "ver')
    panel = open_panel()
    assert not panel.offers_to_resume
    start(panel)
    panel.click(0, 8, 8)
    panel.wait_idle()
    assert (folder / "cells.sam2.json").read_text().endswith('"ver')
    assert len(read_session(folder / "cells-2.sam2.json").book) == 1


def test_work_on_an_image_of_another_shape_is_not_offered(worked, open_panel, blobs):
    assert not open_panel(blobs((5, 40, 50))).offers_to_resume


def test_other_pixels_in_the_same_file_are_not_given_the_work(
    worked, open_panel, start, blobs, folder
):
    """Another channel or series of it, or a file that was replaced by another of its shape."""
    text = (folder / "cells.sam2.json").read_text()
    other = open_panel(blobs() + np.uint16(1))
    assert not other.offers_to_resume
    start(other).click(0, 25, 30)
    other.wait_idle()
    assert (folder / "cells.sam2.json").read_text() == text
    assert len(read_session(folder / "cells-2.sam2.json").book) == 1
    assert "3 prompts" in open_panel().offer_text
    assert "1 prompt" in open_panel(blobs() + np.uint16(1)).offer_text


def test_images_of_one_name_are_not_given_each_others_work(make_panel, blobs, start, sessions):
    def panel(image):
        panel = make_panel(image)  # without a file, all of them are called "blobs"
        panel.wait_idle()
        return panel

    for number in range(2):
        worked = start(panel(blobs() + np.uint16(number)))
        worked.click(0, 8, 8 + number)
        worked.wait_idle()
    assert len(list(sessions.glob("*.json"))) == 2
    for number in range(2):
        again = panel(blobs() + np.uint16(number))
        again.resume()
        again.wait_idle()
        assert again.points.tolist() == [[0, 8, 8 + number]]
    assert not panel(blobs() + np.uint16(2)).offers_to_resume


def test_nothing_is_saved_without_autosave(open_panel, start, folder):
    panel = start(open_panel())
    panel.tick_autosave(False)
    panel.click(0, 8, 8)
    panel.wait_idle()
    assert [p.name for p in folder.iterdir()] == ["cells.ome.tif"]
    panel.tick_autosave(True)
    panel.wait_idle()
    assert len(read_session(folder / "cells.sam2.json").book) == 1


def test_session_is_saved_to_and_opened_from_a_chosen_file(
    worked, open_panel, tmp_path, script, folder
):
    chosen = tmp_path / "mine.json"
    chosen.write_text("from before")
    worked.keep_session_in(tmp_path / "mine.sam2.json")
    worked.wait_idle()
    assert len(read_session(tmp_path / "mine.sam2.json").book) == 3
    before = read_session(folder / "cells.sam2.json").names
    worked.rename(1, "cell")
    worked.wait_idle()
    assert read_session(folder / "cells.sam2.json").names == before
    assert read_session(tmp_path / "mine.sam2.json").names[1] == "cell"
    again = open_panel()
    again.open_session(tmp_path / "mine.sam2.json")
    again.wait_idle()
    assert len(again.points) == 2
    assert again.names == {1: "cell", 2: "nucleus"}


def test_session_of_another_stack_is_refused(started, tmp_path):
    book = PromptBook((9, 40, 50))
    book.put(1, 8, FramePrompt(((3, 3),)))
    write_session(SessionFile(book, axis=0), tmp_path / "other.sam2.json")
    notification_manager.records.clear()
    number = started.start_number
    started.open_session(tmp_path / "other.sam2.json")
    started.wait_idle()
    assert "was made for 9 frames" in notification_manager.records[-1].message
    assert started.start_number == number, "nothing was begun anew"
    started.open_session(tmp_path / "missing.json")
    started.wait_idle()
    assert "cannot be read" in notification_manager.records[-1].message


def test_failing_to_open_a_file_does_not_stop_autosave(worked, folder):
    (folder / "bad.json").write_text("{")
    for _ in range(2):
        notification_manager.records.clear()
        worked.open_session(folder / "bad.json")
        worked.wait_idle()
        assert "bad.json" in notification_manager.records[-1].message, "said every time"
    assert "not kept" not in worked.save_title
    assert "cells.sam2.json" in worked.session_text


def test_opened_session_replaces_prompts_and_can_be_undone(worked, tmp_path):
    book = PromptBook((6, 40, 50))
    book.put(7, 1, FramePrompt(((26, 30),)))
    write_session(SessionFile(book, axis=0), tmp_path / "other.sam2.json")
    labels = worked.labels
    worked.open_session(tmp_path / "other.sam2.json")
    worked.wait_idle()
    assert worked.points_layer.features["object"].tolist() == [7]
    assert (worked.labels[1] == 7).any()
    worked.undo()
    worked.wait_idle()
    assert worked.points_layer.features["object"].tolist() == [1, 1]
    assert np.array_equal(worked.labels, labels)


@pytest.fixture
def accepted(open_panel, start, folder):
    """The session file of an object that was followed and accepted in all frames."""
    panel = start(open_panel())
    panel.click(0, 8, 8)
    panel.wait_idle()
    panel.propagate()
    panel.wait_idle()
    panel.accept("all")
    panel.wait_idle()
    panel.close()
    return folder / "cells.sam2.json"


def masks_in(path):
    """Count the pixels of the accepted masks in a session file."""
    return {tuple(at): int(mask.sum()) for at, mask in read_session(path).accepted_masks.items()}


@pytest.mark.parametrize("how", ["restart", "model"])
def test_new_session_waits_until_work_is_resumed(accepted, open_panel, script, folder, how, qtbot):
    masks = masks_in(accepted)
    again = open_panel()
    script.gate.clear()
    again.resume()
    qtbot.wait(20)  # autosave would write by now
    again.start() if how == "restart" else again.choose_speed("fastest")
    qtbot.wait(20)
    script.gate.set()
    again.wait_idle()
    assert len(script.opened) >= 3, "first for what is resumed, then anew"
    assert len(again.accepted) == len(masks)
    assert masks_in(accepted) == masks
    assert again.session_path == str(accepted)
    again.rename(1, "cell")
    again.wait_idle()
    assert masks_in(accepted) == masks
    assert [each.name for each in sorted(folder.glob("*.json"))] == [accepted.name]


def test_file_that_is_chosen_while_work_is_resumed_gets_it(accepted, open_panel, script, tmp_path):
    text, masks = accepted.read_text(), masks_in(accepted)
    again = open_panel()
    script.gate.clear()
    again.resume()
    again.keep_session_in(tmp_path / "chosen.sam2.json")
    script.gate.set()
    again.wait_idle()
    assert masks_in(tmp_path / "chosen.sam2.json") == masks
    assert accepted.read_text() == text
    assert again.session_path == str(tmp_path / "chosen.sam2.json")


def test_work_is_offered_again_where_resuming_was_interrupted(accepted, open_panel, script, qtbot):
    text, masks = accepted.read_text(), masks_in(accepted)
    again = open_panel()
    cells = again.viewer.layers["cells"]
    other = again.viewer.add_image(np.zeros((6, 40, 50)), name="other")
    again.choose_image(cells)
    again.wait_idle()
    qtbot.wait(20)
    script.gate.clear()
    again.resume()
    qtbot.wait(20)
    again.choose_image(other)
    again.choose_image(cells)
    script.gate.set()
    again.wait_idle()
    qtbot.wait(20)
    assert again.offers_to_resume
    assert accepted.read_text() == text
    again.resume()
    again.wait_idle()
    assert len(again.accepted) == len(masks_in(accepted)) == len(masks)
    assert masks_in(accepted) == masks


@pytest.mark.parametrize("done", [True, False])
def test_start_after_interrupted_resume_leaves_its_file(accepted, open_panel, script, done):
    text = accepted.read_text()
    again = open_panel()
    if done:
        again.resume()
        again.wait_for_worker()  # the window has not heard it
    else:
        script.gate.clear()
        again.resume()
    again.leave()
    again.start()
    script.gate.set()
    again.wait_idle()
    assert (len(again.points), again.accepted) == (0, frozenset())
    assert not again.labels.any()
    again.click(0, 25, 30)
    again.wait_idle()
    assert accepted.read_text() == text
    assert again.session_path.endswith("cells-2.sam2.json")


@pytest.mark.parametrize("step", ["open", "replay", "replay of a prompt"])
def test_work_that_cannot_be_resumed_is_left_and_offered_again(
    accepted, open_panel, script, folder, step
):
    text, masks = accepted.read_text(), masks_in(accepted)
    again = open_panel()
    error = DeviceError("The device ran out of memory.")
    script.fault = lambda each: error if each == step else None
    again.resume()
    again.click(0, 25, 30)
    again.wait_idle()
    assert (len(again.points), again.accepted, again.undo_texts) == (0, frozenset(), [])
    assert not again.labels.any()
    assert accepted.read_text() == text
    assert again.offers_to_resume
    script.fault = lambda _: None
    again.choose_speed("fastest")
    again.wait_idle()
    again.resume()
    assert not again.offers_to_resume
    again.wait_idle()
    assert len(again.accepted) == len(masks)
    assert script.opened[-1].use.speed == "fastest", "that was chosen since"
    assert masks_in(accepted) == masks
    assert again.session_path == str(accepted)
    assert [each.name for each in sorted(folder.glob("*.json"))] == [accepted.name]


def test_session_that_cannot_be_opened_leaves_the_work_of_now(worked, script, folder, tmp_path):
    book = PromptBook((6, 40, 50))
    book.put(1, 1, FramePrompt(mask=np.ones((40, 50), bool)))
    book.put(7, 2, FramePrompt(((26, 30),)))
    write_session(SessionFile(book, axis=0), tmp_path / "other.sam2.json")
    worked.wait_idle()
    steps, labels, points = worked.undo_texts, worked.labels, worked.points
    masks = masks_in(folder / "cells.sam2.json")
    failing = iter([None, DeviceError("The device ran out of memory.")])
    script.fault = lambda each: next(failing) if each == "replay of a prompt" else None
    worked.open_session(tmp_path / "other.sam2.json")
    worked.wait_idle()
    assert worked.undo_texts == steps
    assert np.array_equal(worked.labels, labels)
    assert np.array_equal(worked.points, points)
    script.fault = lambda _: None
    worked.rename(2, "cell")
    worked.wait_idle()
    assert masks_in(folder / "cells.sam2.json") == masks
    assert worked.session_path == str(folder / "cells.sam2.json")


def test_work_on_pixels_that_were_replaced_is_offered_no_more(accepted, open_panel, blobs, qtbot):
    text = accepted.read_text()
    again = open_panel()
    assert again.offers_to_resume
    again.viewer.layers["cells"].data = blobs()[:, ::-1].copy()
    again.wait_idle()
    qtbot.wait(20)
    assert not again.offers_to_resume
    again.viewer.layers["cells"].data = blobs()
    again.wait_idle()
    qtbot.wait(20)
    assert again.offers_to_resume, "the same pixels as then"
    assert accepted.read_text() == text


def test_work_found_for_pixels_that_are_gone_is_not_offered(accepted, open_panel, blobs, qtbot):
    again = open_panel(blobs()[:, ::-1].copy())
    cells = again.viewer.layers["cells"]
    cells.data = blobs()  # its work is looked for
    cells.data = blobs()[:, ::-1].copy()
    again.wait_idle()
    qtbot.wait(20)
    assert not again.offers_to_resume


def test_work_goes_on_in_another_file_on_other_pixels(worked, open_panel, start, blobs, folder):
    path = folder / "cells.sam2.json"
    text = path.read_text()
    worked.viewer.layers["cells"].data = blobs()[:, ::-1].copy()
    start(worked)
    worked.rename(2, "cell")
    worked.wait_idle()
    assert path.read_text() == text
    assert worked.session_path == str(folder / "cells-2.sam2.json")
    assert open_panel().offers_to_resume


@pytest.fixture
def panel_4d(make_panel, blobs):
    """``panel_4d()``: a panel beside three volumes over time, with Z for the video axis."""

    def make():
        panel = make_panel(blobs((3, 4, 40, 50)), axis_labels=("t", "z", "y", "x"))
        panel.choose_axis(1)
        panel.wait_idle()
        return panel

    return make


@pytest.fixture
def worked_4d(panel_4d):
    """Such a panel with a click in the first and in the last volume."""
    panel = panel_4d()
    panel.viewer.dims.set_current_step(1, 0)
    panel.start()
    for t in (0, 2):
        panel.viewer.dims.set_current_step(0, t)
        panel.click(t, 0, 8, 8)
        panel.wait_idle()
    return panel


def assert_has_the_work_of(panel, other):
    assert panel.axis == panel.chosen_axis == 1
    assert np.array_equal(panel.points, other.points)
    assert [panel.labels[t, 0].any() for t in range(3)] == [True, False, True]


def test_4d_work_has_one_file_for_all_its_stacks(worked_4d, panel_4d, sessions):
    (path,) = sessions.iterdir()
    assert path.name == "blobs 3x4x40x50.sam2.json"
    assert [dict(saved.at) for saved in read_sessions(path)] == [{0: 0}, {0: 2}]
    again = panel_4d()
    again.choose_axis(0)
    again.wait_idle()
    again.resume()
    again.wait_idle()
    assert_has_the_work_of(again, worked_4d)
    again.undo()  # the resumed session
    again.wait_idle()
    again.click(1, 0, 8, 8)
    again.wait_idle()
    assert [dict(saved.at) for saved in read_sessions(path)] == [{0: 1}]


def test_4d_work_of_which_one_stack_fails_is_not_resumed_by_halves(
    worked_4d, panel_4d, sessions, script
):
    (path,) = sessions.iterdir()
    text = path.read_text()
    again = panel_4d()
    failing = iter([None, DeviceError("The device ran out of memory.")])
    script.fault = lambda each: next(failing) if each == "replay" else None
    again.resume()
    again.wait_idle()
    assert (len(again.points), again.undo_texts) == (0, [])
    assert not again.labels.any(), "that of the first stack is taken back"
    assert path.read_text() == text
    script.fault = lambda _: None
    again.resume()
    again.wait_idle()
    assert_has_the_work_of(again, worked_4d)


def test_a_change_in_one_stack_keeps_the_others_in_the_file(worked_4d, sessions):
    (path,) = sessions.iterdir()
    worked_4d.click(2, 1, 8, 8)
    worked_4d.rename(1, "cell")
    worked_4d.wait_idle()
    first, last = read_sessions(path)
    assert (len(first.book), len(last.book)) == (1, 2)
    assert first.names == last.names == {1: "cell"}


def test_files_of_single_stacks_are_resumed_and_continued_in_one(worked_4d, panel_4d, sessions):
    (path,) = sessions.iterdir()
    for saved in read_sessions(path):  # as earlier versions wrote them
        write_session(saved, path.with_name(f"blobs 3x4x40x50.0={saved.at[0]}.sam2.json"))
    path.unlink()
    again = panel_4d()
    assert "2 prompts" in again.offer_text
    again.resume()
    again.wait_idle()
    assert_has_the_work_of(again, worked_4d)
    again.click(2, 1, 8, 8)
    again.wait_idle()
    assert [len(saved.book) for saved in read_sessions(path)] == [1, 2]
    assert "3 prompts" in panel_4d().offer_text, "the file of all stacks counts"


def test_a_session_of_all_stacks_is_opened_from_a_file(worked_4d, panel_4d, tmp_path, sessions):
    (path,) = sessions.iterdir()
    chosen = path.rename(tmp_path / "mine.sam2.json")
    again = panel_4d()
    again.open_session(chosen)
    again.wait_idle()
    assert_has_the_work_of(again, worked_4d)


def test_resumed_session_has_its_region(open_panel, folder):
    region = Region(2, 4, 30, 45)
    panel = open_panel()
    panel.viewer.dims.set_current_step(0, 0)
    panel.start_in(region)
    panel.wait_idle()
    panel.click(0, 8, 8)
    panel.viewer.dims.set_current_step(0, 2)
    panel.paint((2, 20, 20), (2, 20, 22), size=5)
    panel.wait_idle()
    saved = read_session(folder / "cells.sam2.json")
    assert saved.region == region
    assert saved.book.get(1, 0).points == ((6, 4),)
    painted = panel.labels[2] == 1

    again = open_panel()
    again.resume()
    again.wait_idle()
    assert again.region == region
    assert np.allclose(again.points, [[0, 8, 8]])
    assert np.array_equal(again.labels[2] == 1, painted)

    again.start()  # the whole image again
    again.wait_idle()
    assert again.region is None
    assert np.array_equal(again.painted[(), 1, 2].mask, painted)
