"""Annotations besides points and shapes, as a value."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.layers.prompt_reader import StackPrompts
from napari_sam2.widgets.layers.snapshot import Acceptance, UserState
from napari_sam2.widgets.state.session_spec import PlacedPrompt

HERE, THERE = ((0, 0),), ((0, 1),)
PLACES = ((), HERE, THERE)
MASK = FramePrompt(mask=np.eye(3, dtype=bool))
CLICK = FramePrompt(((1.0, 1.0),), (True,))


def test_drawn_adds_masks_and_none_removes_one():
    before = UserState(painted={(HERE, 1, 0): MASK}, handed=frozenset({(HERE, 1, 0), (HERE, 2, 0)}))
    drawn = before.drawn({(HERE, 1, 0): None, (HERE, 3, 0): MASK}, frozenset({(HERE, 3, 0)}))
    assert drawn.painted == {(HERE, 3, 0): MASK}
    assert drawn.handed == {(HERE, 2, 0), (HERE, 3, 0)}
    assert before.painted == {(HERE, 1, 0): MASK}, "the earlier value stays as it was"


def test_empty_name_removes_a_name():
    assert UserState(names={1: "a"}).named(2, "b").names == {1: "a", 2: "b"}
    assert UserState(names={1: "a", 2: "b"}).named(1, "").names == {2: "b"}


def test_new_and_changed_prompts_are_found():
    one, two = PlacedPrompt(1, 0, CLICK), PlacedPrompt(2, 4, CLICK)
    moved = PlacedPrompt(1, 0, MASK)
    before = StackPrompts({HERE: (one,), THERE: (one,)})
    after = StackPrompts({HERE: (moved, two)})
    assert after.changes_since(before) == ({HERE, THERE}, {(HERE, 1, 0), (HERE, 2, 4)}, True)
    assert after.changes_since(after) == (frozenset(), frozenset(), False)
    assert StackPrompts().changes_since(before) == ({HERE, THERE}, frozenset(), True)


spots = st.frozensets(st.tuples(st.sampled_from(PLACES), st.integers(1, 3), st.integers(0, 3)))


@given(st.lists(spots))
def test_acceptance_is_sorted_by_stack_whatever_was_sorted_before(stream):
    acceptance = Acceptance()
    for each in stream:
        acceptance.sort(each)
        assert acceptance.positions == {place for place, _, _ in each}
        for place in PLACES:
            wanted = {(number, frame) for where, number, frame in each if where == place}
            assert acceptance.at(place) == wanted


def test_unchanged_acceptance_is_the_same_object():
    acceptance, spots = Acceptance(), frozenset({(PLACES[1], 2, 3)})
    acceptance.sort(spots)
    before = acceptance.at(PLACES[1])
    acceptance.sort(spots)
    assert acceptance.at(PLACES[1]) is before
