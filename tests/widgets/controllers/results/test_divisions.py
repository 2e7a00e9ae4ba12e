"""Divisions: by button and key, undone and redone, kept and brought back, proposed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.layers import Tracks
from napari.utils.notifications import notification_manager

from napari_sam2.prompts import read_session
from napari_sam2.tracking.division_proposals import ProposedDivision
from napari_sam2.types import Division, TrackFormat
from napari_sam2.widgets.state import hints

DIVISION = Division(1, (2, 3), 3)


@pytest.fixture
def family(make_panel):
    """A square that is two squares from frame 3 on; all three are prompted and propagated."""
    image = np.zeros((6, 40, 50), np.uint16)
    image[:3, 15:25, 20:32] = 900
    image[3:, 15:25, 14:22] = image[3:, 15:25, 30:38] = 900
    panel = make_panel(image)
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.click(0, 20, 21, object_id=1)
    panel.wait_idle()
    panel.click(3, 20, 18, object_id=2)
    panel.wait_idle()
    panel.click(3, 20, 34, object_id=3)
    panel.wait_idle()
    panel.propagate()
    panel.wait_idle()
    panel.go_to(3)
    notification_manager.records.clear()
    return panel


def divide(panel):
    panel.select_rows(0, 1, 2)
    panel.divide()
    panel.wait_idle()


def frames_in_labels(panel) -> dict[int, list[int]]:
    labels = panel.labels
    return {
        number: [frame for frame, plane in enumerate(labels) if (plane == number).any()]
        for number in np.unique(labels[labels > 0]).tolist()
    }


def test_button_divides_the_selected_parent_into_its_daughters(family):
    divide(family)
    assert family.divisions == (DIVISION,)
    assert family.session.divisions == (DIVISION,)
    assert [row[0] for row in family.object_rows] == ["1 →", "2 ← 1", "3 ← 1"]
    family.select_object(1)
    assert "divides into 2 and 3" in family.timeline.describe(3)
    family.select_object(2)
    assert "born of object 1" in family.timeline.describe(3)
    assert not family.timeline_widget.grab().isNull()
    found = frames_in_labels(family)
    assert max(found[1]) < 3 <= min(found[2])


def test_key_does_the_same(family):
    family.select_rows(0, 1, 2)
    family.press("Y")
    family.wait_idle()
    assert family.divisions == (DIVISION,)


def test_division_is_one_step(family):
    before, steps = family.labels, len(family.undo_texts)
    divide(family)
    after = family.labels
    assert len(family.undo_texts) == steps + 1
    assert "division of object 1" in family.undo_text
    family.undo()
    family.wait_idle()
    assert (family.divisions, family.session.divisions) == ((), ())
    np.testing.assert_array_equal(family.labels, before)
    family.redo()
    family.wait_idle()
    assert (family.divisions, family.session.divisions) == ((DIVISION,), (DIVISION,))
    np.testing.assert_array_equal(family.labels, after)


def test_no_division_takes_it_back_as_a_step(family):
    divide(family)
    family.select_rows(1)
    family.undivide()
    family.wait_idle()
    assert (family.divisions, family.session.divisions) == ((), ())
    family.undo()
    family.wait_idle()
    assert family.session.divisions == (DIVISION,)


def test_no_division_where_there_is_none_says_so(family):
    notification_manager.records.clear()
    family.select_rows(1)
    family.undivide()
    assert [each.message for each in notification_manager.records] == [hints.NO_DIVISION]


def test_results_outside_the_image_say_so(family, tmp_path):
    family.viewer.add_image(np.zeros((40, 4, 4)), name="longer")
    family.viewer.dims.set_current_step(0, 30)
    notification_manager.records.clear()
    family.divide()
    family.undivide()
    family.find_divisions()
    family.save_measurements(tmp_path / "a.csv")
    told = [each.message for each in notification_manager.records]
    assert told == [hints.OUTSIDE] * 4
    assert not (tmp_path / "a.csv").exists()


def test_parent_that_goes_on_is_the_second_daughter(family):
    family.delete(3)
    family.wait_idle()
    family.click(4, 20, 34, object_id=1)
    family.wait_idle()
    family.go_to(4)
    family.select_rows(0, 1)
    family.go_to(3)
    family.divide()
    family.wait_idle()
    (division,) = family.divisions
    assert (division.parent, division.children[0], division.frame) == (1, 2, 3)
    found = frames_in_labels(family)
    assert max(found[1]) < 3
    assert found[division.children[1]][0] == 4


def test_division_is_kept_and_resumed(family, make_panel, sessions):
    divide(family)
    image = family.image_layer.data
    family.close()
    (path,) = [each for each in sessions.iterdir() if each.suffix == ".json"]
    assert read_session(path).divisions == (DIVISION,)
    again = make_panel(image)
    again.wait_idle()
    again.resume()
    again.wait_idle()
    assert (again.divisions, again.session.divisions) == ((DIVISION,), (DIVISION,))
    assert [row[0] for row in again.object_rows] == ["1 →", "2 ← 1", "3 ← 1"]


def test_another_model_knows_the_divisions(family):
    divide(family)
    first = family.session
    family.choose_speed("fastest")
    family.wait_idle()
    assert family.session is not first
    assert family.session.divisions == (DIVISION,)


def test_division_goes_into_files_and_tracks(family, tmp_path):
    divide(family)
    family.tick_tracks()
    family.wait_idle()
    (layer,) = [each for each in family.viewer.layers if isinstance(each, Tracks)]
    assert layer.graph == {2: [1], 3: [1]}
    family.save_tracks(TrackFormat.CTC, tmp_path / "01_RES")
    family.wait_idle()
    rows = (tmp_path / "01_RES" / "res_track.txt").read_text().split("\n")
    assert [row.split()[-1] for row in rows if row] == ["0", "1", "1"]
    family.save_measurements(tmp_path / "a.csv")
    family.wait_idle()
    table = pd.read_csv(tmp_path / "a.csv", comment="#")
    assert table.groupby("label")["generation"].first().to_dict() == {1: 0, 2: 1, 3: 1}


@pytest.mark.parametrize(
    ("rows", "frame", "words"),
    [
        ((0,), 3, "needs the parent and a daughter"),
        ((0, 1), 0, "first frame"),
        ((1, 2), 3, "not clear which"),
    ],
)
def test_impossible_division_says_what_to_do(family, rows, frame, words):
    steps = family.undo_texts
    family.select_rows(*rows)
    family.go_to(frame)
    family.divide()
    family.wait_idle()
    assert words in notification_manager.records[-1].message
    assert family.undo_texts == steps


def test_division_that_the_session_refuses_changes_nothing(family):
    before, steps = family.labels, family.undo_texts
    family.select_rows(0, 1, 2)
    family.go_to(4)  # the daughters are prompted in frame 3
    family.divide()
    family.wait_idle()
    assert notification_manager.records
    assert (family.divisions, family.undo_texts) == ((), steps)
    np.testing.assert_array_equal(family.labels, before)


def test_proposed_division_is_accepted(family, script):
    script.proposals = (ProposedDivision(DIVISION, None, 0.9, 0.95),)
    family.go_to(0)
    family.find_divisions()
    family.wait_idle()
    assert "object 1 divides into 2 and 3" in family.proposed_division
    assert family.frame == 3
    assert family.divisions == (), "nothing is applied by itself"
    family.answer_division(True)
    family.wait_idle()
    assert family.divisions == (DIVISION,)
    assert family.proposed_division == ""


def test_search_shows_its_progress_and_is_cancelled(family, script, qtbot):
    script.proposals = (ProposedDivision(DIVISION, None, 0.9, 0.95),)
    before, asked = family.labels, len(script.told)
    script.gate.clear()
    family.find_divisions()
    assert family.divisions_button == "Cancel (0%)"
    qtbot.waitUntil(lambda: script.told[asked:] == [("propose", 1)])
    family.cancel_divisions()
    script.gate.set()
    family.wait_idle()
    assert script.told[asked:] == [("propose", 1)], "it ends within a step"
    assert family.divisions_button == "Find divisions"
    assert (family.proposed_division, family.divisions) == ("", ())
    np.testing.assert_array_equal(family.labels, before)
    family.find_divisions()
    family.wait_idle()
    assert family.proposed_division != "", "the next search is another one"


def test_another_model_ends_the_search(family, script, qtbot):
    script.proposals = (ProposedDivision(DIVISION, None, 0.9, 0.95),)
    asked = len(script.told)
    script.gate.clear()
    family.find_divisions()
    qtbot.waitUntil(lambda: script.told[asked:] == [("propose", 1)])
    family.choose_speed("fastest")
    assert family.divisions_button == "Find divisions"
    script.gate.set()
    family.wait_idle()
    assert ("propose", 2) not in script.told[asked:], "it ends within a step"
    assert (family.divisions_button, family.proposed_division) == ("Find divisions", "")
    family.find_divisions()
    family.wait_idle()
    assert family.proposed_division != "", "the next search is another one"


def test_cancelling_counts_when_the_search_is_answered_already(family, script):
    script.proposals = (ProposedDivision(DIVISION, None, 0.9, 0.95),)
    family.find_divisions()
    family.wait_for_worker()
    family.cancel_divisions()
    family.wait_idle()
    assert family.proposed_division == ""
    assert family.divisions_button == "Find divisions"


def test_closing_the_panel_ends_the_search(family, script, qtbot, our_threads):
    asked = len(script.told)
    script.gate.clear()
    family.find_divisions()
    qtbot.waitUntil(lambda: script.told[asked:] == [("propose", 1)])
    family.close()
    script.gate.set()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    assert script.told[asked:] == [("propose", 1)]


def test_refused_division_is_not_proposed_again(family, script):
    script.proposals = (ProposedDivision(DIVISION, None, 0.9, 0.95),)
    family.find_divisions()
    family.wait_idle()
    family.answer_division(False)
    assert family.proposed_division == ""
    family.find_divisions()
    family.wait_idle()
    assert family.proposed_division == ""
    assert family.divisions == ()
