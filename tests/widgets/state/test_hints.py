"""The hint says what to do next."""

from __future__ import annotations

import pytest

from napari_sam2.widgets.state import hints
from napari_sam2.widgets.state.hints import Situation, hint

READY = {"has_image": True, "started": True, "n_frames": 9}


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (Situation(), hints.OPEN_AN_IMAGE),
        (Situation(has_image=True, has_model=False), hints.GET_THE_MODEL),
        (Situation(has_image=True, has_model=False, fetching=True), hints.FETCHING),
        (Situation(has_image=True), hints.PRESS_START),
        (Situation(has_image=True, awaits_part=True), hints.DRAW_THE_PART),
        (Situation(**READY, running=True, awaits_part=True), hints.RUNNING),
        (Situation(**READY), hints.CLICK),
        (Situation(**READY, n_prompted=1), hints.GO_ON),
        (Situation(has_image=True, started=True, n_prompted=1), hints.GO_ON_ALONE),
        (Situation(**READY, n_prompted=1, fresh=True), hints.CLICK_THE_NEXT),
        (Situation(**READY, fresh=True), hints.CLICK),
        (
            Situation(has_image=True, started=True, n_prompted=1, fresh=True),
            hints.CLICK_THE_NEXT_ALONE,
        ),
        (Situation(**READY, n_prompted=1, running=True), hints.RUNNING),
        (Situation(**READY, outside=True), hints.OUTSIDE),
        (Situation(**READY, n_prompted=2, outcome="Done."), "Done."),
    ],
)
def test_each_situation_has_its_hint(situation, expected):
    assert hint(situation) == expected


def test_ignored_marks_are_counted():
    assert hint(Situation(**READY, ignored=1)).startswith("1 mark is ignored")
    assert hint(Situation(**READY, ignored=3, n_prompted=1)).startswith("3 marks are ignored")


def test_outcome_says_what_is_kept():
    assert "3 of 9" in hints.outcome(3, 9, cancelled=True)
    assert "kept" in hints.outcome(3, 9, cancelled=True)
    assert "1 frame." in hints.outcome(1, 1, cancelled=False)
    assert "9 frames" in hints.outcome(9, 9, cancelled=False)
    assert "9 frames, 2 of them skipped" in hints.outcome(9, 9, cancelled=False, skipped=2)


def test_hint_after_next_object_asks_for_its_click(started):
    started.click(0, 8, 12)
    started.wait_idle()
    assert started.hint == hints.GO_ON
    started.next_object()
    assert started.hint == hints.CLICK_THE_NEXT
    started.select_object(1)
    assert started.hint == hints.GO_ON
