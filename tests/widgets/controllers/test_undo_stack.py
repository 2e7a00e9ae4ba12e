"""The undo stack, in the order in which labels were written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sam2.widgets.controllers.undo_stack import Step, UndoStack
from napari_sam2.widgets.layers.snapshot import UserState, WindowSnapshot

HERE, THERE = ((0, 0),), ((0, 1),)


def state(word: str, **names: str) -> WindowSnapshot:
    """Return a state that a word tells from others, with names of objects 1, 2..."""
    named = dict(enumerate(names.values(), 1))
    return WindowSnapshot(np.zeros(0), word, (), None, UserState(names=named))


def seen(step: Step) -> list[tuple[str, list[str]]]:
    """Return words and names of the states of a step."""
    states = step.before, step.after
    return [(each.point_features, list(each.user_state.names.values())) for each in states]


def step(*parts: tuple[Any, int]) -> Step:
    return Step(tuple(parts), "step", state("before"), state("after"))


@pytest.fixture
def past() -> UndoStack:
    past = UndoStack(limit=4)
    for number in (1, 3, 5):
        past.add(step((HERE, number)))
    return past


def numbers(past: UndoStack) -> list[int]:
    found = []
    while (last := past.undo()) is not None:
        found.append(min(last.numbers))
    return found


def test_oldest_steps_are_dropped_beyond_the_limit(past):
    for number in (7, 9):
        past.add(step((THERE, number)))
    assert numbers(past) == [9, 7, 5, 3]


def test_forgetting_a_step_forgets_all_earlier_steps(past):
    past.forget([3])
    past.forget([99])
    assert numbers(past) == [5]


def test_inserted_step_is_sorted_by_its_number(past):
    past.insert(step((HERE, 4)))
    assert numbers(past) == [5, 4, 3, 1]


def test_number_at_returns_the_last_step_of_each_stack(past):
    past.add(step((HERE, 7), (THERE, 9)))
    assert (past.number_at(HERE), past.number_at(THERE)) == (7, 9)
    past.undo()
    assert (past.number_at(HERE), past.number_at(THERE)) == (5, 0)


def test_completing_a_step_updates_later_steps(past):
    past.complete(3, state("outcome"))
    past.complete(99, state("nothing"))
    last, middle, first = past.undo(), past.undo(), past.undo()
    assert seen(last) == [("outcome", []), ("outcome", [])]
    assert seen(middle) == [("before", []), ("outcome", [])]
    assert seen(first) == [("before", []), ("after", [])]


def test_completing_a_step_leaves_names_that_were_given_later(past):
    past.add(Step((), "name", state("after"), state("after", first="cell"), number=7))
    past.complete(5, state("outcome", first="cell"))
    assert seen(past.undo()) == [("outcome", []), ("outcome", ["cell"])]
    assert seen(past.undo()) == [("before", []), ("outcome", [])]


def test_new_step_clears_the_redo_stack(past):
    past.undo()
    assert past.next_redo is not None
    past.add(step((HERE, 7)))
    assert past.next_redo is None
    past.cancel(7)
    assert min(past.next_undo.numbers) == 3
