"""Requests to the session worker about one workspace, until they are answered.

Main thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.labels import PlaneChange
from napari_sam2.prompts import SessionFile
from napari_sam2.widgets.state.object_edits import ObjectEdit
from napari_sam2.widgets.state.positions import Place
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
        self._places: dict[int, Place] = {}  # of what was sent, by step
        self._edits: dict[int, tuple[Place, ObjectEdit]] = {}  # that are under way, by step

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

    def place_of(self, step: int) -> Place | None:
        """Return the stack that a step concerned; None if it was not sent."""
        return self._places.get(step)

    @property
    def editing(self) -> bool:
        """Whether any edit is not answered yet."""
        return bool(self._edits)

    def edited(self, place: Place) -> frozenset[int]:
        """Return the objects of a stack whose edits are not answered yet."""
        edits = (edit for where, edit in self._edits.values() if where == place)
        return frozenset(number for edit in edits for number in edit.objects)

    def is_edit(self, step: int) -> bool:
        """Whether a step is an edit that is not answered yet."""
        return step in self._edits

    def take_edit(self, step: int) -> ObjectEdit | None:
        """Return the edit that a step is, once: it is answered now."""
        _, edit = self._edits.pop(step, (None, None))
        return edit

    def send_prompts(
        self, place: Place, step: int, wanted: Annotations, strokes: tuple[PlaneChange, ...] = ()
    ) -> None:
        """Have a session know all that is wanted."""
        spec = self._spec(place, step)
        if spec is not None:
            self._engine.submit(PromptRequest(self.generation, spec, wanted, step, strokes))

    def send_edit(self, place: Place, step: int, wanted: Annotations, edit: ObjectEdit) -> None:
        """Have an object changed."""
        spec = self._spec(place, step)
        if spec is not None:
            self._edits[step] = place, edit
            self._engine.submit(EditRequest(self.generation, spec, wanted, step, edit))

    def send_replay(self, place: Place, step: int, wanted: Annotations, saved: SessionFile) -> None:
        """Have a session file taken in; `wanted` says the same."""
        spec = self._spec(place, step)
        if spec is not None:
            self._engine.submit(ReplayRequest(self.generation, spec, wanted, step, saved))

    def send_run(self, place: Place, step: int, wanted: Annotations, plan: RunPlan) -> None:
        """Have objects carried through a stack."""
        spec = self._spec(place, step)
        if spec is not None:
            self._engine.submit_run(RunRequest(self.generation, spec, wanted, step, plan))

    def note_split(self, place: Place, step: int) -> None:
        """Note that a run in a stack goes on as another step."""
        self._places[step] = place

    def send_hand_over(
        self, place: Place, there: Place, wanted: Annotations, ids: frozenset[int], plan: RunPlan
    ) -> None:
        """Have objects looked for in the next volume, which is no step."""
        spec = self._spec(place)
        if spec is not None:
            known = self.generation, spec, wanted, 0
            self._engine.submit_hand_over(HandOverRequest(*known, there, ids, plan))

    def send_adapt(self, place: Place, wanted: Annotations, plan: AdaptPlan) -> bool:
        """Have it read what the model can learn from, which is no step; return whether it is."""
        spec = self._spec(place)
        if spec is not None:
            self._engine.submit(AdaptRequest(self.generation, spec, wanted, 0, plan))
        return spec is not None

    def send_undo(
        self, place: Place, step: int, wanted: Annotations, to: int, *, again: bool = False
    ) -> None:
        """Have a step taken back, or made again; `to` is the last one afterwards."""
        spec = self._spec(place)
        if spec is not None:
            self._engine.submit(UndoRequest(self.generation, spec, wanted, step, to, again))

    def _spec(self, place: Place, step: int | None = None) -> SessionSpec | None:
        """Describe the session of a stack, and note that a step concerns it."""
        if self.workspace is None or not self._models.has_model:
            return None
        if step is not None:
            self._places[step] = place
        return self.workspace.spec(place, self._models.use)
