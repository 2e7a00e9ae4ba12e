"""What was said outlives the window: kept at every change, offered again, never overwritten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source
from napari.utils.notifications import notification_manager

from napari_sam2.errors import PromptError
from napari_sam2.prompts import FramePrompt, PromptBook, SessionFile, read_session, write_session
from napari_sam2.types import Region
from napari_sam2.widgets import keeper
from napari_sam2.widgets.object_model import COLUMNS

ID, NAME, PROMPTS, FRAMES, LOWEST, ACCEPTED = range(len(COLUMNS))


@pytest.fixture
def open_panel(make_panel, blobs, folder, settled, qtbot):
    """``open_panel()``: a panel in a viewer of its own, beside the image on disk."""

    def make(image=None):
        viewer = ViewerModel()
        with layer_source(path=str(folder / "cells.ome.tif")):
            layer = viewer.add_image(blobs() if image is None else image, name="cells")
        layer.contrast_limits = (0, 1000)
        panel = make_panel(viewer=viewer)
        settled(panel)
        qtbot.wait(20)  # what was found is told
        return panel

    return make


@pytest.fixture
def start(settled):
    def start(panel):
        panel.viewer.dims.set_current_step(0, 0)
        panel.start.click()
        settled(panel)
        return panel

    return start


@pytest.fixture
def worked(open_panel, start, settled, mouse):
    """A panel with two objects: clicked, boxed, painted, propagated, accepted and named."""
    panel = start(open_panel())
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [(0, 8, 8)])
    mouse(panel.viewer, workspace.points, [(0, 9, 13)], modifiers=["Shift"])
    settled(panel)
    panel.prompts.next_object.click()
    panel.prompts.tool_buttons["boxes"].click()
    mouse(panel.viewer, workspace.shapes, [(0, 20, 22), (0, 30, 30), (0, 36, 40)])
    settled(panel)
    panel.run.forward.click()
    settled(panel)
    panel.prompts.object_id.setValue(1)
    panel.viewer.dims.set_current_step(0, 2)
    workspace.edit("brush")
    workspace.labels.brush_size = 5
    mouse(panel.viewer, workspace.labels, [(2, 17, 20), (2, 17, 22)])
    settled(panel)
    panel.viewer.dims.set_current_step(0, 3)
    panel.review.accept_requested.emit("here")
    panel.coordinator.dialogue.name(2, "nucleus")
    settled(panel)
    return panel


def test_every_change_is_kept_beside_the_image(worked, folder):
    assert [p.name for p in sorted(folder.iterdir())] == ["cells.ome.tif", "cells.sam2.json"]
    saved = read_session(folder / "cells.sam2.json")
    kept = {(i, f): prompt for i, f, prompt in saved.book}
    assert kept.keys() == {(1, 0), (2, 0), (1, 2)}
    assert kept[1, 0].points == ((8, 8), (9, 13))
    assert kept[1, 0].positive == (True, False)
    assert kept[2, 0].box == (20, 22, 36, 40)
    labels = worked.coordinator.workspace.labels.data
    assert np.array_equal(kept[1, 2].mask, labels[2] == 1)
    assert np.array_equal(saved.accepted_masks[3, 1], labels[3] == 1)
    assert saved.contrast == ((0, 1000),)
    assert (saved.axis, dict(saved.names)) == (0, {2: "nucleus"})
    assert saved.settings["model"] == "bundled"
    assert "cells.sam2.json" in worked.save.state.text()


def test_undo_is_kept_too(worked, folder, settled):
    worked.history.undo.click()  # the acceptance; names are no step
    settled(worked)
    assert read_session(folder / "cells.sam2.json").accepted == ()


def test_after_a_crash_the_work_is_offered_and_goes_on(worked, open_panel, settled, script, folder):
    before = worked.coordinator
    labels, state = before.workspace.labels.data, before.workspace.state()
    again = open_panel()
    assert not again.offer.isHidden()
    assert "2 objects, 3 prompts, 1 accepted mask" in again.offer.text.text()
    script.told.clear()
    again.viewer.layers["cells"].contrast_limits = (5, 10)
    again.offer.resume.click()
    settled(again)
    assert again.offer.isHidden()
    workspace, now = again.coordinator.workspace, again.coordinator.workspace.state()
    assert np.allclose(now.points, state.points)
    assert now.point_features.equals(state.point_features)
    assert np.allclose(now.shapes[0][0], state.shapes[0][0])
    assert now.said.painted == state.said.painted
    assert (now.said.accepted, now.said.names) == (state.said.accepted, state.said.names)
    assert [told[0] for told in script.told] == ["open", "replay"], "nothing is told again"
    assert script.opened[-1].sight.contrast == ((0, 1000),)
    assert np.array_equal(workspace.labels.data[2] == 1, labels[2] == 1)
    assert np.array_equal(workspace.labels.data[3] == 1, labels[3] == 1)
    assert again.viewer.dims.current_step[0] in (0, 2), "a frame with prompts is in view"
    again.coordinator.dialogue.name(1, "cell")
    settled(again)
    assert read_session(folder / "cells.sam2.json").names[1] == "cell"
    again.history.undo.click()
    settled(again)
    assert len(workspace.points.data) == 0
    assert not workspace.labels.data.any()


def test_after_resuming_the_table_says_what_is_there(worked, open_panel, settled, qtbot):
    again = open_panel()
    again.offer.resume.click()
    settled(again)
    again.coordinator._desks.objects.show()
    model = again.objects.model
    row = [model.data(model.index(0, column)) for column in (ID, PROMPTS, FRAMES, LOWEST, ACCEPTED)]
    assert row == ["1", "3", "3", "0.90", "1"]
    shelf = again.coordinator.dialogue.shelf
    scores = {record.frame: record.score for record in shelf.records((), 1)}
    assert scores.keys() == {0, 2, 3}
    assert scores[3] is None, "no model was asked about what was accepted"


def test_beginning_anew_leaves_earlier_work_in_its_file(worked, open_panel, start, settled, mouse):
    folder = worked.coordinator._keeping._ledger.home.folder
    text = (folder / "cells.sam2.json").read_text()
    again = start(open_panel())
    assert again.offer.isHidden()
    mouse(again.viewer, again.coordinator.workspace.points, [(0, 25, 30)])
    settled(again)
    assert (folder / "cells.sam2.json").read_text() == text
    assert len(read_session(folder / "cells-2.sam2.json").book) == 1
    assert "1 object, 1 prompt" in open_panel().offer.text.text(), "the newest is offered"


def test_two_windows_on_one_image_keep_two_files(open_panel, start, settled, mouse, folder):
    one, two = start(open_panel()), start(open_panel())
    for panel, point in ((one, (0, 8, 8)), (two, (0, 25, 30)), (one, (0, 12, 12))):
        mouse(panel.viewer, panel.coordinator.workspace.points, [point])
        settled(panel)
    assert len(read_session(folder / "cells.sam2.json").book.get(1, 0).points) == 2
    assert len(read_session(folder / "cells-2.sam2.json").book.get(1, 0).points) == 1


def test_a_file_that_another_has_written_meanwhile_is_not_touched(worked, folder, settled):
    path = folder / "cells.sam2.json"
    write_session(SessionFile(PromptBook((6, 40, 50))), path)
    text = path.read_text()
    worked.coordinator.dialogue.name(1, "cell")
    settled(worked)
    assert path.read_text() == text
    assert len(read_session(folder / "cells-2.sam2.json").book) == 3


def test_image_without_a_file_has_a_place_of_its_own(started, settled, mouse, sessions, make_panel):
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    (path,) = sessions.iterdir()
    assert path.name == "blobs 6x40x50.sam2.json"
    assert started.save.state.toolTip() == str(path)


@pytest.mark.parametrize("fault", [PromptError("Read-only."), PermissionError("Read-only.")])
def test_folder_that_cannot_be_written_to(
    open_panel, start, settled, mouse, sessions, folder, monkeypatch, fault
):
    def write(session, path):
        if path.parent == folder:
            raise fault
        write_session(session, path)

    monkeypatch.setattr(keeper, "write_session", write)
    panel = start(open_panel())
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    (path,) = sessions.iterdir()
    assert panel.save.state.toolTip() == str(path)
    assert len(read_session(path).book) == 1


def test_disk_that_fails_is_reported_and_tried_again(worked, folder, settled, monkeypatch):
    def full(session, path):
        raise PromptError("No space left.", safe="All is kept.")

    notification_manager.records.clear()
    with monkeypatch.context() as patch:
        patch.setattr(keeper, "write_session", full)
        worked.coordinator.dialogue.name(1, "cell")
        settled(worked)
    assert "not kept" in worked.save.title.text()
    assert "No space left." in notification_manager.records[-1].message
    worked.coordinator.dialogue.name(1, "neuron")
    settled(worked)
    assert read_session(folder / "cells.sam2.json").names[1] == "neuron"
    assert "not kept" not in worked.save.title.text()


def test_damaged_file_is_neither_offered_nor_overwritten(open_panel, start, settled, mouse, folder):
    (folder / "cells.sam2.json").write_text('{"format": "napari-sam2 session", "ver')
    panel = open_panel()
    assert panel.offer.isHidden()
    start(panel)
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    assert (folder / "cells.sam2.json").read_text().endswith('"ver')
    assert len(read_session(folder / "cells-2.sam2.json").book) == 1


def test_work_on_an_image_of_another_shape_is_not_offered(worked, open_panel, blobs):
    assert open_panel(blobs((5, 40, 50))).offer.isHidden()


def test_nothing_is_kept_if_that_is_not_wanted(open_panel, start, settled, mouse, folder):
    panel = start(open_panel())
    panel.save.autosave.setChecked(False)
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    assert [p.name for p in folder.iterdir()] == ["cells.ome.tif"]
    panel.save.autosave.setChecked(True)
    settled(panel)
    assert len(read_session(folder / "cells.sam2.json").book) == 1


def test_kept_in_a_chosen_file_and_opened_from_it(
    worked, open_panel, settled, tmp_path, script, folder
):
    chosen = tmp_path / "mine.json"
    chosen.write_text("from before")
    worked.save.session_requested.emit(tmp_path / "mine.sam2.json")
    settled(worked)
    assert len(read_session(tmp_path / "mine.sam2.json").book) == 3
    before = read_session(folder / "cells.sam2.json").names
    worked.coordinator.dialogue.name(1, "cell")
    settled(worked)
    assert read_session(folder / "cells.sam2.json").names == before
    assert read_session(tmp_path / "mine.sam2.json").names[1] == "cell"
    again = open_panel()
    again.open_requested.emit(tmp_path / "mine.sam2.json")
    settled(again)
    assert len(again.coordinator.workspace.points.data) == 2
    assert again.coordinator.workspace.said.names == {1: "cell", 2: "nucleus"}


def test_session_of_another_stack_is_refused(started, settled, tmp_path):
    book = PromptBook((9, 40, 50))
    book.put(1, 8, FramePrompt(((3, 3),)))
    write_session(SessionFile(book, axis=0), tmp_path / "other.sam2.json")
    notification_manager.records.clear()
    workspace = started.coordinator.workspace
    started.open_requested.emit(tmp_path / "other.sam2.json")
    settled(started)
    assert "was made for 9 frames" in notification_manager.records[-1].message
    assert started.coordinator.workspace is workspace
    started.open_requested.emit(tmp_path / "missing.json")
    settled(started)
    assert "cannot be read" in notification_manager.records[-1].message


def test_a_file_that_cannot_be_opened_is_no_trouble_with_keeping(worked, settled, folder):
    (folder / "bad.json").write_text("{")
    for _ in range(2):
        notification_manager.records.clear()
        worked.open_requested.emit(folder / "bad.json")
        settled(worked)
        assert "bad.json" in notification_manager.records[-1].message, "said every time"
    assert "not kept" not in worked.save.title.text()
    assert "cells.sam2.json" in worked.save.state.text()


def test_opening_replaces_what_was_said_and_can_be_undone(worked, settled, tmp_path):
    book = PromptBook((6, 40, 50))
    book.put(7, 1, FramePrompt(((26, 30),)))
    write_session(SessionFile(book, axis=0), tmp_path / "other.sam2.json")
    labels = worked.coordinator.workspace.labels.data.copy()
    worked.open_requested.emit(tmp_path / "other.sam2.json")
    settled(worked)
    workspace = worked.coordinator.workspace
    assert workspace.points.features["object"].tolist() == [7]
    assert (workspace.labels.data[1] == 7).any()
    worked.history.undo.click()
    settled(worked)
    assert workspace.points.features["object"].tolist() == [1, 1]
    assert np.array_equal(workspace.labels.data, labels)


def test_4d_work_has_a_file_for_each_stack(make_panel, blobs, settled, mouse, sessions):
    def panel():
        panel = make_panel(blobs((3, 4, 40, 50)), axis_labels=("t", "z", "y", "x"))
        panel.stack.axes.choose(1)
        panel.stack.axes.activated.emit(1)
        settled(panel)
        return panel

    one = panel()
    one.viewer.dims.set_current_step(1, 0)
    one.start.click()
    for t in (0, 2):
        one.viewer.dims.set_current_step(0, t)
        mouse(one.viewer, one.coordinator.workspace.points, [(t, 0, 8, 8)])
        settled(one)
    names = [path.name for path in sorted(sessions.iterdir())]
    assert names == ["blobs 3x4x40x50.0=0.sam2.json", "blobs 3x4x40x50.0=2.sam2.json"]
    assert dict(read_session(sessions / names[1]).at) == {0: 2}
    two = panel()
    two.stack.axes.choose(0)
    two.stack.axes.activated.emit(0)
    settled(two)
    two.offer.resume.click()
    settled(two)
    assert two.coordinator.workspace.axis == 1
    assert two.stack.axes.value == 1
    assert np.array_equal(
        two.coordinator.workspace.points.data, one.coordinator.workspace.points.data
    )
    assert [two.coordinator.workspace.labels.data[t, 0].any() for t in range(3)] == [
        True,
        False,
        True,
    ]


def test_work_on_a_part_comes_back_in_that_part(open_panel, settled, mouse, folder):
    region = Region(2, 4, 30, 45)
    panel = open_panel()
    panel.viewer.dims.set_current_step(0, 0)
    begin = panel.coordinator.begin
    begin(replace(panel.coordinator._images.sights.sight(), region=region))
    settled(panel)
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [(0, 8, 8)])
    workspace.edit("brush")
    workspace.labels.brush_size = 5
    panel.viewer.dims.set_current_step(0, 2)
    mouse(panel.viewer, workspace.labels, [(2, 20, 20), (2, 20, 22)])
    settled(panel)
    saved = read_session(folder / "cells.sam2.json")
    assert saved.region == region
    assert saved.book.get(1, 0).points == ((6, 4),)
    painted = workspace.labels.data[2] == 1

    again = open_panel()
    again.offer.resume.click()
    settled(again)
    resumed = again.coordinator.workspace
    assert resumed.sight.region == region
    assert np.allclose(resumed.points.data, [[0, 8, 8]])
    assert np.array_equal(resumed.labels.data[2] == 1, painted)

    again.start.click()  # the whole image again
    settled(again)
    whole = again.coordinator.workspace
    assert whole.sight.region is None
    assert np.array_equal(whole.said.painted[(), 1, 2].mask, painted)
