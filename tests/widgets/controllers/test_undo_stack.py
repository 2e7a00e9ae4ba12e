"""The undo stack, in the order in which labels were written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sam2.widgets.controllers.undo_stack import Step, UndoStack
from napari_sam2.widgets.layers.snapshot import UserState, WindowSnapshot

HERE, THERE = ((0, 0),), ((0, 1),)


def state(word: str) -> WindowSnapshot:
    """Return a state that a word tells from others."""
    return WindowSnapshot(np.zeros(0), word, (), None, UserState())


def seen(step: Step) -> list[str]:
    """Return the words of the states of a step."""
    return [step.before.point_features, step.after.point_features]


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


def test_cancelling_from_a_step_on_counts_those_after_it(past):
    assert past.cancel_from(99) == 0
    assert past.cancel_from(3) == 1
    assert past.next_undo.numbers == {1}
    assert past.cancel_from(0) == 1, "the step itself is forgotten already"
    assert past.next_undo is None


def test_inserted_step_is_sorted_by_its_number(past):
    past.insert(step((HERE, 4)))
    assert numbers(past) == [5, 4, 3, 1]


def test_number_at_returns_the_last_step_of_each_stack(past):
    past.add(step((HERE, 7), (THERE, 9)))
    assert (past.number_at(HERE), past.number_at(THERE)) == (7, 9)
    past.undo()
    assert (past.number_at(HERE), past.number_at(THERE)) == (5, 0)


def test_inserted_step_has_the_states_that_the_next_one_began_with(past):
    past.add(Step(((HERE, 9),), "step", state("then"), state("now")))
    past.insert(step((HERE, 8)))
    past.undo()
    assert seen(past.undo()) == ["then", "then"]


def test_outcome_of_a_step_is_taken_into_those_that_were_made_since(past):
    begun = state("begun")
    past.add(Step(((HERE, 7),), "edit", begun, begun))
    past.add(Step(((HERE, 9), (THERE, 11)), "click", begun, state("clicked")))
    past.add(Step((), "name", state("clicked"), state("named"), number=13))

    def outcome(then: WindowSnapshot, last: int) -> WindowSnapshot:
        return state(f"{then.point_features}, done {last}")

    past.complete(7, outcome)
    past.complete(99, outcome)
    assert seen(past.undo()) == ["clicked, done 11", "named, done 13"]
    assert seen(past.undo()) == ["begun, done 7", "clicked, done 11"]
    assert seen(past.undo()) == ["begun", "begun, done 7"]
    assert seen(past.undo()) == ["before", "after"]


def test_dropped_step_tells_how_many_were_made_since(past):
    assert past.cancel(5) == 0
    assert past.cancel(1) == 1
    assert past.cancel(99) == 0
    assert numbers(past) == [3]


def test_new_step_clears_the_redo_stack(past):
    past.undo()
    assert past.next_redo is not None
    past.add(step((HERE, 7)))
    assert past.next_redo is None
    past.cancel(7)
    assert min(past.next_undo.numbers) == 3
