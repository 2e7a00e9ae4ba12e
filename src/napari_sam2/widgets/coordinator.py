"""Between the views, the layers and the worker: who asks for what, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt

from napari_sam2.errors import Sam2Error
from napari_sam2.types import Direction
from napari_sam2.widgets.hints import CANCELLING, Situation, hint, outcome
from napari_sam2.widgets.messages import (
    Answer,
    Failure,
    FrameDone,
    Phase,
    PromptAnswer,
    PromptRequest,
    RunEnded,
    RunRequest,
    RunStarted,
)
from napari_sam2.widgets.notices import show_problem
from napari_sam2.widgets.prompt_reading import Place, StackPrompts
from napari_sam2.widgets.prompting import Prompting
from napari_sam2.widgets.refresh import LabelsRefresher
from napari_sam2.widgets.run_display import RunDisplay
from napari_sam2.widgets.timers import halt, single_shot
from napari_sam2.widgets.workspace import Workspace

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.engine import Engine
    from napari_sam2.widgets.image_picker import ImagePicker
    from napari_sam2.widgets.model_picker import ModelPicker
    from napari_sam2.widgets.views import Views

_PATIENCE_MS = 300


class Coordinator(QObject):
    """Owns what a panel works on. Main thread only.

    Everything heavy is asked of the engine; its answers carry the generation they belong to, and
    those of a generation that is over are dropped.

    Parameters
    ----------
    viewer : Viewer
        Where the layers are.
    views : Views
        What the user sees of it.
    images, models : pickers
        What is chosen.
    engine : Engine
        Does the work; the coordinator ends it.
    """

    def __init__(
        self,
        viewer: Viewer,
        views: Views,
        images: ImagePicker,
        models: ModelPicker,
        engine: Engine,
    ) -> None:
        super().__init__()
        self._viewer, self._views = viewer, views
        self._images, self._models, self._engine = images, models, engine
        self._workspace: Workspace | None = None
        self._generation = 0
        self._prompts = StackPrompts()
        self._asked = StackPrompts()
        self._run = RunDisplay(views.run)
        self._prompting = Prompting(viewer, views.prompts)
        self._chosen = models.chosen
        self._outcomes: dict[Place, str] = {}  # how the last run of each stack ended
        self._closed = False
        self._refresher = LabelsRefresher()
        self._soon = single_shot(self, self._prompts_changed, 0)
        self._phase = ""
        self._patience = single_shot(self, self._show_phase, _PATIENCE_MS)
        self._connect()
        self._show()

    @property
    def workspace(self) -> Workspace | None:
        """What is being segmented; None before the start."""
        return self._workspace

    @property
    def running(self) -> bool:
        """Whether a propagation is under way."""
        return self._run.place is not None

    @property
    def idle(self) -> bool:
        """Whether all that was asked is answered."""
        return not self.running and not self._soon.isActive() and not self._engine.busy

    def start(self) -> None:
        """Begin to segment the chosen image, or begin again with its contrast of now."""
        self._leave()
        image = self._images.image
        if image is None or not self._models.has_model:
            self._show()
            return
        try:
            self._workspace = Workspace(self._viewer, image, self._images.axis, self._soon.start)
        except Sam2Error as error:
            show_problem(error)
            return
        self._images.pinned = True
        self._read_prompts(self._workspace)
        self._prompting.attach(self._workspace)
        self._ask_again()

    def propagate(self, direction: Direction) -> None:
        """Carry the objects of the stack in view through it."""
        workspace = self._workspace
        if workspace is None or self.running or not self._models.has_model:
            return
        self._soon.stop()
        self._prompts_changed()
        here = workspace.here()
        if here is None or not self._prompts.at(here[0]):
            self._show()
            return
        place = here[0]
        self._outcomes.pop(place, None)
        spec = workspace.spec(place, self._models.model, self._models.device)
        self._engine.submit_run(
            RunRequest(self._generation, spec, self._prompts.at(place), direction)
        )
        self._run.begin(place)
        self._show()

    def cancel(self) -> None:
        """Stop the propagation within one frame; what is done stays."""
        if self.running:
            self._engine.cancel_run()
            self._views.run.show_cancelling()
            self._views.show_hint(CANCELLING)

    def close(self) -> None:
        """Let go of the viewer and end the threads; the views may be gone already."""
        if self._closed:
            return
        self._closed = True
        self._models.close()
        self._engine.close()
        halt(self._soon, self._patience)
        self._leave_quietly()
        self._viewer.layers.events.removed.disconnect(self._layer_removed)
        self._prompting.close()
        self._viewer.dims.events.point.disconnect(self._slider_moved)
        self._images.close()

    def _connect(self) -> None:
        views = self._views
        views.start_requested.connect(self.start)
        views.run.run_requested.connect(self.propagate)
        views.run.cancel_requested.connect(self.cancel)
        self._images.changed.connect(self._image_changed)
        self._models.changed.connect(self._model_changed)
        self._engine.answers.answered.connect(self._answered, Qt.ConnectionType.QueuedConnection)
        self._viewer.layers.events.removed.connect(self._layer_removed)
        self._viewer.dims.events.point.connect(self._slider_moved)

    # What the layers say.

    def _prompts_changed(self) -> None:
        workspace = self._workspace
        if workspace is None:
            return
        workspace.marks.repaint()
        self._read_prompts(workspace)
        places = self._prompts.by_place.keys() | self._asked.by_place.keys()
        for place in places:
            if self._prompts.at(place) != self._asked.at(place):
                self._outcomes.pop(place, None)
                self._ask(workspace, place)
        self._asked = self._prompts
        self._show()

    def _read_prompts(self, workspace: Workspace) -> None:
        self._prompts = workspace.read_prompts()
        self._prompting.taken = self._prompts.object_ids

    def _layer_removed(self, event: Any) -> None:
        workspace = self._workspace
        if workspace is not None and any(event.value is layer for layer in workspace.layers):
            self._leave()
            self._show()

    def _slider_moved(self, _event: object = None) -> None:
        if self._workspace is not None and not self.running:
            self._show()

    # What the pickers say.

    def _image_changed(self) -> None:
        started = self._workspace
        self._leave()
        if started is not None and started.image is self._images.image:
            self.start()  # only the axis is another
        self._show()

    def _model_changed(self) -> None:
        chosen = self._models.chosen
        if self._workspace is not None and chosen != self._chosen:
            self._end_run()
            self._ask_again()
        self._chosen = chosen
        self._show()

    # What is asked of the worker.

    def _ask_again(self) -> None:
        """Have a new session opened, with all prompts of the stack in view."""
        workspace = self._workspace
        if workspace is None:
            return
        self._generation += 1
        here = workspace.here()
        if here is not None:
            self._ask(workspace, here[0])
        self._asked = self._prompts
        self._show()

    def _ask(self, workspace: Workspace, place: Place) -> None:
        if not self._models.has_model:
            return
        spec = workspace.spec(place, self._models.model, self._models.device)
        self._engine.submit_prompts(PromptRequest(self._generation, spec, self._prompts.at(place)))

    # What the worker says.

    def _answered(self, answer: Answer) -> None:
        if self._closed or answer.generation != self._generation or self._workspace is None:
            return
        match answer:
            case Phase(text=text):
                self._phase = text
                if not self._patience.isActive():
                    self._patience.start()
            case PromptAnswer():
                self._quiet()
                self._refresher.soon(self._workspace.labels, self._viewer.dims.ndisplay)
            case RunStarted(total=total):
                self._quiet()
                self._run.start(total, f"SAM 2: {self._workspace.image.name}")
            case FrameDone(frame=frame, done=done):
                self._frame_done(self._workspace, frame, done)
            case RunEnded(done=done, cancelled=cancelled):
                if self._run.place is not None and done:
                    text = outcome(done, self._run.total, cancelled=cancelled)
                    self._outcomes[self._run.place] = text
                self._end_run()
                self._show()
            case Failure(error=error):
                self._quiet()
                show_problem(error)

    def _frame_done(self, workspace: Workspace, frame: int, done: int) -> None:
        place = self._run.place
        if place is None:
            return
        self._run.move_to(done)
        if workspace.shows(place, frame):
            self._refresher.soon(workspace.labels, self._viewer.dims.ndisplay)

    def _end_run(self) -> None:
        """Show that nothing runs; make sure that nothing does."""
        if not self.running:
            return
        self._engine.cancel_run()
        self._run.end(views_alive=not self._closed)
        self._quiet()
        if self._workspace is not None:
            self._refresher.now(self._workspace.labels)

    def _leave(self) -> None:
        """Stop segmenting the image; all its layers stay as they are."""
        self._leave_quietly()
        self._show()

    def _leave_quietly(self) -> None:
        self._end_run()
        self._refresher.stop()
        self._generation += 1
        workspace, self._workspace = self._workspace, None
        self._prompting.detach()
        if workspace is not None:
            workspace.release()
            self._engine.forget_session()
        self._images.pinned = False
        self._prompts = self._asked = StackPrompts()
        self._outcomes.clear()

    # What the user sees.

    def _show(self) -> None:
        if self._closed:
            return
        self._views.show_hint(hint(self._situation()))
        started = self._workspace is not None
        self._views.show_started(
            started, possible=self._images.image is not None and self._models.has_model
        )

    def _situation(self) -> Situation:
        workspace = self._workspace
        here = None if workspace is None else workspace.here()
        prompts = self._prompts.at(here[0]) if here is not None else ()
        return Situation(
            has_image=self._images.image is not None,
            has_model=self._models.has_model,
            fetching=self._models.fetching,
            started=workspace is not None,
            running=self.running,
            outside=workspace is not None and here is None,
            n_prompted=len({placed.object_id for placed in prompts}),
            n_frames=1 if workspace is None else workspace.n_frames,
            ignored=self._prompts.ignored,
            outcome=self._outcomes.get(here[0], "") if here is not None else "",
        )

    def _show_phase(self) -> None:
        if self._phase and not self._closed:
            self._views.show_hint(self._phase)

    def _quiet(self) -> None:
        """Take back what the worker was said to be busy with."""
        self._phase = ""
        halt(self._patience)
        self._show()
