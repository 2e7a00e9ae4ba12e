"""The table of objects and its buttons."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView

from napari_sam2.labels import FrameRecord
from napari_sam2.widgets.state.positions import OBJECT
from napari_sam2.widgets.views.object_table_model import COLUMNS

ID, NAME, PROMPTS, FRAMES, LOWEST, DOUBTFUL, ACCEPTED = range(len(COLUMNS))


@pytest.fixture
def two(started):
    """A panel with two objects, propagated."""
    started.click(0, 8, 12)
    started.wait_idle()
    started.next_object()
    started.click(0, 25, 30)
    started.wait_idle()
    started.propagate("both")
    started.wait_idle()
    return started


def texts(panel, column) -> list[str]:
    return [row[column] for row in panel.object_rows]


def test_table_lists_objects_prompts_frames_and_scores(two):
    assert texts(two, ID) == ["1", "2"]
    assert texts(two, PROMPTS) == ["1", "1"]
    assert texts(two, FRAMES) == ["6", "6"]
    assert texts(two, LOWEST) == ["0.90", "0.90"]
    assert texts(two, ACCEPTED) == ["", ""]
    assert two.selected_objects == (2,), "the object that prompts are for"


def test_selected_row_is_the_object_that_prompts_are_for(two):
    two.select_rows(0)
    assert two.current_object == 1
    two.click(0, 9, 9)
    two.wait_idle()
    assert list(two.points_layer.features[OBJECT]) == [1, 2, 1]


def test_ctrl_click_on_a_mask_selects_its_object_and_is_no_prompt(two):
    two.click(0, 8, 8, ctrl=True)
    two.wait_idle()
    assert two.current_object == 1
    assert two.selected_objects == (1,)
    assert len(two.points) == 2


def test_picked_label_selects_its_object(two):
    two.labels_layer.selected_label = 1
    assert two.current_object == 1


def test_object_can_be_named_and_its_name_removed(two):
    two.edit_name(0, " nucleus ")
    assert texts(two, NAME) == ["nucleus", ""]
    two.edit_name(0, "")
    assert texts(two, NAME) == ["", ""]


def test_hidden_object_is_invisible_but_kept(two):
    two.hide(0)
    assert two.labels_layer.get_color(1)[3] == 0
    assert two.labels_layer.get_color(2)[3] == 1
    assert two.points_layer.shown.tolist() == [False, True]
    assert (two.labels == 1).any()
    two.hide(0, False)
    assert two.labels_layer.get_color(1)[3] == 1
    assert two.points_layer.shown.all()


def test_restart_shows_hidden_objects(two):
    two.hide(0)
    two.start()
    two.wait_idle()
    assert not two.is_hidden(0)
    assert two.labels_layer.get_color(1)[3] == 1
    assert two.points_layer.shown.all()


def test_hidden_marks_stay_hidden_when_others_change(two):
    two.hide(0)
    two.click(0, 28, 30)
    two.wait_idle()
    assert two.points_layer.shown.tolist() == [False, True, True]
    two.undo()
    two.wait_idle()
    assert two.points_layer.shown.tolist() == [False, True]
    two.delete_point(0)
    two.wait_idle()
    assert two.points_layer.shown.tolist() == [True]


def test_shapes_of_a_hidden_object_are_invisible(two):
    two.choose_tool("boxes")
    two.draw_box((0, 20, 20), (0, 38, 44))
    two.wait_idle()
    two.hide(1)
    assert two.shapes_layer.edge_color[0, 3] == 0
    two.hide(1, False)
    assert two.shapes_layer.edge_color[0, 3] == 1


def test_new_object_is_visible_after_one_of_its_id_was_hidden(two):
    two.hide(1)
    two.select_rows(1)
    two.delete()
    two.wait_idle()
    two.next_object()
    assert two.current_object == 2
    two.click(0, 25, 30)
    two.wait_idle()
    assert two.labels_layer.get_color(2)[3] == 1
    assert two.points_layer.shown.all()


def test_deleting_an_object_deletes_its_prompts_and_masks(two):
    two.select_rows(0)
    two.delete()
    two.wait_idle()
    assert not (two.labels == 1).any()
    assert list(two.points_layer.features[OBJECT]) == [2]
    assert texts(two, ID) == ["2"]


def test_merging_makes_one_object_with_a_mask_prompt(two):
    two.select_rows(0, 1)
    two.merge()
    two.wait_idle()
    assert texts(two, ID) == ["1"]
    assert (two.labels[0] == 1).sum() == 100 + 12 * 13
    assert len(two.points) == 0, "masks have come in their place"
    assert {spot[1:] for spot in two.painted} == {(1, 0)}


@pytest.mark.parametrize("how", ["delete", "merge"])
def test_the_next_object_with_a_free_id_has_a_name_of_its_own(two, how):
    two.rename(1, "mother")
    two.rename(2, "daughter")
    (two.delete if how == "delete" else lambda i: two.merge(1, i))(2)
    two.wait_idle()
    assert two.names == {1: "mother"}
    two.next_object()
    two.click(0, 38, 3)
    two.wait_idle()
    assert two.names.get(two.current_object) is None
    for _ in range(2):
        two.undo()
        two.wait_idle()
    assert two.names == {1: "mother", 2: "daughter"}
    two.redo()
    two.wait_idle()
    assert two.names == {1: "mother"}


def test_an_object_that_is_still_in_another_stack_keeps_its_name(make_panel, blobs):
    panel = make_panel(np.stack([blobs()] * 2), axis_labels=("t", "z", "y", "x"))
    panel.choose_axis(1)
    panel.viewer.dims.set_current_step((0, 1), (0, 0))
    panel.start()
    panel.wait_idle()
    for volume in (0, 1):
        panel.viewer.dims.set_current_step(0, volume)
        panel.click(volume, 0, 8, 12)
        panel.wait_idle()
    panel.rename(1, "mother")
    panel.delete(1)
    panel.wait_idle()
    assert panel.names == {1: "mother"}
    panel.viewer.dims.set_current_step(0, 0)
    panel.delete(1)
    panel.wait_idle()
    assert panel.names == {}


def test_several_objects_are_deleted_at_once(two):
    two.select_rows(0, 1)
    two.delete()
    two.wait_idle()
    assert not two.labels.any()
    assert texts(two, ID) == []


def test_three_objects_are_merged_at_once(two):
    two.next_object()
    two.click(0, 30, 30)
    two.wait_idle()
    two.select_rows(0, 1, 2)
    two.merge()
    two.wait_idle()
    assert texts(two, ID) == ["1"]
    assert set(np.unique(two.labels)) == {0, 1}
    assert two.prompted_objects == {1}


def test_split_off_object_gets_an_id_of_its_own(two):
    two.viewer.dims.set_current_step(0, 4)
    two.select_rows(0)
    two.split()
    two.wait_idle()
    areas = {i: (two.labels == i).any(axis=(1, 2)) for i in (1, 3)}
    assert areas[1].tolist() == [True] * 4 + [False] * 2
    assert areas[3].tolist() == [False] * 4 + [True] * 2


def test_buttons_are_enabled_by_the_selection(two):
    for rows, possible in (
        ((), (False, False, False)),
        ((0,), (True, False, True)),
        ((0, 1), (True, True, False)),
    ):
        two.select_rows(*rows)
        assert two.object_actions == possible


@pytest.mark.parametrize(
    ("clicks", "reason"),
    [
        ([], "has no click"),
        ([True, False], "background click"),
        ([True, True], "several clicks"),
    ],
)
def test_key_m_answers_where_a_prompt_means_one_mask(started, script, clicks, reason):
    notification_manager.records.clear()
    for number, positive in enumerate(clicks):
        started.click(0, 8 + number, 8, positive=positive)
        started.wait_idle()
    started.press("M")
    started.wait_idle()
    assert not [told for told in script.told if told[0] == "choose"]
    assert any(reason in note.message for note in notification_manager.records)


@pytest.mark.parametrize(
    ("title", "once", "twice"),
    [("Id", (2, 1), (1, 2)), ("Name", (2, 1), (1, 2)), ("▲", (2, 1), (1, 2))],
)
def test_table_is_sorted_by_the_column_that_is_clicked(two, title, once, twice):
    two.rename(2, "axon")
    two.put_records(FrameRecord(2, 3, 100, (25, 28), 0.2, 0.9))
    assert two.objects_in_order == (1, 2)
    at = two.table_titles.index(title)
    two.select_rows(0)
    two.sort_by(title)
    assert two.objects_in_order == once
    assert two.selected_objects == (1,)
    assert [each for each in two.table_titles if each[-1] in "↓↑"] == [two.table_titles[at]]
    two.sort_by(title)
    assert two.objects_in_order == twice


def test_rows_stay_in_their_order_while_values_change(two):
    two.put_records(FrameRecord(2, 3, 100, (25, 28), 0.2, 0.9))
    two.sort_by("▲")
    assert two.objects_in_order == (2, 1)
    two.put_records(*(FrameRecord(1, f, 100, (8, 8), 0.2, 0.9) for f in (2, 4)))
    assert two.objects_in_order == (2, 1)
    two.propagate("both")
    two.wait_idle()
    two.put_records(*(FrameRecord(1, f, 100, (8, 8), 0.2, 0.9) for f in (2, 4)))
    two.sort_by("▲")
    two.sort_by("▲")
    assert two.objects_in_order == (1, 2)


@pytest.mark.parametrize(("height", "rows"), [(100, 4), (560, 7), (1400, 18)])
def test_table_grows_with_the_panel(two, height, rows):
    two.object_section.fit_to(height)
    table = two.object_section.table
    assert (table.height() - 8) // 22 - 1 == rows


def test_key_m_cycles_through_the_candidate_masks_of_a_click(started, script):
    started.click(0, 8, 8)
    started.wait_idle()
    areas = []
    for _ in range(3):
        started.press("M")
        started.wait_idle()
        areas.append(int((started.labels[0] == 1).sum()))
    assert areas == [64, 36, 100]
    started.undo()
    started.wait_idle()
    assert (started.labels[0] == 1).sum() == 36
    assert len(started.points) == 1


def test_objects_of_labels_from_before_are_in_the_table(make_panel, blobs):
    panel = make_panel(blobs())
    panel.start()
    panel.wait_idle()
    panel.labels_layer.data[2:4, 5:9, 5:9] = 7
    panel.start()
    panel.wait_idle()
    assert texts(panel, ID) == ["7"]
    assert texts(panel, FRAMES) == ["2"]
    panel.select_rows(0)
    panel.delete()
    panel.wait_idle()
    assert not panel.labels.any()
    panel.undo()
    panel.wait_idle()
    assert np.count_nonzero(panel.labels == 7) == 32


def test_letters_are_not_typed_into_names_and_f2_begins_a_name(two, qtbot):
    table = two.object_section.table
    two.select_rows(0)
    table.setCurrentIndex(table.model().index(0, 1))
    for key in (Qt.Key.Key_D, Qt.Key.Key_A):
        qtbot.keyClick(table, key)
        assert table.state() != QAbstractItemView.State.EditingState
    qtbot.keyClick(table, Qt.Key.Key_F2)
    assert table.state() == QAbstractItemView.State.EditingState


def test_click_in_the_3d_view_is_refused_with_a_word(two):
    count = len(two.points)
    two.viewer.dims.ndisplay = 3
    two.click(0, 8, 8)
    two.wait_idle()
    assert len(two.points) == count
    assert "3D view" in notification_manager.records[-1].message
    assert two.points_layer.mode == "add", "the tool is back"
    two.viewer.dims.ndisplay = 2
    two.click(0, 9, 9)
    two.wait_idle()
    assert len(two.points) == count + 1
