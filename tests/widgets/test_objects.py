"""The table of objects and what can be done there."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_sam2.widgets.object_model import COLUMNS
from napari_sam2.widgets.places import OBJECT

ID, NAME, PROMPTS, FRAMES, LOWEST, ACCEPTED = range(len(COLUMNS))


@pytest.fixture
def two(started, settled, mouse):
    """A panel with two objects, propagated."""
    points = started.coordinator.workspace.points
    mouse(started.viewer, points, [(0, 8, 12)])
    settled(started)
    started.prompts.next_object.click()
    mouse(started.viewer, points, [(0, 25, 30)])
    settled(started)
    started.run.both.click()
    settled(started)
    started.coordinator._desks.objects.show()
    return started


def texts(panel, column) -> list[str]:
    model = panel.objects.model
    return [model.data(model.index(row, column)) for row in range(model.rowCount())]


def select(panel, *rows) -> None:
    table = panel.objects.table
    table.clearSelection()
    mode = table.selectionMode()
    table.setSelectionMode(type(mode).MultiSelection)
    for row in rows:
        table.selectRow(row)
    table.setSelectionMode(mode)


def test_table_says_what_is_known(two):
    assert texts(two, ID) == ["1", "2"]
    assert texts(two, PROMPTS) == ["1", "1"]
    assert texts(two, FRAMES) == ["6", "6"]
    assert texts(two, LOWEST) == ["0.90", "0.90"]
    assert texts(two, ACCEPTED) == ["", ""]
    assert two.objects.chosen == (2,), "the object that prompts are for"


def test_selected_row_is_the_object_that_prompts_are_for(two, settled, mouse):
    select(two, 0)
    assert two.prompts.object_id.value() == 1
    mouse(two.viewer, two.coordinator.workspace.points, [(0, 9, 9)])
    settled(two)
    assert list(two.coordinator.workspace.points.features[OBJECT]) == [1, 2, 1]


def test_ctrl_click_on_a_mask_selects_its_object_and_is_no_prompt(two, settled, mouse):
    points = two.coordinator.workspace.points
    mouse(two.viewer, points, [(0, 8, 8)], modifiers=["Control"])
    settled(two)
    assert two.prompts.object_id.value() == 1
    assert two.objects.chosen == (1,)
    assert len(points.data) == 2


def test_label_that_was_picked_is_the_current_object(two):
    two.coordinator.workspace.labels.selected_label = 1
    assert two.prompts.object_id.value() == 1


def test_name_is_kept_and_an_empty_one_taken_back(two):
    model = two.objects.model
    model.setData(model.index(0, NAME), " nucleus ")
    two.coordinator._desks.objects.show()
    assert texts(two, NAME) == ["nucleus", ""]
    model.setData(model.index(0, NAME), "")
    two.coordinator._desks.objects.show()
    assert texts(two, NAME) == ["", ""]


def test_hidden_object_is_neither_seen_nor_gone(two):
    workspace, model = two.coordinator.workspace, two.objects.model
    hide(two, 0)
    assert workspace.labels.get_color(1)[3] == 0
    assert workspace.labels.get_color(2)[3] == 1
    assert workspace.points.shown.tolist() == [False, True]
    assert (workspace.labels.data == 1).any()
    model.setData(model.index(0, ID), Qt.CheckState.Checked, Qt.ItemDataRole.CheckStateRole)
    assert workspace.labels.get_color(1)[3] == 1
    assert workspace.points.shown.all()


def hide(panel, row) -> None:
    model = panel.objects.model
    model.setData(model.index(row, ID), Qt.CheckState.Unchecked, Qt.ItemDataRole.CheckStateRole)


def test_a_restart_shows_what_was_hidden(two, settled):
    hide(two, 0)
    two.start.click()
    settled(two)
    workspace, model = two.coordinator.workspace, two.objects.model
    assert model.item(0, ID).checkState() == Qt.CheckState.Checked
    assert workspace.labels.get_color(1)[3] == 1
    assert workspace.points.shown.all()


def test_hidden_marks_stay_hidden_when_others_change(two, settled, mouse):
    workspace = two.coordinator.workspace
    hide(two, 0)
    mouse(two.viewer, workspace.points, [(0, 28, 30)])
    settled(two)
    assert workspace.points.shown.tolist() == [False, True, True]
    two.history.undo.click()
    settled(two)
    assert workspace.points.shown.tolist() == [False, True]
    workspace.points.selected_data = {0}
    workspace.points.remove_selected()
    settled(two)
    assert workspace.points.shown.tolist() == [True]


def test_shapes_of_a_hidden_object_are_not_seen(two, settled, mouse):
    workspace = two.coordinator.workspace
    workspace.edit("boxes")
    mouse(two.viewer, workspace.shapes, [(0, 20, 20), (0, 30, 30), (0, 38, 44)])
    settled(two)
    hide(two, 1)
    assert workspace.shapes.edge_color[0, 3] == 0
    two.coordinator._desks.objects.hide(2, False)
    assert workspace.shapes.edge_color[0, 3] == 1


def test_a_new_object_is_seen_though_one_of_its_id_was_hidden(two, settled, mouse):
    hide(two, 1)
    select(two, 1)
    two.objects.delete.click()
    settled(two)
    two.prompts.next_object.click()
    workspace = two.coordinator.workspace
    assert workspace.marks.object_id == 2
    mouse(two.viewer, workspace.points, [(0, 25, 30)])
    settled(two)
    assert workspace.labels.get_color(2)[3] == 1
    assert workspace.points.shown.all()


def test_deleted_object_takes_prompts_and_masks_along(two, settled):
    workspace = two.coordinator.workspace
    select(two, 0)
    two.objects.delete.click()
    settled(two)
    two.coordinator._desks.objects.show()
    assert not (workspace.labels.data == 1).any()
    assert list(workspace.points.features[OBJECT]) == [2]
    assert texts(two, ID) == ["2"]


def test_merged_objects_are_one(two, settled):
    workspace = two.coordinator.workspace
    select(two, 0, 1)
    two.objects.merge.click()
    settled(two)
    two.coordinator._desks.objects.show()
    assert texts(two, ID) == ["1"]
    assert (workspace.labels.data[0] == 1).sum() == 100 + 12 * 13
    assert len(workspace.points.data) == 0, "masks have come in their place"
    assert {spot[1:] for spot in workspace.said.painted} == {(1, 0)}


def test_several_are_deleted_at_once(two, settled):
    select(two, 0, 1)
    two.objects.delete.click()
    settled(two)
    two.coordinator._desks.objects.show()
    assert not two.coordinator.workspace.labels.data.any()
    assert texts(two, ID) == []


def test_three_are_merged_at_once(two, settled, mouse):
    two.prompts.next_object.click()
    mouse(two.viewer, two.coordinator.workspace.points, [(0, 30, 30)])
    settled(two)
    select(two, 0, 1, 2)
    two.objects.merge.click()
    settled(two)
    two.coordinator._desks.objects.show()
    assert texts(two, ID) == ["1"]
    assert set(np.unique(two.coordinator.workspace.labels.data)) == {0, 1}
    assert two.coordinator.dialogue.prompts.object_ids == {1}


def test_split_off_object_gets_an_id_of_its_own(two, settled):
    two.viewer.dims.set_current_step(0, 4)
    select(two, 0)
    two.objects.split.click()
    settled(two)
    areas = {i: (two.coordinator.workspace.labels.data == i).any(axis=(1, 2)) for i in (1, 3)}
    assert areas[1].tolist() == [True] * 4 + [False] * 2
    assert areas[3].tolist() == [False] * 4 + [True] * 2


def test_buttons_know_what_is_possible(two):
    box = two.objects
    for rows, possible in (((), (0, 0, 0)), ((0,), (1, 0, 1)), ((0, 1), (1, 1, 0))):
        select(two, *rows)
        assert [b.isEnabled() for b in (box.delete, box.merge, box.split)] == list(
            map(bool, possible)
        )


def test_key_m_goes_through_what_a_click_could_mean(started, settled, mouse, script):
    workspace = started.coordinator.workspace
    mouse(started.viewer, workspace.points, [(0, 8, 8)])
    settled(started)
    key = next(k for k in workspace.points.keymap if str(k) == "M")
    areas = []
    for _ in range(3):
        workspace.points.keymap[key](workspace.points)
        settled(started)
        areas.append(int((workspace.labels.data[0] == 1).sum()))
    assert areas == [64, 36, 100]
    started.history.undo.click()
    settled(started)
    assert (workspace.labels.data[0] == 1).sum() == 36
    assert len(workspace.points.data) == 1


def test_objects_of_labels_from_before_are_in_the_table(make_panel, blobs, settled):
    panel = make_panel(blobs())
    panel.start.click()
    settled(panel)
    panel.coordinator.workspace.labels.data[2:4, 5:9, 5:9] = 7
    panel.start.click()
    settled(panel)
    panel.coordinator._desks.objects.show()
    assert texts(panel, ID) == ["7"]
    assert texts(panel, FRAMES) == ["2"]
    select(panel, 0)
    panel.objects.delete.click()
    settled(panel)
    assert not panel.coordinator.workspace.labels.data.any()
    panel.history.undo.click()
    settled(panel)
    assert np.count_nonzero(panel.coordinator.workspace.labels.data == 7) == 32
