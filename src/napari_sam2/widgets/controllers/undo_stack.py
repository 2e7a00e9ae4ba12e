"""The undo stack of one image.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from napari_sam2.widgets.layers.snapshot import WindowSnapshot
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.settings import ModelUse


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One thing that the user did.

    Attributes
    ----------
    parts : tuple of (StackPosition, int)
        The stacks that it concerned, and its number in the worker's history of each.
    title : str
        What it was, for the buttons.
    before, after : WindowSnapshot
        What the window held.
    models : (ModelUse, ModelUse), optional
        The model before and after, where that is what was changed.
    number : int
        Of a step that concerned no stack: where it belongs among the others.
    searched : bool
        A propagation or found objects, which a search through the stack is made of.
    """

    parts: tuple[tuple[StackPosition, int], ...]
    title: str
    before: WindowSnapshot
    after: WindowSnapshot
    models: tuple[ModelUse, ModelUse] | None = None
    number: int = 0
    searched: bool = False

    @property
    def numbers(self) -> frozenset[int]:
        """Its numbers in the worker's history, or where it belongs among them."""
        return frozenset(number for _, number in self.parts) or frozenset({self.number})


def _holding(step: Step, before: WindowSnapshot, after: WindowSnapshot) -> Step:
    """Return a step with other states before and after it; names stay as the step has them."""
    return replace(step, before=_named_as(before, step.before), after=_named_as(after, step.after))


def _named_as(state: WindowSnapshot, names: WindowSnapshot) -> WindowSnapshot:
    """Return a state with the names of objects of another one."""
    user_state = replace(state.user_state, names=names.user_state.names)
    return replace(state, user_state=user_state)


class UndoStack:
    """What was done, and what of it was taken back; the newest steps only.

    Parameters
    ----------
    limit : int
        So many steps at most.
    """

    def __init__(self, limit: int = 200) -> None:
        self._limit = limit
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._last_number = 0

    @property
    def next_undo(self) -> Step | None:
        """The step that would be taken back."""
        return self._done[-1] if self._done else None

    @property
    def next_redo(self) -> Step | None:
        """The step that would be made again."""
        return self._undone[-1] if self._undone else None

    @property
    def last_number(self) -> int:
        """The number that was given last."""
        return self._last_number

    def join(self, position: StackPosition, since: int, title: str) -> tuple[int, ...]:
        """Make one step of those of a search through a stack, whose numbers are above `since`.

        Where the user has done anything else meanwhile, or the first of them is forgotten already,
        all steps stay as they are.

        Returns
        -------
        tuple of int
            Their numbers, ascending; the last one is that of the joined step. Empty where there is
            nothing to join.
        """
        at = len(self._done)
        while at and min(self._done[at - 1].numbers) > since:
            at -= 1
        steps = self._done[at:]
        parts = [part for step in steps for part in step.parts]
        ours = all(step.searched for step in steps) and {where for where, _ in parts} == {position}
        if not ours:
            return ()
        numbers = tuple(number for _, number in parts)
        if numbers[0] != since + 1:
            return ()
        joined = Step(((position, numbers[-1]),), title, steps[0].before, steps[-1].after)
        self._done[at:] = [joined]
        return numbers

    def new_number(self) -> int:
        """Return a number for a step; the one after it is free too, for what a run does then."""
        self._last_number += 2
        return self._last_number - 1

    def add(self, step: Step) -> None:
        """Take a new step in; what was taken back before can be made again no longer."""
        self._done = [*self._done, step][-self._limit :]
        self._undone.clear()

    def insert(self, step: Step) -> None:
        """Take a step in that was made a while ago, by its number."""
        at = len(self._done)
        while at and min(self._done[at - 1].numbers) > min(step.numbers):
            at -= 1
        self._done.insert(at, step)

    def undo(self) -> Step | None:
        """Take the last step back."""
        if not self._done:
            return None
        self._undone.append(self._done.pop())
        return self._undone[-1]

    def redo(self) -> Step | None:
        """Make the step again that was taken back last."""
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]

    def complete(self, number: int, after: WindowSnapshot) -> None:
        """Set what the window holds after a step whose outcome was not known at first.

        Steps that were made meanwhile hold the same, but for names.
        """
        known = [number in step.numbers for step in self._done]
        if any(known):
            at = known.index(True)
            later = [_holding(step, after, after) for step in self._done[at + 1 :]]
            self._done[at:] = [_holding(self._done[at], self._done[at].before, after), *later]

    def cancel(self, number: int) -> None:
        """Drop a step that was not made after all."""
        self._done = [step for step in self._done if number not in step.numbers]

    def number_at(self, position: StackPosition) -> int:
        """Return the number of the last step in a stack; 0 if there is none."""
        for step in reversed(self._done):
            for where, number in reversed(step.parts):
                if where == position:
                    return number
        return 0

    def forget(self, numbers: Collection[int]) -> None:
        """Drop the steps with these numbers, and all before them: they cannot be taken back."""
        gone = [i for i, step in enumerate(self._done) if step.numbers & set(numbers)]
        if gone:
            self._done = self._done[gone[-1] + 1 :]

    def clear(self) -> None:
        """Forget all steps."""
        self._done.clear()
        self._undone.clear()
