"""The hint says what to do next."""

from __future__ import annotations

import pytest

from napari_sam2.widgets.state import hints
from napari_sam2.widgets.state.hints import Ignored, RunFindings, Situation, Weakness, hint

READY = {"has_image": True, "started": True, "n_frames": 9}


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (Situation(), hints.OPEN_AN_IMAGE),
        (Situation(has_image=True, has_model=False), hints.GET_THE_MODEL),
        (Situation(has_image=True, has_model=False, fetching=True), hints.FETCHING),
        (Situation(has_image=True), hints.PRESS_START),
        (Situation(has_image=True, resumes=True), hints.PRESS_RESUME),
        (Situation(has_image=True, has_model=False, resumes=True), hints.GET_THE_MODEL),
        (Situation(has_image=True, awaits_part=True), hints.DRAW_THE_PART),
        (Situation(**READY, running=True, awaits_part=True), hints.RUNNING),
        (Situation(**READY, running=True, paused=True), hints.PAUSED),
        (Situation(**READY, running=True, paused=True, cancelling=True), hints.CANCELLING),
        (Situation(**READY), hints.CLICK),
        (Situation(**READY, n_prompted=1), hints.GO_ON),
        (Situation(**READY, n_prompted=1, followed=True), hints.FOLLOWED),
        (Situation(**READY, n_prompted=1, followed=True, fresh=True), hints.CLICK_THE_NEXT),
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


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        ((Ignored.OUTSIDE,), "1 mark is ignored: it is outside the image."),
        ((Ignored.SMALL,) * 2, "2 marks are ignored: they are smaller than a pixel."),
        (
            (Ignored.SMALL, Ignored.OUTSIDE, Ignored.SMALL),
            "3 marks are ignored: 1 outside the image, 2 smaller than a pixel.",
        ),
    ],
)
def test_ignored_marks_are_counted_with_their_own_reasons(reasons, said):
    assert hint(Situation(**READY, ignored=reasons)).startswith(said)


def test_paused_run_is_not_said_to_go_on():
    assert hint(Situation(**READY, running=True, paused=True)) == hints.PAUSED


@pytest.mark.parametrize(
    ("weakness", "said", "unsaid"),
    [
        (Weakness(0.31, one_click=True), ("low (0.31)", "(B)", "(M)", "model"), "Adapt"),
        (Weakness(0.9, filling=True, boxed=True, adapts=True), ("border", "Adapt"), "(B)"),
    ],
)
def test_weak_mask_is_named_with_what_helps(weakness, said, unsaid):
    text = hint(Situation(**READY, n_prompted=1, weakness=weakness, outcome="Done."))
    assert all(part in text for part in said)
    assert unsaid not in text


def test_masks_that_are_out_of_date_are_counted():
    assert "12 frames are out of date" in hint(Situation(**READY, n_prompted=1, outdated=12))
    assert "1 frame is out of date" in hint(Situation(**READY, n_prompted=1, outdated=1))


def test_outcome_says_what_is_kept():
    assert "3 of 9" in hints.outcome(3, 9, cancelled=True)
    assert "kept" in hints.outcome(3, 9, cancelled=True)
    assert "1 frame." in hints.outcome(1, 1, cancelled=False)
    assert "9 frames" in hints.outcome(9, 9, cancelled=False)
    assert "9 frames, 2 of them skipped" in hints.outcome(9, 9, cancelled=False, skipped=2)


@pytest.mark.parametrize(
    ("found", "begins", "said"),
    [
        (RunFindings(1, (4,)), "Object 4 was found in one frame only", "draw a box"),
        (RunFindings(2, (1, 4)), "Objects 1 and 4 were found in one frame only", "draw a box"),
        (RunFindings(3, (4,)), "Done: 9 frames, 2 of 3 objects.", "Object 4 was found in one"),
        (RunFindings(3, (), (1, 2)), "Done: 9 frames. Scores of objects 1 and 2", "a box (B)"),
        (RunFindings(9, (), tuple(range(6))), "Done: 9 frames. Scores of 6 objects", "model"),
    ],
)
def test_done_is_not_said_of_objects_in_one_frame_only(found, begins, said):
    text = hints.outcome(9, 9, cancelled=False, found=found)
    assert text.startswith(begins)
    assert said in text


def test_box_is_not_proposed_for_objects_that_have_one():
    alone, low = RunFindings(1, (4,), (), frozenset({4})), RunFindings(1, (), (4,), frozenset({4}))
    for found in (alone, low):
        text = hints.outcome(9, 9, cancelled=False, found=found)
        assert "box" not in text
        assert "  " not in text
    assert "box (B)" in hints.outcome(
        9, 9, cancelled=False, found=RunFindings(2, (3, 4), (), frozenset({4}))
    )


def test_hint_after_next_object_asks_for_its_click(started):
    started.click(0, 8, 12)
    started.wait_idle()
    assert started.hint == hints.GO_ON
    started.next_object()
    assert started.hint == hints.CLICK_THE_NEXT
    started.select_object(1)
    assert started.hint == hints.GO_ON
