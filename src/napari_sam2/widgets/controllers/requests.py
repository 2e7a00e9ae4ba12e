"""Requests to the session worker about one workspace, until they are answered.

Main thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.labels import PlaneChange
from napari_sam2.prompts import SessionFile
from napari_sam2.widgets.state.object_edits import ObjectEdit
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.session_spec import Annotations, RunPlan, SessionSpec
from napari_sam2.widgets.worker.adaptation import AdaptPlan
from napari_sam2.widgets.worker.messages import (
    AdaptRequest,
    EditRequest,
    HandOverRequest,
    PromptRequest,
    ReplayRequest,
    RunRequest,
    UndoRequest,
)

if TYPE_CHECKING:
    from napari_sam2.widgets.controllers.model import ModelController
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.worker.session_worker import SessionWorker


class RequestSender:
    """Sends requests about the stacks of a workspace, if there is a model. Main thread only.

    Every request is a step of the history, by its number, and concerns one stack.

    Parameters
    ----------
    models : ModelController
        What is chosen.
    engine : SessionWorker
        Does the work.

    Attributes
    ----------
    workspace : Workspace or None
        What the requests are about.
    generation : int
        Requests carry it; what is answered to an older one is of no interest.
    """

    def __init__(self, models: ModelController, engine: SessionWorker) -> None:
        self._models, self._engine = models, engine
        self.workspace: Workspace | None = None
        self.generation = 0
        self._positions: dict[int, StackPosition] = {}  # of what was sent, by step
        self._edits: dict[int, tuple[StackPosition, ObjectEdit]] = {}  # that are under way, by step

    @property
    def ready(self) -> bool:
        """Whether anything can be asked."""
        return self.workspace is not None and self._models.has_model

    def begin(self, workspace: Workspace | None) -> None:
        """Ask about another workspace from now on, or about none."""
        self.workspace = workspace
        self.expire()

    def expire(self) -> None:
        """Have what is under way be of no interest any more."""
        self.generation += 1
        self._edits.clear()

    def position_of(self, step: int) -> StackPosition | None:
        """Return the stack that a step concerned; None if it was not sent."""
        return self._positions.get(step)

    @property
    def editing(self) -> bool:
        """Whether any edit is not answered yet."""
        return bool(self._edits)

    def edited(self, position: StackPosition) -> frozenset[int]:
        """Return the objects of a stack whose edits are not answered yet."""
        edits = (edit for where, edit in self._edits.values() if where == position)
        return frozenset(number for edit in edits for number in edit.objects)

    def is_edit(self, step: int) -> bool:
        """Whether a step is an edit that is not answered yet."""
        return step in self._edits

    def take_edit(self, step: int) -> ObjectEdit | None:
        """Return the edit that a step is, once: it is answered now."""
        _, edit = self._edits.pop(step, (None, None))
        return edit

    def send_prompts(
        self,
        position: StackPosition,
        step: int,
        annotations: Annotations,
        strokes: tuple[PlaneChange, ...] = (),
    ) -> None:
        """Have a session know all that is wanted."""
        spec = self._spec(position, step)
        if spec is not None:
            self._engine.submit(PromptRequest(self.generation, spec, annotations, step, strokes))

    def send_edit(
        self, position: StackPosition, step: int, annotations: Annotations, edit: ObjectEdit
    ) -> None:
        """Have an object changed."""
        spec = self._spec(position, step)
        if spec is not None:
            self._edits[step] = position, edit
            self._engine.submit(EditRequest(self.generation, spec, annotations, step, edit))

    def send_replay(
        self, position: StackPosition, step: int, annotations: Annotations, saved: SessionFile
    ) -> None:
        """Have a session file taken in; `annotations` says the same."""
        spec = self._spec(position, step)
        if spec is not None:
            self._engine.submit(ReplayRequest(self.generation, spec, annotations, step, saved))

    def send_run(
        self, position: StackPosition, step: int, annotations: Annotations, plan: RunPlan
    ) -> None:
        """Have objects carried through a stack."""
        spec = self._spec(position, step)
        if spec is not None:
            self._engine.submit_run(RunRequest(self.generation, spec, annotations, step, plan))

    def note_split(self, position: StackPosition, step: int) -> None:
        """Note that a run in a stack goes on as another step."""
        self._positions[step] = position

    def send_hand_over(
        self,
        position: StackPosition,
        there: StackPosition,
        annotations: Annotations,
        ids: frozenset[int],
        plan: RunPlan,
    ) -> None:
        """Have objects looked for in the next volume, which is no step."""
        spec = self._spec(position)
        if spec is not None:
            known = self.generation, spec, annotations, 0
            self._engine.submit_hand_over(HandOverRequest(*known, there, ids, plan))

    def send_adapt(
        self, position: StackPosition, annotations: Annotations, plan: AdaptPlan
    ) -> bool:
        """Have it read what the model can learn from, which is no step; return whether it is."""
        spec = self._spec(position)
        if spec is not None:
            self._engine.submit(AdaptRequest(self.generation, spec, annotations, 0, plan))
        return spec is not None

    def send_undo(
        self,
        position: StackPosition,
        step: int,
        annotations: Annotations,
        to: int,
        *,
        again: bool = False,
    ) -> None:
        """Have a step taken back, or made again; `to` is the last one afterwards."""
        spec = self._spec(position)
        if spec is not None:
            self._engine.submit(UndoRequest(self.generation, spec, annotations, step, to, again))

    def _spec(self, position: StackPosition, step: int | None = None) -> SessionSpec | None:
        """Describe the session of a stack, and note that a step concerns it."""
        if self.workspace is None or not self._models.has_model:
            return None
        if step is not None:
            self._positions[step] = position
        return self.workspace.spec(position, self._models.use)
