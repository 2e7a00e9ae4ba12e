"""The annotation controller: sends prompts and edits to the session worker, undoes and redoes.

Main thread only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.labels import PlaneChange
from napari_sam2.prompts import FramePrompt, SessionFile
from napari_sam2.widgets.controllers.undo_stack import Step, UndoStack
from napari_sam2.widgets.controllers.volume_handover import going_on
from napari_sam2.widgets.layers.prompt_reader import StackPrompts
from napari_sam2.widgets.layers.prompt_writer import adopted
from napari_sam2.widgets.layers.snapshot import Acceptance, UserState, WindowSnapshot
from napari_sam2.widgets.state.object_edits import AddFound, ObjectEdit
from napari_sam2.widgets.state.object_records import ObjectRecords
from napari_sam2.widgets.state.positions import MaskKey, StackPosition
from napari_sam2.widgets.state.session_spec import (
    Annotations,
    RunPlan,
    SessionFeedback,
)
from napari_sam2.widgets.throttle import DelayedCall, halt
from napari_sam2.widgets.views.notifications import show_done
from napari_sam2.widgets.worker.messages import (
    AdaptRequest,
    Done,
    EditRequest,
    HandOverRequest,
    JoinRequest,
    KeepRequest,
    PromptRequest,
    ProposeRequest,
    ReplayRequest,
    Request,
    RunRequest,
    SearchRequest,
    UndoRequest,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.widgets.controllers.model import ModelController
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.state.search import SearchPlan
    from napari_sam2.widgets.state.settings import ModelUse
    from napari_sam2.widgets.worker.adaptation import AdaptPlan
    from napari_sam2.widgets.worker.session_worker import SessionWorker


_NOWHERE: frozenset[MaskKey] = frozenset()
_TAKEN_BACK = "What was done while the session was being opened has been taken back too."


def _kept_as_accepted(mask_keys: frozenset[MaskKey]) -> str:
    """Say what became of objects that lost their last prompt."""
    ids = sorted({object_id for _, object_id, _ in mask_keys})
    names = ", ".join(map(str, ids))
    who, its = ("Object", "its") if len(ids) == 1 else ("Objects", "their")
    has = "has" if len(ids) == 1 else "have"
    return (
        f"{who} {names} {has} no prompt any more: {its} masks in {len(mask_keys)} frames are kept "
        "as accepted ones until it is prompted again. To remove an object, select it in the table "
        "and press Delete."
    )


class AnnotationController(QObject):
    """Sends the prompts and edits of a workspace to the worker. Main thread only.

    Parameters
    ----------
    models : ModelController
        What is chosen.
    session_worker : SessionWorker
        Does the work.

    Signals
    -------
    prompted(tuple)
        Prompts of these stacks are others than before; they have been sent.
    edited(tuple)
        Objects of these stacks are being changed.
    rewound(tuple)
        Steps of these stacks were taken back, or made again.
    model_needed(ModelUse)
        A step was taken back, or made again, that had changed the model: this one is needed now.
    replayed(bool)
        Session files were taken in; or that has failed, and all is as it was before.
    changed()
        Prompts, acceptance, records or steps are others than before.

    Attributes
    ----------
    workspace : Workspace or None
        The layers that are annotated.
    generation : int
        Of the newest requests: answers to older ones are dropped.
    prompts : StackPrompts
        Prompts of all stacks, as the layers hold them.
    undo_stack : UndoStack
    object_records : ObjectRecords
    feedback : dict of StackPosition to SessionFeedback
        What the worker has made of the prompts of each stack.
    """

    prompted = Signal(object)
    edited = Signal(object)
    rewound = Signal(object)
    model_needed = Signal(object)
    replayed = Signal(bool)
    changed = Signal()

    def __init__(self, models: ModelController, session_worker: SessionWorker) -> None:
        super().__init__()
        self._models, self._session_worker = models, session_worker
        self.workspace: Workspace | None = None
        self.generation = 0
        self._edits: dict[int, tuple[StackPosition, ObjectEdit]] = {}  # not answered yet, by step
        self.prompts = StackPrompts()
        self.undo_stack, self.object_records = UndoStack(), ObjectRecords()
        self.feedback: dict[StackPosition, SessionFeedback] = {}
        self._state: WindowSnapshot | None = None  # as of the last step
        # Prompted while an edit is under way, by step.
        self._fresh: dict[int, frozenset[MaskKey]] = {}
        self._undos = 0  # that wait until it is answered
        self._replay: Step | None = None  # until all its parts are answered
        self._replay_left: set[int] = set()  # numbers of those that are not
        self._stop_replay = threading.Event()
        self._postponed: list[Callable[[], None]] = []  # until then
        # Masks that were accepted because their object lost its last prompt.
        self._promptless: dict[tuple[StackPosition, int], frozenset[MaskKey]] = {}
        self._acceptance = Acceptance()
        self._annotations: dict[
            StackPosition, Annotations
        ] = {}  # as of the last call of `annotations`
        self._current: set[StackPosition] = set()  # those of these stacks are up to date
        self.soon = DelayedCall(self, self.read_layers)

    @property
    def here(self) -> tuple[StackPosition, int] | None:
        """Stack and frame in view; None beside the image, and before the start."""
        return None if self.workspace is None else self.workspace.here()

    @property
    def editing(self) -> bool:
        """Whether an edit of objects is not answered yet."""
        return bool(self._edits)

    @property
    def unanswered(self) -> frozenset[int]:
        """Steps that say more than prompts do, and are not answered yet."""
        return frozenset(self._edits) | self._replay_left

    @property
    def replaying(self) -> bool:
        """Whether masks of session files are on their way: the labels do not hold them yet."""
        return self._replay is not None

    @property
    def settled(self) -> bool:
        """Whether all prompts in the layers have been sent."""
        return not self.soon.isActive()

    def open(self, workspace: Workspace) -> None:
        """Begin with the prompts that its layers hold."""
        self.workspace = workspace
        self._expire()
        self._state = workspace.state()
        self._take(workspace.read_prompts())

    def close(self) -> None:
        """Leave the workspace; what is under way is of no interest any more."""
        halt(self.soon)
        self.workspace = None
        self._replay = None
        self._replay_left.clear()
        self._postponed.clear()
        self._expire()
        self._state = None
        self._take(StackPrompts())
        self._annotations.clear()

    def forget(self) -> None:
        """Forget all steps, and all that was known of the objects."""
        self.undo_stack.clear()
        self.object_records.clear()
        self._promptless.clear()
        self.feedback.clear()

    def forget_results(self) -> None:
        """Forget what was known of the masks, but no step: they are measured anew."""
        self.object_records.clear()
        self.feedback.clear()

    def renew(self) -> None:
        """Open a new session with all annotations of the stack in view, as soon as it can be."""
        if self.postpone(self.renew):
            return
        position = self._position_in_view()
        self._expire()
        if position is not None:
            self._request(PromptRequest, position, 0)
        self.changed.emit()

    def postpone(self, begin: Callable[[], None]) -> bool:
        """Have a new session begun when what is under way is answered; False if nothing is.

        Its answers would be dropped, and part of it would be done only.
        """
        if not self._edits and not self.replaying:
            return False
        self._postponed.append(begin)
        return True

    def read_layers(self) -> None:
        """Read prompts from the layers, and send what is new to the worker."""
        self.record_change("prompt")

    def record_change(
        self,
        title: str,
        *,
        painted: Mapping[MaskKey, FramePrompt | None] | None = None,
        accepted: frozenset[MaskKey] | None = None,
        strokes: Mapping[StackPosition, tuple[PlaneChange, ...]] | None = None,
        handed: frozenset[MaskKey] = frozenset(),
    ) -> None:
        """Make one step of all that is new in the layers, and of what is given.

        Parameters
        ----------
        title : str
        painted : mapping, optional
            Masks that are new; None takes one away.
        accepted : frozenset of MaskKey, optional
            All that is accepted from now on.
        strokes : mapping, optional
            What was painted into the labels, by stack.
        handed : frozenset of MaskKey
            Of the masks that are new, those that nobody drew.
        """
        workspace, before = self.workspace, self._state
        if workspace is None or before is None:
            return
        self.soon.stop()
        known = user_state = workspace.user_state
        if painted or handed:
            user_state = user_state.drawn(painted or {}, handed)
        if accepted is not None:
            user_state = replace(user_state, accepted=accepted)
        if user_state is not known:
            workspace.user_state = user_state  # painted masks are read as prompts
        known = user_state
        workspace.marks.repaint()
        old = self.prompts
        self._take(workspace.read_prompts())
        prompted, new, fewer = self.prompts.changes_since(old)
        # What is prompted anew is accepted no longer.
        lifted = new & user_state.accepted if accepted is None else _NOWHERE
        lifted |= self._prompted_again(old, new) if self._promptless else _NOWHERE
        if lifted:
            user_state = replace(user_state, accepted=user_state.accepted - lifted)
        if fewer:
            user_state = self._keep_promptless(user_state, old, painted or {}, before)
        if user_state.found:
            seen = new | (user_state.accepted - before.user_state.accepted)
            user_state = user_state.looked_at({mask_key[:2] for mask_key in seen})
        if user_state is not known:
            workspace.user_state = user_state
        self._state = workspace.state()
        accepted_elsewhere = user_state.positions_accepted_unlike(before.user_state)
        positions = sorted(prompted | accepted_elsewhere | set(strokes or ()))
        if positions:
            step = self._new_step(positions, title, before, self._state)
            if self._edits:
                self._fresh[max(step.numbers)] = new
            for position, number in step.parts:
                self._request(PromptRequest, position, number, (strokes or {}).get(position, ()))
        if prompted:
            self.prompted.emit(tuple(sorted(prompted)))
        self.changed.emit()

    def _keep_promptless(
        self,
        user_state: UserState,
        old: StackPrompts,
        painted: Mapping[MaskKey, FramePrompt | None],
        before: WindowSnapshot,
    ) -> UserState:
        """Accept the masks of objects that have just lost their last prompt, and say so."""
        kept = self._masks_without_prompt(old, painted, user_state.accepted, before)
        if not kept:
            return user_state
        for position, number in {mask_key[:2] for mask_key in kept}:
            ours = {mask_key for mask_key in kept if mask_key[:2] == (position, number)}
            self._promptless[position, number] = frozenset(ours)
        show_done(_kept_as_accepted(kept))
        return replace(user_state, accepted=user_state.accepted | kept)

    def _masks_without_prompt(
        self,
        old: StackPrompts,
        painted: Mapping[MaskKey, FramePrompt | None],
        accepted: frozenset[MaskKey],
        state: WindowSnapshot,
    ) -> frozenset[MaskKey]:
        """Return the masks of objects that have just lost their last prompt.

        Without a prompt or an accepted mask an object would be taken out of all frames. One that is
        in a single frame goes with its prompt: nothing else was made of it. A frame from which it
        was erased is not among them, and masks handed over from another volume come and go with it.
        """
        kept: set[MaskKey] = set()
        for position, before in old.by_position.items():
            had = {placed.object_id for placed in before}
            lost = had - {placed.object_id for placed in self.prompts.at(position)}
            for number in sorted(lost):
                frames = self.object_records.frames(position, number)
                mask_keys = {(position, number, frame) for frame in frames} - painted.keys()
                prompted = {p.frame for p in before if p.object_id == number}
                if {(position, number, f) for f in prompted} <= state.user_state.handed:
                    continue
                if mask_keys & accepted or not set(frames) - prompted:
                    continue
                kept |= mask_keys
        return frozenset(kept)

    def _prompted_again(self, old: StackPrompts, new: frozenset[MaskKey]) -> frozenset[MaskKey]:
        """Return the masks that were kept for an object without prompts and that has one again."""
        lifted: set[MaskKey] = set()
        for position, number in {(position, object_id) for position, object_id, _ in new}:
            masks = self._promptless.pop((position, number), frozenset())
            if all(placed.object_id != number for placed in old.at(position)):
                lifted |= masks
        return frozenset(lifted)

    def name(self, object_id: int, name: str) -> None:
        """Give an object a name, as a step of its own; an empty one takes it away."""
        self.read_layers()
        workspace, before = self.workspace, self._state
        if workspace is None or before is None:
            return
        if workspace.user_state.names.get(object_id, "") == name:
            return
        workspace.user_state = workspace.user_state.named(object_id, name)
        self._state = workspace.state()
        number = self.undo_stack.new_number()
        title = f"name of object {object_id}"
        self.undo_stack.add(Step((), title, before, self._state, number=number))
        self.changed.emit()

    def edit(self, edit: ObjectEdit, title: str, position: StackPosition | None = None) -> None:
        """Change an object of a stack; of the one in view by default."""
        self.read_layers()
        state = self._state
        position = self._position_in_view() if position is None else position
        if position is not None and state is not None and self._models.has_model:
            searched = isinstance(edit, AddFound)
            ((_, number),) = self._new_step([position], title, state, state, searched).parts
            if self._request(EditRequest, position, number, edit):
                self._edits[number] = position, edit
                self._current.clear()
                self.edited.emit((position,))
            self.changed.emit()

    def search(self, position: StackPosition, plan: SearchPlan) -> bool:
        """Have objects looked for; return whether that is possible."""
        self.read_layers()
        return self._request(SearchRequest, position, 0, plan)

    def add_found(
        self, position: StackPosition, search: int, chosen: Mapping[int, int | None], title: str
    ) -> tuple[int, ...]:
        """Make objects of what a search has found, as one step; return the ids for them.

        `chosen`: by their numbers, the objects that they continue, if any.
        """
        self.read_layers()
        workspace = self.workspace
        first_ids = frozenset() if workspace is None else workspace.first_ids
        there = frozenset(self.object_records.objects(position))
        first = max(self.taken_ids() | first_ids | there, default=0) + 1
        new = count(first)
        ids = tuple(next(new) if number is None else number for number in chosen.values())
        self.edit(AddFound(search, tuple(chosen), ids), title, position)
        return ids

    def join_steps(self, position: StackPosition, since: int, title: str) -> None:
        """Make one step of those above a number that a search through a stack has made."""
        numbers = self.undo_stack.join(position, since, title)
        if len(numbers) > 1:
            self._request(JoinRequest, position, 0, numbers)
        self.changed.emit()

    def run(self, position: StackPosition, plan: RunPlan) -> None:
        """Carry the objects of a stack through it."""
        state = self._state
        if state is not None and self._models.has_model:
            step = self._new_step([position], "propagation", state, state, searched=True)
            ((_, number),) = step.parts
            self._request(RunRequest, position, number, plan)

    def replay(
        self,
        files: Mapping[StackPosition, SessionFile],
        state: WindowSnapshot,
        results: Callable[[StackPosition], Path] | None = None,
    ) -> None:
        """Put the prompts of session files in place of all there are, as one step.

        Emits `replayed` in the end.

        Parameters
        ----------
        files : mapping of StackPosition to SessionFile
            One for each stack that is concerned.
        state : WindowSnapshot
            What the window is to hold: the same, and what is left of other stacks.
        results : callable, optional
            Gives the folder with the results of a stack, which it goes on with.
        """
        self.read_layers()
        workspace, before = self.workspace, self._state
        if workspace is None or before is None:
            return
        self._show(state)
        step = self._new_step(sorted(files), "opened session", before, state)
        self._replay, self._replay_left = step, set(step.numbers)
        self._stop_replay = threading.Event()
        kept, workspace.results = workspace.results, results
        for position, number in step.parts:
            self._request(ReplayRequest, position, number, files[position], self._stop_replay)
        # Until it is done, no other request may write to that folder.
        workspace.results = kept
        self.prompted.emit(tuple(sorted(files)))
        self.changed.emit()

    def abandon_replay(self, *, views_alive: bool = True) -> None:
        """Have session files taken in no further before the workspace is left.

        What they had replaced is shown again; without views, points and shapes stay.
        """
        step, workspace = self._replay, self.workspace
        if step is None or workspace is None:
            return
        self._stop_replay.set()
        self._replay, self._replay_left = None, set(step.numbers)
        if views_alive:
            self._show(step.before)
        else:
            workspace.user_state = step.before.user_state

    def _replay_failed(self, number: int) -> None:
        """Show what session files had replaced; what was done since is taken back too."""
        step, position = self._replay, self._position_in_view()
        if step is None:
            return
        self._stop_replay.set()
        self._replay, undos = None, self._undos
        since = self.undo_stack.cancel_from(number)
        self._expire()
        self._show(step.before)
        self._replay_left.clear()
        # The labels of its other stacks may hold masks of their files by now.
        for where, other in step.parts:
            if other != number:
                self._request(UndoRequest, where, other, self.undo_stack.number_at(where))
        if since:
            show_done(_TAKEN_BACK)
            if position is not None:
                self._request(PromptRequest, position, 0)
        self.prompted.emit(tuple(sorted(where for where, _ in step.parts)))
        self.replayed.emit(False)
        self._undos = max(0, undos - 1 - since)  # the first of them were for these steps

    def keep_results(self) -> None:
        """Have the results of the stack in view kept where the workspace says from now on."""
        here = self.here
        if here is not None:
            self._request(KeepRequest, here[0], 0)

    def hand_over(self, position: StackPosition, there: StackPosition, plan: RunPlan) -> None:
        """Have the objects of a volume looked for in the next one."""
        workspace = self.workspace
        if workspace is not None:
            ids = going_on(self.prompts, workspace.user_state, position, there, plan)
            self._request(HandOverRequest, position, 0, there, ids, plan)

    def adapt(self, position: StackPosition, plan: AdaptPlan) -> bool:
        """Have it read what the model can learn from a stack; return whether that is possible."""
        self.read_layers()
        return self._request(AdaptRequest, position, 0, plan)

    def propose_divisions(self, position: StackPosition, stop: threading.Event) -> bool:
        """Have divisions looked for in a stack until `stop`; return whether that is possible."""
        self.read_layers()
        return self._request(ProposeRequest, position, 0, stop)

    def note_model(self, before: ModelUse, after: ModelUse) -> None:
        """Make one step of a model that was taken into use."""
        state = self._state
        if state is not None:
            number = self.undo_stack.new_number()
            self.undo_stack.add(Step((), "adapted model", state, state, (before, after), number))
        self.changed.emit()

    def undo(self) -> None:
        """Take the last step back; if an object is being edited, as soon as that is done."""
        self.read_layers()
        if self._edits or self.replaying:
            self._undos += 1
            return
        step = self.undo_stack.undo()
        if step is not None:
            self._show(step.before)
            for position, number in reversed(step.parts):
                to = self.undo_stack.number_at(position)
                self._request(UndoRequest, position, number, to)
            if step.models is not None:
                self.model_needed.emit(step.models[0])
            self.rewound.emit(tuple(position for position, _ in step.parts))
        self.changed.emit()

    def redo(self) -> None:
        """Make the last step again that was taken back."""
        self.read_layers()
        step = self.undo_stack.redo()
        if step is not None:
            self._show(step.after)
            for position, number in step.parts:
                self._request(UndoRequest, position, number, number, again=True)
            if step.models is not None:
                self.model_needed.emit(step.models[1])
            self.rewound.emit(tuple(position for position, _ in step.parts))
        self.changed.emit()

    def done(self, answer: Done) -> None:
        """Take in what has changed in a session."""
        position, edit = answer.position, None
        whole = self._replay_left == {answer.step}
        self._replay_left.discard(answer.step)
        if whole:
            self._replay = None
            self.replayed.emit(True)
        if answer.step in self._edits:
            self.read_layers()  # marks of now must not be taken for a part of its outcome
            edit = self._answered_edit(answer.step)
        self.object_records.put(position, answer.records)
        self.object_records.set_outdated(position, answer.outdated)
        if answer.feedback is not None:
            self.feedback[position] = answer.feedback
        if edit is not None and answer.changed is not None:
            self._take_outcome(answer.step, position, edit, answer.changed)
            self._send_fresh(answer.step, position, edit)
        self.changed.emit()
        if edit is not None or whole:
            self._after_edit()

    def _take_outcome(
        self, number: int, position: StackPosition, edit: ObjectEdit, changed: Annotations
    ) -> None:
        """Show what an edit has changed; take it into the steps that were made since, too."""
        workspace, now = self.workspace, self._state
        if workspace is None or now is None:
            return
        known: dict[WindowSnapshot, WindowSnapshot] = {}  # steps share states

        def outcome(state: WindowSnapshot, last: int) -> WindowSnapshot:
            if state not in known:
                fresh = self._fresh_since(number, last)
                known[state] = adopted(workspace, state, position, edit, changed, fresh)
            return known[state]

        self.undo_stack.complete(number, outcome)
        self._show(outcome(now, self.undo_stack.last_number), now)

    def _fresh_since(self, number: int, last: int) -> frozenset[MaskKey]:
        """Return what was prompted after a step, up to the last one."""
        fresh = [new for step, new in self._fresh.items() if number < step <= last]
        return frozenset().union(*fresh)

    def _send_fresh(self, number: int, position: StackPosition, edit: ObjectEdit) -> None:
        """Send what was prompted of an edit's objects since: it had to wait for the answer."""
        fresh = self._fresh_since(number, self.undo_stack.last_number)
        if any(where == position and i in edit.objects for where, i, _ in fresh):
            self._request(PromptRequest, position, self.undo_stack.number_at(position))

    def run_split(self, position: StackPosition, number: int) -> None:
        """Make a step of what a run does after a prompt that came in between."""
        state = self._state
        if state is not None:
            part = (position, number)
            self.undo_stack.insert(Step((part,), "propagation", state, state, searched=True))

    def failed(self, number: int | None) -> None:
        """Forget an edit that could not be made, or session files that could not be taken in."""
        if number is not None and number in self._replay_left:
            self._replay_failed(number)
            self.changed.emit()
            self._after_edit()
            return
        position, edit = self._edits.get(number or 0, ((), None))
        if number is not None and edit is not None:
            self._answered_edit(number)
            if self.undo_stack.cancel(number) < self._undos:
                self._undos -= 1  # one of them was for this edit
            self._send_fresh(number, position, edit)
            self.changed.emit()
            self._after_edit()

    def annotations(self, position: StackPosition) -> Annotations:
        """Return all that a session of this stack is to know."""
        if position in self._current:
            return self._annotations[position]
        unsure: set[int] = set()
        for where, edit in self._edits.values():
            if where == position:
                unsure.update(edit.objects)
        user_state = UserState() if self.workspace is None else self.workspace.user_state
        self._acceptance.sort(user_state.accepted)
        new = Annotations(
            self.prompts.at(position),
            self._acceptance.at(position),
            frozenset(unsure),
            user_state.divisions_at(position) if user_state.divisions else (),
        )
        # One value as long as nothing changes: views compare it, and it sorts itself only once.
        if not new.is_just(self._annotations.get(position)):
            self._annotations[position] = new
        self._current.add(position)
        return self._annotations[position]

    def taken_ids(self) -> frozenset[int]:
        """Return the objects that have prompts in any stack, or labels in the one in view."""
        position = self._position_in_view()
        known = () if position is None else self.object_records.objects(position)
        edited = [number for _, edit in self._edits.values() for number in edit.objects]
        return self.prompts.object_ids | frozenset(known) | frozenset(edited)

    def positions(self) -> frozenset[StackPosition]:
        """Return the stacks that have annotations."""
        accepted = _NOWHERE if self.workspace is None else self.workspace.user_state.accepted
        self._acceptance.sort(accepted)
        return self._acceptance.positions | self.prompts.by_position.keys()

    def _after_edit(self) -> None:
        """Do what had to wait for an edit, once no other is under way."""
        if not self._edits and not self.replaying:
            undos = self._undos
            self._forget_edits()
            for _ in range(undos):
                self.undo()
            postponed, self._postponed = self._postponed, []
            for begin in postponed:
                begin()

    def _expire(self) -> None:
        """Drop answers to all that was asked so far."""
        self.generation += 1
        self._edits.clear()
        self._current.clear()
        self._forget_edits()

    def _take(self, prompts: StackPrompts) -> None:
        """Take over prompts and acceptance as the layers hold them now."""
        self.prompts = prompts
        self._current.clear()

    def _answered_edit(self, step: int) -> ObjectEdit | None:
        """Return the edit that a step is, once: it is answered now."""
        _, edit = self._edits.pop(step, (None, None))
        if edit is not None:
            self._current.clear()
        return edit

    def _position_in_view(self) -> StackPosition | None:
        here = self.here
        return None if here is None else here[0]

    def _request(
        self,
        kind: Callable[..., Request],
        position: StackPosition,
        step: int,
        *values: object,
        **options: bool,
    ) -> bool:
        """Send a request for the session of a stack, with all annotations that it is to know.

        Parameters
        ----------
        kind : class
            Of the request.
        position : StackPosition
        step : int
            Number of the step of the history that the request is; 0 if it is none.
        *values, **options
            The other fields of this kind of request.

        Returns
        -------
        bool
            Whether there is a workspace and a model, so that it was sent.
        """
        if self.workspace is None or not self._models.has_model:
            return False
        spec = self.workspace.spec(position, self._models.use)
        known = self.generation, spec, self.annotations(position), step
        self._session_worker.submit(kind(*known, *values, **options))
        return True

    def _forget_edits(self) -> None:
        self._fresh, self._undos = {}, 0

    def _new_step(
        self,
        positions: Collection[StackPosition],
        title: str,
        before: WindowSnapshot,
        after: WindowSnapshot,
        searched: bool = False,
    ) -> Step:
        parts = tuple([(position, self.undo_stack.new_number()) for position in positions])
        step = Step(parts, title, before, after, searched=searched)
        self.undo_stack.add(step)
        return step

    def _show(self, state: WindowSnapshot, known: WindowSnapshot | None = None) -> None:
        if self.workspace is not None:
            self.workspace.show_state(state, known)
            self._take(self.workspace.read_prompts())
            self._state = self.workspace.state()
            halt(self.soon)
