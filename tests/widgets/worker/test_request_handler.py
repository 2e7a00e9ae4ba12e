"""The session receives only what has changed, and ends with the prompts of the layers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import DeviceError, PromptError
from napari_sam2.prompts import FramePrompt, PromptBook
from napari_sam2.types import FrameMasks, ObjectFrame
from napari_sam2.widgets.state.session_spec import Annotations, PlacedPrompt
from napari_sam2.widgets.worker.request_handler import RequestHandler

SHAPE = (5, 20, 20)


class Recorder:
    """A session that keeps its prompts in a real book, and a list of what it was told."""

    def __init__(self) -> None:
        self.book = self.prompts = PromptBook(SHAPE)
        self.accepted = ()
        self.told: list[str] = []
        self.error: Exception | None = None

    def watch_labels(self, seen):
        """Writes no labels."""

    def set_prompt(self, object_id, frame, prompt):
        before = self.book.get(object_id, frame)
        self._note("add" if before is not None and prompt.refines(before) else "set")
        self.book.put(object_id, frame, prompt)
        nothing = np.zeros((1, *SHAPE[1:]), bool)
        return FrameMasks(frame, (object_id,), nothing, np.ones(1), np.ones(1))

    def remove_prompts(self, object_id, frame=None):
        self._note("remove")
        self.book.remove(object_id, frame)

    def _note(self, what):
        self.told.append(what)
        if self.error is not None:
            raise self.error


def handler_of(session):
    return RequestHandler(session, np.zeros(SHAPE, np.uint8))


def click(*points, positive=None, box=None, object_id=1, frame=2) -> PlacedPrompt:
    positive = (True,) * len(points) if positive is None else positive
    return PlacedPrompt(object_id, frame, FramePrompt(tuple(points), positive, box))


A, B, C = (3.0, 4.0), (5.0, 6.0), (7.0, 8.0)
BOX, OTHER_BOX = (1.0, 1.0, 9.0, 9.0), (2.0, 2.0, 9.0, 9.0)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ((), (click(A),), ["set"]),
        ((click(A),), (click(A),), []),
        ((click(A),), (click(A, B),), ["add"]),
        ((click(A),), (click(B),), ["set"]),
        ((click(A, B),), (click(A),), ["set"]),
        ((click(A, B),), (click(A, B, positive=(True, False)),), ["set"]),
        ((click(A),), (), ["remove"]),
        ((click(A),), (click(A, box=BOX),), ["set"]),
        ((click(A, box=BOX),), (click(A, box=OTHER_BOX),), ["set"]),
        ((click(box=BOX),), (click(A, box=BOX),), ["add"]),
        ((click(A, box=BOX),), (click(A),), ["set"]),
        ((click(A, box=BOX),), (click(box=BOX),), ["set"]),
        ((click(A),), (click(A, frame=3),), ["set", "remove"]),
        ((click(A),), (click(A), click(B, object_id=2)), ["set"]),
    ],
)
def test_session_is_given_only_the_difference(before, after, told):
    recorder = Recorder()
    handler = handler_of(recorder)
    handler.apply(Annotations(before))
    recorder.told.clear()
    assert handler.apply(Annotations(after)) == []
    assert recorder.told == told


def test_session_is_given_an_added_click_alone():
    recorder = Recorder()
    handler = handler_of(recorder)
    handler.apply(Annotations((click(A),)))
    handler.apply(Annotations((click(A, B, positive=(True, False)),)))
    assert recorder.book.get(1, 2) == FramePrompt((A, B), (True, False), rounds=(1, 1))


def test_prompts_that_differ_by_rounding_are_not_given_again():
    recorder = Recorder()
    handler = handler_of(recorder)
    handler.apply(Annotations((click(A, box=BOX),)))
    recorder.told.clear()
    moved = click((A[0] + 1e-9, A[1] - 1e-9), box=tuple(x + 1e-9 for x in BOX))
    handler.apply(Annotations((moved,)))
    assert recorder.told == []
    handler.apply(Annotations((click((A[0] + 1e-3, A[1]), box=BOX),)))
    assert recorder.told == ["set"]


def test_a_click_is_added_to_a_prompt_that_differs_by_rounding():
    recorder = Recorder()
    handler = handler_of(recorder)
    handler.apply(Annotations((click(A),)))
    recorder.told.clear()
    near = (A[0] + 1e-9, A[1])
    handler.apply(Annotations((click(near, B),)))
    assert recorder.told == ["add"]
    assert recorder.book.get(1, 2) == FramePrompt((A, B), rounds=(1, 1))
    handler.apply(Annotations((click((A[0] + 1e-3, A[1]), B, C),)))
    assert recorder.told == ["add", "set"]


def test_prompts_kept_in_rounds_are_not_given_again_without_rounds():
    recorder = Recorder()
    handler = handler_of(recorder)
    handler.apply(Annotations((click(A),)))
    handler.apply(Annotations((click(A, B),)))
    handler.learn()
    recorder.told.clear()
    handler.apply(Annotations((click(A, B),)))
    assert recorder.told == []
    assert recorder.book.get(1, 2).rounds == (1, 1)


coordinates = st.sampled_from([A, B, C])
prompts = st.builds(
    lambda points, box, signs: FramePrompt(
        tuple(points), tuple(signs[: len(points)]), box if box or points else BOX
    ),
    st.lists(coordinates, max_size=3),
    st.sampled_from([None, BOX, OTHER_BOX]),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
snapshots = st.dictionaries(st.tuples(st.integers(1, 2), st.integers(0, 2)), prompts, max_size=4)


@settings(max_examples=50, deadline=None)
@given(st.lists(snapshots, min_size=1, max_size=5))
def test_any_history_ends_with_the_prompts_of_the_window(history):
    recorder = Recorder()
    handler = handler_of(recorder)
    for snapshot in history:
        handler.apply(Annotations(tuple(PlacedPrompt(*at, p) for at, p in snapshot.items())))
        kept = {(o, f): (p.points, p.positive, p.box) for o, f, p in recorder.book}
        assert kept == {at: (p.points, p.positive, p.box) for at, p in snapshot.items()}


def test_refused_prompt_is_not_repeated_and_stops_no_other():
    recorder = Recorder()
    handler = handler_of(recorder)
    outside = click((99.0, 99.0))
    good = click(A, object_id=2)
    (error,) = handler.apply(Annotations((outside, good)))
    assert isinstance(error, PromptError)
    recorder.told.clear()
    assert handler.apply(Annotations((outside, good))) == []
    assert handler.apply(Annotations((good,))) == []
    assert recorder.told == []
    assert recorder.book.object_ids() == (2,)


def test_refused_prompt_is_tried_again_after_it_moved():
    recorder = Recorder()
    handler = handler_of(recorder)
    handler.apply(Annotations((click((99.0, 99.0)),)))
    assert handler.apply(Annotations((click(A),))) == []
    assert recorder.book.get(1, 2).points == (A,)


def test_device_error_ends_the_update():
    recorder = Recorder()
    recorder.error = DeviceError("Gone.")
    with pytest.raises(DeviceError):
        handler_of(recorder).apply(Annotations((click(A), click(B, object_id=2))))
    assert recorder.told == ["set"]


def test_objects_being_edited_are_left_unchanged():
    session = Recorder()
    handler = handler_of(session)
    one, two = (PlacedPrompt(i, 0, FramePrompt(((3.0, 3.0),))) for i in (1, 2))
    handler.apply(Annotations((one, two)))
    session.told.clear()
    moved = PlacedPrompt(1, 4, FramePrompt(((9.0, 9.0),)))
    handler.apply(Annotations((moved,), frozenset({ObjectFrame(1, 2)}), frozenset({1})))
    assert session.told == ["remove"], "of the second, which the window knows is gone"
    assert session.book.object_ids() == (1,)
    assert session.book.get(1, 0) is not None
