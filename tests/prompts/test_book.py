from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import PromptError
from napari_sam2.prompts import FramePrompt, PromptBook

SHAPE = (5, 20, 30)


@pytest.fixture
def book():
    return PromptBook(SHAPE)


def test_points_append_and_replace(book):
    book.add_points(1, 2, [(3, 4)])
    assert book.add_points(1, 2, [(5, 6)], [False]) == FramePrompt(
        points=((3, 4), (5, 6)), positive=(True, False), rounds=(1, 1)
    )
    assert book.add_points(1, 2, [(7, 8)], replace=True) == FramePrompt(points=((7, 8),))


def test_a_box_replaces_the_box_and_keeps_the_points(book):
    book.add_points(1, 0, [(3, 4)])
    book.add_box(1, 0, (0, 0, 5, 5))
    book.add_box(1, 0, (6, 6, 1, 1))
    assert book.get(1, 0) == FramePrompt(points=((3, 4),), box=(1, 1, 6, 6))


def test_a_mask_replaces_all_and_clicks_refine_it(book):
    mask = np.eye(*SHAPE[1:], dtype=bool)
    book.add_points(1, 0, [(3, 4)])
    book.add_box(1, 0, (0, 0, 5, 5))
    book.add_mask(1, 0, mask)
    assert book.get(1, 0) == FramePrompt(mask=mask)
    book.add_points(1, 0, [(3, 4)], [False])
    assert book.get(1, 0) == FramePrompt(
        points=((3, 4),), positive=(False,), mask=mask, rounds=(0, 1)
    )


@pytest.mark.parametrize("rounds", [(2,), (1, 0), (-1, 2), (0, 0)])
def test_rounds_that_do_not_add_up_are_refused(rounds):
    with pytest.raises(PromptError, match=r"[Rr]ound"):
        FramePrompt(points=((3, 4),), rounds=rounds)


def test_a_box_over_the_edge_is_cut_at_the_edge(book):
    assert book.add_box(1, 0, (-10, 5, 10, 99)).box == (-0.5, 5.0, 10.0, 29.5)


def test_clicks_on_the_outermost_half_pixels_are_inside(book):
    book.add_points(1, 0, [(-0.5, -0.5), (19.5, 29.5)])
    assert len(book) == 1


def test_order_and_counts(book):
    for object_id, frame in [(7, 4), (2, 3), (7, 0), (2, 1)]:
        book.add_points(object_id, frame, [(1, 1)])
    assert book.object_ids() == (2, 7)
    assert book.frames(7) == (0, 4)
    assert book.frames(3) == ()
    assert [(object_id, frame) for object_id, frame, _ in book] == [(2, 1), (2, 3), (7, 0), (7, 4)]
    assert len(book) == 4
    assert "objects=(2, 7)" in repr(book)


def test_numpy_integers_are_integers(book):
    book.add_points(np.uint16(3), np.int64(2), [(1, 1)])
    assert book.get(3, 2) is not None
    assert all(type(number) is int for object_id, frame, _ in book for number in (object_id, frame))


def test_remove_one_frame_or_the_object(book):
    for frame in (0, 1, 2):
        book.add_points(1, frame, [(1, 1)])
    book.add_points(2, 0, [(1, 1)])
    book.remove(1, 1)
    assert book.frames(1) == (0, 2)
    book.remove(1)
    assert book.object_ids() == (2,)


def test_removing_what_is_not_there_is_an_error(book):
    book.add_points(1, 0, [(1, 1)])
    with pytest.raises(PromptError, match="Object 1 has no prompt in frame 3"):
        book.remove(1, 3)
    with pytest.raises(PromptError, match="Object 9 has no prompt"):
        book.remove(9)
    assert len(book) == 1


def test_a_copy_changes_on_its_own(book):
    book.add_points(1, 0, [(1, 1)])
    copy = book.copy()
    assert copy == book
    copy.add_points(1, 0, [(2, 2)])
    assert copy != book
    assert book.get(1, 0) == FramePrompt(points=((1, 1),))
    assert book != PromptBook((5, 20, 31))
    assert book != "book"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda b: b.add_points(0, 0, [(1, 1)]), "Object id 0"),
        (lambda b: b.add_points(-1, 0, [(1, 1)]), "Object id -1"),
        (lambda b: b.add_points(2**32, 0, [(1, 1)]), "Object id 4294967296"),
        (lambda b: b.add_points(1.5, 0, [(1, 1)]), "whole number"),
        (lambda b: b.add_points(True, 0, [(1, 1)]), "whole number"),
        (lambda b: b.add_points("1", 0, [(1, 1)]), "whole number"),
        (lambda b: b.add_points(1, 5, [(1, 1)]), r"Frame 5 is outside the stack.*0 to 4"),
        (lambda b: b.add_points(1, -1, [(1, 1)]), "Frame -1"),
        (lambda b: b.add_points(1, 0, [(20, 1)]), "y = 20 is outside the image"),
        (lambda b: b.add_points(1, 0, [(1, 30)]), "x = 30 is outside the image"),
        (lambda b: b.add_points(1, 0, [(1, 1), (-0.51, 3)]), "y = -0.51"),
        (lambda b: b.add_points(1, 0, []), "empty"),
        (lambda b: b.add_box(1, 0, (20, 0, 25, 5)), "outside"),
        (lambda b: b.add_box(1, 0, (1, 1, 1, 5)), "no area"),
        (lambda b: b.add_mask(1, 0, np.ones((30, 20), bool)), r"\(30, 20\) pixels.*\(20, 30\)"),
        (lambda b: b.add_mask(1, 0, np.zeros((20, 30), bool)), "empty"),
        (lambda b: b.put(1, 0, FramePrompt(points=((99, 1),))), "y = 99"),
    ],
)
def test_bad_input_is_an_error_and_changes_nothing(book, call, says):
    book.add_points(1, 0, [(1, 1)])
    before = book.copy()
    with pytest.raises(PromptError, match=says) as caught:
        call(book)
    assert caught.value.remedy
    assert book == before


@pytest.mark.parametrize("shape", [(5, 20), (0, 5, 5), (1, 2, 3, 4), None, ("a", 1, 1), 5])
def test_a_book_needs_the_shape_of_a_stack(shape):
    with pytest.raises(PromptError, match="shape of a stack"):
        PromptBook(shape)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 3), st.integers(0, 4), st.floats(-0.5, 19.5), st.floats(-0.5, 29.5)
        ),
        max_size=20,
    )
)
def test_every_click_is_kept_in_order(clicks):
    book = PromptBook(SHAPE)
    for object_id, frame, y, x in clicks:
        book.add_points(object_id, frame, [(y, x)])
    for object_id, frame, prompt in book:
        mine = [(y, x) for owner, where, y, x in clicks if (owner, where) == (object_id, frame)]
        assert list(prompt.points) == mine
    assert sum(len(prompt.points) for *_, prompt in book) == len(clicks)
