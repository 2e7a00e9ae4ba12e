"""All that an object holds in a frame is given, and decided, at once."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.errors import PromptError
from napari_sam2.prompts import FramePrompt
from napari_sam2.prompts.csv_format import prompts_from_csv
from napari_sam2.segmentation.session_runner import Range, run_session
from napari_sam2.tracking import TrackingSession

BOX = (4.0, 5.0, 18.0, 20.0)
DRAWN = np.pad(np.ones((10, 10), bool), ((24, 6), (30, 8)))
POINTS, SIGNS = ((12.0, 12.0), (30.0, 40.0)), (True, False)

TABLE = """frame,object,kind,y,x,y2,x2,positive
0,1,point,12,12,,,1
0,1,box,4,5,18,20,
0,1,point,6,6,,,0
"""


@pytest.fixture
def asked(model, monkeypatch) -> list[int]:
    """Grows with every call of the network's decoder."""
    calls = []
    real = type(model.network).predict_masks

    def predict(network, *values, **options):
        calls.append(len(calls))
        return real(network, *values, **options)

    monkeypatch.setattr(type(model.network), "predict_masks", predict)
    return calls


def test_a_box_and_clicks_of_a_table_ask_the_network_once(model, stack, asked):
    session = TrackingSession(model, stack[:1])
    outcome = run_session(session, prompts_from_csv(TABLE, session.stack.shape), Range(), title="")
    assert outcome.complete
    assert len(asked) == 1
    assert session.prompts.get(1, 0) == FramePrompt(((12, 12), (6, 6)), (True, False), BOX)


@pytest.mark.parametrize(
    ("prompt", "steps"),
    [
        (FramePrompt(POINTS[:1]), [("add_points", POINTS[:1])]),
        (FramePrompt(box=BOX), [("add_box", BOX)]),
        (FramePrompt(mask=DRAWN), [("add_mask", DRAWN)]),
        (FramePrompt(POINTS, SIGNS), [("add_points", POINTS, SIGNS)]),
        (
            FramePrompt(POINTS, SIGNS, rounds=(1, 1)),
            [("add_points", POINTS[:1]), ("add_points", POINTS[1:], SIGNS[1:])],
        ),
        (FramePrompt(POINTS, SIGNS, BOX), [("add_points", POINTS, SIGNS), ("add_box", BOX)]),
        (
            FramePrompt(POINTS, SIGNS, BOX, rounds=(0, 2)),
            [("add_box", BOX), ("add_points", POINTS, SIGNS)],
        ),
        (
            FramePrompt(POINTS, SIGNS, mask=DRAWN, rounds=(0, 2)),
            [("add_mask", DRAWN), ("add_points", POINTS, SIGNS)],
        ),
    ],
)
def test_a_prompt_gives_what_its_parts_give_one_by_one(model, stack, prompt, steps):
    whole, parts = (TrackingSession(model, stack, keep_logits=True) for _ in range(2))
    found = whole.set_prompt(1, 2, prompt)
    for name, *values in steps:
        last = getattr(parts, name)(1, 2, *values)
    np.testing.assert_array_equal(found.masks, last.masks)
    np.testing.assert_array_equal(found.logits, last.logits)
    np.testing.assert_array_equal(found.scores, last.scores)
    np.testing.assert_array_equal(whole.labels, parts.labels)
    assert whole.prompts == parts.prompts


def test_a_prompt_takes_the_place_of_another(model, stack):
    session, fresh = TrackingSession(model, stack), TrackingSession(model, stack)
    session.set_prompt(1, 2, FramePrompt(POINTS, SIGNS, BOX))
    found = session.set_prompt(1, 2, FramePrompt(POINTS[:1]))
    np.testing.assert_array_equal(found.masks, fresh.add_points(1, 2, POINTS[:1]).masks)
    assert session.prompts == fresh.prompts


def test_another_round_of_clicks_refines_what_is_there(model, stack, asked):
    whole, parts = TrackingSession(model, stack), TrackingSession(model, stack)
    first = FramePrompt(POINTS[:1], box=BOX)
    whole.set_prompt(1, 2, first)
    before = len(asked)
    found = whole.set_prompt(1, 2, first.with_clicks(POINTS[1:], SIGNS[1:]))
    assert len(asked) == before + 1, "earlier rounds are not computed again"
    parts.set_prompt(1, 2, first)
    last = parts.add_points(1, 2, POINTS[1:], SIGNS[1:])
    np.testing.assert_array_equal(found.masks, last.masks)
    assert whole.prompts == parts.prompts


def test_no_prompt_clears_the_place(model, stack):
    session = TrackingSession(model, stack)
    session.set_prompt(1, 2, FramePrompt(mask=DRAWN))
    session.set_prompt(1, 4, FramePrompt(mask=DRAWN))
    gone = session.set_prompt(1, 2, None)
    assert (gone.object_ids, gone.frame, gone.masks.any()) == ((1,), 2, False)
    assert session.prompts.frames(1) == (4,)
    assert not session.labels[2].any()
    session.set_prompt(1, 4, None)
    session.set_prompt(1, 4, None)
    assert session.object_ids == ()


def test_a_prompt_that_fails_leaves_the_former_one(model, stack):
    session = TrackingSession(model, stack)
    session.set_prompt(1, 2, FramePrompt(mask=DRAWN))
    for wrong in (FramePrompt(((99.0, 1.0),)), FramePrompt(mask=DRAWN[1:])):
        with pytest.raises(PromptError):
            session.set_prompt(1, 2, wrong)
    assert session.prompts.get(1, 2) == FramePrompt(mask=DRAWN)
    np.testing.assert_array_equal(session.labels[2] == 1, DRAWN)
