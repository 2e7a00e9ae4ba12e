"""What the user says, told to the worker: prompts, edits, acceptance, undo and redo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.labels import PlaneChange
from napari_sam2.prompts import FramePrompt, SessionFile
from napari_sam2.widgets.adopting import adopt
from napari_sam2.widgets.edits import ObjectEdit
from napari_sam2.widgets.handing import going_on
from napari_sam2.widgets.messages import (
    Done,
    EditRequest,
    HandOverRequest,
    PromptRequest,
    ReplayRequest,
    RunRequest,
    UndoRequest,
)
from napari_sam2.widgets.past import Past, Step
from napari_sam2.widgets.places import Place, Spot
from napari_sam2.widgets.prompt_reading import StackPrompts
from napari_sam2.widgets.shelf import Shelf
from napari_sam2.widgets.spec import RunPlan, SessionSpec, Told, Wanted
from napari_sam2.widgets.timers import Afterwards, halt
from napari_sam2.widgets.window_state import WindowState

if TYPE_CHECKING:
    from napari_sam2.widgets.engine import Engine
    from napari_sam2.widgets.model_picker import ModelPicker
    from napari_sam2.widgets.workspace import Workspace


class Dialogue(QObject):
    """Keeps the worker in line with what the user says about a workspace. Main thread only.

    Requests carry a generation; what is answered to an older one is of no interest.

    Parameters
    ----------
    models : ModelPicker
        What is chosen.
    engine : Engine
        Does the work.

    Signals
    -------
    prompted(tuple)
        Prompts of these places are others than before; they have been sent.
    changed()
        Prompts, acceptance, records or steps are others than before.

    Attributes
    ----------
    workspace : Workspace or None
    generation : int
    prompts : StackPrompts
        What the layers say.
    past : Past
    shelf : Shelf
    told : dict of Place to Told
        What the worker has made of the prompts of each stack.
    """

    prompted = Signal(object)
    changed = Signal()

    def __init__(self, models: ModelPicker, engine: Engine) -> None:
        super().__init__()
        self._models, self._engine = models, engine
        self.workspace: Workspace | None = None
        self.generation = 0
        self.prompts = StackPrompts()
        self.past, self.shelf = Past(), Shelf()
        self.told: dict[Place, Told] = {}
        self._state: WindowState | None = None  # as of the last step
        self._places: dict[int, Place] = {}  # of what was sent, by step
        self._edits: dict[int, ObjectEdit] = {}  # that are under way, by step
        self.soon = Afterwards(self, self.listen)

    @property
    def settled(self) -> bool:
        """Whether all that the layers say has been sent."""
        return not self.soon.isActive()

    def open(self, workspace: Workspace) -> None:
        """Begin with the prompts that its layers hold."""
        self.workspace = workspace
        self._state = workspace.state()
        self.prompts = workspace.read_prompts()

    def close(self) -> None:
        """Leave the workspace; what is under way is of no interest any more."""
        halt(self.soon)
        self.generation += 1
        self.workspace = self._state = None
        self.prompts = StackPrompts()
        self._edits.clear()

    def forget(self) -> None:
        """Forget all steps, and all that was known of the objects."""
        self.past.clear()
        self.shelf.clear()
        self.told.clear()

    def renew(self) -> None:
        """Have a new session opened, with all that is said of the stack in view."""
        workspace = self.workspace
        here = None if workspace is None else workspace.here()
        self.generation += 1
        self._edits.clear()
        if here is not None:
            self._send(here[0], 0)
        self.changed.emit()

    def listen(self) -> None:
        """Find out what the layers say, and tell the worker what is new."""
        self.say("prompt")

    def say(
        self,
        title: str,
        *,
        painted: Mapping[Spot, FramePrompt | None] | None = None,
        accepted: frozenset[Spot] | None = None,
        strokes: Mapping[Place, tuple[PlaneChange, ...]] | None = None,
        handed: frozenset[Spot] = frozenset(),
    ) -> None:
        """Make one step of all that is new in the layers, and of what is given.

        Parameters
        ----------
        title : str
        painted : mapping, optional
            Masks that are new; None takes one away.
        accepted : frozenset of Spot, optional
            All that is accepted from now on.
        strokes : mapping, optional
            What was painted into the labels, by place.
        handed : frozenset of Spot
            Of the masks that are new, those that nobody drew.
        """
        workspace, before = self.workspace, self._state
        if workspace is None or before is None:
            return
        halt(self.soon)
        if painted is not None:
            kept = {**workspace.said.painted, **painted}
            masks = {spot: mask for spot, mask in kept.items() if mask is not None}
            others = workspace.said.handed - painted.keys()
            workspace.said = replace(workspace.said, painted=masks, handed=others | handed)
        if accepted is not None:
            workspace.said = replace(workspace.said, accepted=accepted)
        workspace.marks.repaint()
        old, self.prompts = self.prompts, workspace.read_prompts()
        places = {
            p
            for p in old.by_place.keys() | self.prompts.by_place.keys()
            if old.at(p) != self.prompts.at(p)
        }
        if accepted is None:
            self._lift_acceptance(workspace, old, places)
        prompted = tuple(sorted(places))
        changed = workspace.said.accepted ^ before.said.accepted
        places |= {place for place, _, _ in changed} | set(strokes or ())
        self._state = workspace.state()
        if places:
            parts = tuple((place, self.past.new_number()) for place in sorted(places))
            self.past.add(Step(parts, title, before, self._state))
            for place, number in parts:
                self._send(place, number, (strokes or {}).get(place, ()))
        if prompted:
            self.prompted.emit(prompted)
        self.changed.emit()

    def name(self, object_id: int, name: str) -> None:
        """Give an object a name; an empty one takes it away."""
        workspace = self.workspace
        if workspace is not None:
            names = {**workspace.said.names, object_id: name}
            names = {number: each for number, each in names.items() if each}
            workspace.said = replace(workspace.said, names=names)
            self._state = workspace.state()
            self.changed.emit()

    def edit(self, edit: ObjectEdit, title: str, place: Place | None = None) -> None:
        """Change an object of a stack; of the one in view by default."""
        self.listen()
        workspace, state = self.workspace, self._state
        here = None if workspace is None else workspace.here()
        place = here[0] if place is None and here is not None else place
        spec = None if place is None else self._spec(place)
        if place is None or spec is None or state is None:
            return
        number = self.past.new_number()
        self._places[number], self._edits[number] = place, edit
        self.past.add(Step(((place, number),), title, state, state))
        wanted = self.wanted(place)
        self._engine.submit(EditRequest(self.generation, spec, wanted, number, edit))
        self.changed.emit()

    def run(self, place: Place, plan: RunPlan) -> None:
        """Carry the objects of a stack through it."""
        state, spec = self._state, self._spec(place)
        if spec is None or state is None:
            return
        number = self.past.new_number()
        self._places[number] = place
        self.past.add(Step(((place, number),), "propagation", state, state))
        self._engine.submit_run(RunRequest(self.generation, spec, self.wanted(place), number, plan))

    def replay(self, files: Mapping[Place, SessionFile], state: WindowState) -> None:
        """Put the prompts of session files in place of all there are, as one step.

        Parameters
        ----------
        files : mapping of Place to SessionFile
            One for each stack that is concerned.
        state : WindowState
            What the window is to hold: the same, and what is left of other stacks.
        """
        self.listen()
        before = self._state
        if self.workspace is None or before is None:
            return
        self._show(state)
        parts = tuple((place, self.past.new_number()) for place in sorted(files))
        self.past.add(Step(parts, "opened session", before, state))
        for place, number in parts:
            spec = self._spec(place)
            if spec is not None:
                self._places[number] = place
                wanted = self.wanted(place)
                self._engine.submit(
                    ReplayRequest(self.generation, spec, wanted, number, files[place])
                )
        self.prompted.emit(tuple(sorted(files)))
        self.changed.emit()

    def hand_over(self, place: Place, there: Place, plan: RunPlan) -> None:
        """Have the objects of a volume looked for in the next one."""
        workspace, spec = self.workspace, self._spec(place)
        if workspace is not None and spec is not None:
            ids = going_on(self.prompts, workspace.said, place, there, plan)
            known = self.generation, spec, self.wanted(place), 0
            self._engine.submit_hand_over(HandOverRequest(*known, there, ids, plan))

    def undo(self) -> None:
        """Take the last step back."""
        self.listen()
        step = self.past.undo()
        if step is not None:
            self._show(step.before)
            for place, number in reversed(step.parts):
                self._send_undo(place, number, again=False)
        self.changed.emit()

    def redo(self) -> None:
        """Make the last step again that was taken back."""
        self.listen()
        step = self.past.redo()
        if step is not None:
            self._show(step.after)
            for place, number in step.parts:
                self._send_undo(place, number, again=True)
        self.changed.emit()

    def done(self, answer: Done) -> None:
        """Take in what the worker says that has changed."""
        place, edit = self._places.get(answer.step), self._edits.pop(answer.step, None)
        here = None if self.workspace is None else self.workspace.here()
        if place is None and here is not None:
            place = here[0]
        if place is not None:
            self.shelf.put(place, answer.records)
            if answer.told is not None:
                self.told[place] = answer.told
        workspace, changed = self.workspace, answer.changed
        if workspace is not None and place is not None and edit is not None and changed is not None:
            adopt(workspace, place, edit, changed)
            self.prompts, self._state = workspace.read_prompts(), workspace.state()
            self.past.complete(answer.step, self._state)
        self.changed.emit()

    def run_split(self, place: Place, number: int) -> None:
        """Make a step of what a run does after a prompt that came in between."""
        state = self._state
        if state is not None:
            self._places[number] = place
            self.past.insert(Step(((place, number),), "propagation", state, state))

    def failed(self, number: int | None) -> None:
        """Forget an edit that could not be made."""
        if number is not None and self._edits.pop(number, None) is not None:
            self.past.cancel(number)
            self.changed.emit()

    def wanted(self, place: Place) -> Wanted:
        """Return all that a session of this stack is to know."""
        workspace = self.workspace
        accepted = frozenset() if workspace is None else workspace.said.accepted_at(place)
        return Wanted(self.prompts.at(place), accepted)

    def _lift_acceptance(
        self, workspace: Workspace, old: StackPrompts, places: Iterable[Place]
    ) -> None:
        """Accept no longer what is prompted anew."""
        lifted = set()
        for place in places:
            before = {placed.place: placed.prompt for placed in old.at(place)}
            for placed in self.prompts.at(place):
                if before.get(placed.place) != placed.prompt:
                    lifted.add((place, placed.object_id, placed.frame))
        kept = workspace.said.accepted - lifted
        if kept != workspace.said.accepted:
            workspace.said = replace(workspace.said, accepted=kept)

    def _show(self, state: WindowState) -> None:
        if self.workspace is not None:
            self.workspace.show_state(state)
            self.prompts, self._state = self.workspace.read_prompts(), self.workspace.state()
            halt(self.soon)

    def _spec(self, place: Place) -> SessionSpec | None:
        if self.workspace is None or not self._models.has_model:
            return None
        return self.workspace.spec(place, self._models.use)

    def _send(self, place: Place, number: int, strokes: tuple[PlaneChange, ...] = ()) -> None:
        spec = self._spec(place)
        if spec is not None:
            self._places[number] = place
            wanted = self.wanted(place)
            self._engine.submit(PromptRequest(self.generation, spec, wanted, number, strokes))

    def _send_undo(self, place: Place, number: int, *, again: bool) -> None:
        spec = self._spec(place)
        if spec is not None:
            to = number if again else self.past.number_at(place)
            wanted = self.wanted(place)
            self._engine.submit(UndoRequest(self.generation, spec, wanted, number, to, again))
