"""The undo stack of one image.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
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
        """Take a step in that was made a while ago, by its number, and that changes no state.

        Where others were made since, its states are those that they began with.
        """
        at = len(self._done)
        while at and min(self._done[at - 1].numbers) > min(step.numbers):
            at -= 1
        if at < len(self._done):
            state = self._done[at].before
            step = replace(step, before=state, after=state)
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

    def complete(
        self, number: int, outcome: Callable[[WindowSnapshot, int], WindowSnapshot]
    ) -> None:
        """Take in what a step has changed, if that was not known at first.

        Parameters
        ----------
        number : int
            Of the step.
        outcome : callable
            Takes a state of the window without that change, and the number of the step that led
            to it: this one, or one that was made since. Returns the state with the change.
        """
        known = [number in step.numbers for step in self._done]
        if not any(known):
            return
        at, last = known.index(True), number
        first = self._done[at]
        completed = [replace(first, after=outcome(first.after, last))]
        for step in self._done[at + 1 :]:
            before, last = outcome(step.before, last), max(step.numbers)
            completed.append(replace(step, before=before, after=outcome(step.after, last)))
        self._done[at:] = completed

    def cancel(self, number: int) -> int:
        """Drop a step that was not made after all; return how many were made since."""
        since = next((n for n, x in enumerate(reversed(self._done)) if number in x.numbers), 0)
        self._done = [step for step in self._done if number not in step.numbers]
        return since

    def cancel_from(self, number: int) -> int:
        """Drop a step that was not made after all, and all after it; return how many these are."""
        known = [number in step.numbers for step in self._done]
        kept = [step for step in self._done if max(step.numbers) < number]
        since = len(self._done) - len(kept) - sum(known)
        self._done = kept
        return since

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
