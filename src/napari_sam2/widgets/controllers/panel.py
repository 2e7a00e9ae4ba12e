"""The panel's controller: starts and ends work on an image and connects all others.

Main thread only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt

from napari_sam2.errors import Sam2Error
from napari_sam2.types import Direction
from napari_sam2.widgets.controllers.adapting import AdaptController
from napari_sam2.widgets.controllers.annotation import AnnotationController
from napari_sam2.widgets.controllers.autosave import AutosaveController
from napari_sam2.widgets.controllers.finding import FindController
from napari_sam2.widgets.controllers.image_files import ImageFileController
from napari_sam2.widgets.controllers.objects import ObjectController
from napari_sam2.widgets.controllers.painting import PaintingController
from napari_sam2.widgets.controllers.prompting import LabelPromptController, PromptingController
from napari_sam2.widgets.controllers.propagation import PropagationController
from napari_sam2.widgets.controllers.results.divisions import DivisionController
from napari_sam2.widgets.controllers.results.label_export import LabelExportController
from napari_sam2.widgets.controllers.results.live_results import LiveResultsController
from napari_sam2.widgets.controllers.results.result_export import ResultExportController
from napari_sam2.widgets.controllers.review import ReviewController
from napari_sam2.widgets.controllers.stack_search import StackSearchController
from napari_sam2.widgets.controllers.status import StatusController
from napari_sam2.widgets.layers.appearance import LabelsRefresher
from napari_sam2.widgets.layers.image_axes import other_axes
from napari_sam2.widgets.layers.workspace import Workspace, claim_layers
from napari_sam2.widgets.state.hints import TILTED
from napari_sam2.widgets.state.tools import TOOLS
from napari_sam2.widgets.throttle import Throttle
from napari_sam2.widgets.views.close_guard import CloseGuard
from napari_sam2.widgets.views.keybindings import Action, HeldAction, Keys, key_list
from napari_sam2.widgets.views.notifications import show_done, show_problem
from napari_sam2.widgets.worker.messages import (
    Answer,
    ContrastJudged,
    DivisionProgress,
    DivisionsProposed,
    Done,
    Failure,
    Forgotten,
    FrameDone,
    HandedOver,
    Opened,
    Phase,
    Prepared,
    ResultsKept,
    RunEnded,
    RunSplit,
    RunStarted,
    SearchEnded,
    SearchProgress,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari import Viewer
    from napari.layers import Layer

    from napari_sam2.widgets.controllers.image import ImageController
    from napari_sam2.widgets.controllers.model import ModelController
    from napari_sam2.widgets.state.image_source import ImageSource
    from napari_sam2.widgets.views.panel_view import PanelView
    from napari_sam2.widgets.worker.session_worker import SessionWorker


class WorkspaceControllers:
    """Prompting, search, objects, review, brush and keys of one panel.

    Parameters
    ----------
    viewer : Viewer
    views : PanelView
    annotation : AnnotationController
    session_worker : SessionWorker
        Looks for objects.
    actions : dict of str to callable
        What the keys do that concern the panel as a whole.
    throttle : Throttle
        In time with which table and timeline change.

    Attributes
    ----------
    shows : tuple of callable
        What shows table, found objects and timeline as they are now, in this order.
    """

    def __init__(
        self,
        viewer: Viewer,
        views: PanelView,
        annotation: AnnotationController,
        session_worker: SessionWorker,
        actions: dict[str, Action],
        throttle: Throttle,
    ) -> None:
        self.prompting = PromptingController(viewer, views.prompts, annotation.taken_ids)
        self.objects = ObjectController(annotation, self.prompting, views.objects, throttle)
        self.finding = FindController(
            viewer, views, annotation, self.prompting, session_worker, throttle
        )
        self.review = ReviewController(
            annotation, self.prompting, views.review, lambda: views.objects.order, throttle
        )
        self.review.doubt_shown.connect(self.objects.reveal)
        self.objects.doubts_counted.connect(views.review.show_doubts)
        self.shows = self.objects.show, self.finding.show, self.review.show
        views.objects.object_requested.connect(self.review.go_to_object)
        self.divisions = DivisionController(
            annotation, self.prompting, views.objects, views.results
        )
        self._brush = PaintingController(annotation)
        self._sources = LabelPromptController(viewer, annotation, self.prompting, views.prompts)
        self._workspace: Workspace | None = None
        self._keys = Keys(viewer, views, actions | self._actions(), propagates=views.propagates)
        views.prompts.candidate_requested.connect(self.objects.next_candidate)

    def attach(self, workspace: Workspace) -> None:
        """Begin to work on a workspace."""
        self._workspace = workspace
        self._keys.attach(workspace)
        self.prompting.attach(workspace)
        self.objects.attach(workspace)
        self._brush.attach(workspace)
        self._sources.attach(workspace)

    def detach(self, workspace: Workspace | None) -> None:
        """Leave it; touches no view."""
        self._workspace = None
        self.prompting.detach()
        self._keys.detach()
        self._brush.detach()
        self._sources.detach()
        self.review.stop()
        self.finding.stop()
        if workspace is not None:
            self.objects.detach(workspace)

    def close(self) -> None:
        """Listen to the viewer no longer."""
        self.prompting.close()
        self._sources.close()

    def slider_moved(self) -> None:
        """Show what belongs to the frame in view."""
        self.objects.soon()
        self.review.show()
        self.finding.slider_moved()

    def _show_marks(self, shown: bool) -> None:
        if self._workspace is not None:
            size = self._workspace.mark_size
            (size.show if shown else size.hide)()

    def _actions(self) -> dict[str, Action]:
        prompting, review = self.prompting, self.review
        actions: dict[str, Action] = {
            "hide_marks": HeldAction(
                partial(self._show_marks, False), partial(self._show_marks, True)
            ),
            "next_object": prompting.next_object,
            "object_on": review.next_object,
            "object_back": lambda: review.next_object(-1),
            "background": prompting.toggle_background,
            "candidate": self.objects.next_candidate,
            "doubt": review.next_doubtful,
            "doubt_back": lambda: review.next_doubtful(-1),
            "prompted": review.next_prompted,
            "prompted_back": lambda: review.next_prompted(-1),
            "accept": lambda: review.accept("here"),
            "divide": self.divisions.divide,
            "accept_found": self.finding.accept,
        }
        return actions | {
            tool.name: partial(prompting.choose_tool, tool.name) for tool in TOOLS if tool.key
        }


class PanelController(QObject):
    """Owns what a panel works on. Main thread only.

    Everything heavy is asked of the session worker; its answers carry the generation they belong
    to, and those of a generation that is over are dropped.

    Parameters
    ----------
    viewer : Viewer
        Where the layers are.
    views : PanelView
        What the user sees of it.
    images : ImageController
    models : ModelController
        What is chosen.
    session_worker : SessionWorker
        Does the work; this controller ends it.
    """

    def __init__(
        self,
        viewer: Viewer,
        views: PanelView,
        images: ImageController,
        models: ModelController,
        session_worker: SessionWorker,
    ) -> None:
        super().__init__()
        self._viewer, self._views = viewer, views
        self._images, self._models, self._session_worker = images, models, session_worker
        self.annotation = AnnotationController(models, session_worker)
        self._throttle = Throttle()
        self._propagation = PropagationController(
            self.annotation, session_worker, views.run, self._throttle
        )
        self._adapting = AdaptController(
            self.annotation,
            models,
            views.adapt,
            self._name_and_folders,
            self._needs_the_model,
        )
        self._status = StatusController(
            views,
            images,
            models,
            self.annotation,
            self._propagation,
            self._adapting,
            self._throttle,
        )
        actions: dict[str, Action] = {
            "find": self.find,
            "run": self.run_or_pause,
            "cancel": self.cancel,
            "undo": self.undo,
            "redo": self.redo,
            "help": self.help,
        }
        self._controllers = WorkspaceControllers(
            viewer, views, self.annotation, session_worker, actions, self._throttle
        )
        self._stack_search = StackSearchController(
            self.annotation, self._controllers.finding, self._propagation, views.settings
        )
        views.search.find_requested.connect(self.find)
        self._autosave = AutosaveController(
            viewer, views, images, models, self.annotation, self.begin
        )
        self._guard = CloseGuard(views, lambda: self._autosave.unsaved)
        self._autosave.risk_changed.connect(self._guard.watch)
        self._label_files = LabelExportController(self.annotation, views.save)
        self._result_files = ResultExportController(
            self.annotation,
            views.objects,
            lambda: self._controllers.prompting.object_id,
            views.save.results,
        )
        self._live = LiveResultsController(
            viewer, self.annotation, self._result_files, views.objects, views.results
        )
        self._image_files = ImageFileController(viewer, views.stack.open)
        self._chosen = models.chosen
        self._closed = False
        self._refresher = LabelsRefresher()
        self._connect()
        self._status.show()

    @property
    def workspace(self) -> Workspace | None:
        """What is being segmented; None before the start."""
        return self.annotation.workspace

    @property
    def closed(self) -> bool:
        """Whether the viewer was let go of."""
        return self._closed

    @property
    def running(self) -> bool:
        """Whether a propagation is under way."""
        return self._propagation.running

    @property
    def idle(self) -> bool:
        """Whether all that was asked is answered."""
        writing = self._label_files.busy or self._result_files.busy or self._live.busy
        reading = self._image_files.busy
        busy = self._session_worker.busy or reading or writing or not self._autosave.idle
        at_rest = not self.running and not self._controllers.finding.running
        return at_rest and self.annotation.settled and not busy

    def start(self) -> None:
        """Begin to segment the chosen image, or begin again with its contrast of now."""
        self.begin(self._images.source())

    def begin(self, source: ImageSource | None) -> None:
        """Begin to segment the chosen image as it is seen in `source`, or begin again."""
        if self.annotation.postpone(lambda: self.begin(source)):
            return
        image, former = self._images.image, self.workspace
        goes_on = former is not None and former.is_of(image, self._images.axis, source)
        self._leave(history=not goes_on)
        if image is None or source is None or not self._models.has_model:
            return
        changed = self.annotation.soon.start
        try:
            workspace = Workspace(self._viewer, image, self._images.axis, changed, source)
        except Sam2Error as error:
            show_problem(error)
            return
        if workspace.tilted:
            show_done(TILTED)
        claim_layers(workspace.labels, self._leave)
        self._images.pin(workspace.source)
        self._status.judge_contrast(False)
        if goes_on and former is not None and former.layers != workspace.layers:
            self._forget()
        elif goes_on and former is not None and former.source.region != workspace.source.region:
            # Areas and places are those of the part; steps are of the whole image.
            self.annotation.forget_results()
        self.annotation.open(workspace)
        self._controllers.attach(workspace)
        self._autosave.attach(workspace)
        self._live.attach(workspace)
        workspace.labels.events.data.connect(self._labels_replaced)
        self._views.run.show_frames(workspace.n_frames)
        self._views.run.show_ways_on(other_axes(image, workspace.axis, workspace.composed))
        self.annotation.renew()
        self._status.show()  # at once: a script goes on without an event in between

    def propagate(self, direction: Direction) -> None:
        """Carry the objects of the stack in view through it."""
        workspace = self.workspace
        searching = self._controllers.finding.running
        if workspace is None or self.running or searching or not self._models.has_model:
            return
        self.annotation.read_layers()
        here = self.annotation.here
        if here is not None and here[0] in self.annotation.positions():
            current = self._controllers.prompting.object_id
            self._propagation.begin(here[0], self._views.settings.value.plan(direction, current))
            self._controllers.finding.block(True)
        self._status.show()

    def find(self) -> None:
        """Look for objects in the frame in view, and on through the stack if so set."""
        self._stack_search.begin()

    def run_or_pause(self) -> None:
        """Propagate both ways; hold what runs, or let it go on."""
        if self.running:
            self._pause(not self._propagation.paused)
        else:
            self.propagate(Direction.BOTH)

    def _pause(self, paused: bool) -> None:
        self._propagation.pause(paused)
        self._status.show()

    def cancel(self) -> None:
        """Stop the propagation within one frame, or the search; what is done stays."""
        self._controllers.finding.cancel()
        if self.running:
            self._propagation.cancel()
            self._status.show()

    def undo(self) -> None:
        """Take the last step back; a run or a search is stopped first, but not for a name."""
        step = self.annotation.undo_stack.next_undo
        if self._controllers.finding.running:
            self._stack_search.cancel_and_undo()
        elif self.running and (step is None or step.parts):
            self._propagation.cancel_and_undo()
        else:
            self.annotation.undo()

    def redo(self) -> None:
        """Make the last step again that was taken back."""
        if not self.running and not self._controllers.finding.running:
            self.annotation.redo()

    def help(self) -> None:
        """List all keys."""
        key_list(self._views, propagates=self._views.propagates).show()

    def close(self) -> None:
        """Let go of the viewer and end the threads; the views may be gone already."""
        if self._closed:
            return
        self._closed = True
        self._status.close()
        self._adapting.close()
        self._models.close()
        self._image_files.close()
        self._label_files.close()
        self._result_files.close()
        self._live.close()
        self._leave_quietly()
        self._session_worker.close()
        self._autosave.close()
        self._viewer.layers.events.removed.disconnect(self._layer_removed)
        self._controllers.close()
        self._throttle.stop()
        for emitter in self._view_events():
            emitter.disconnect(self._slider_moved)
        self._images.close()

    def _connect(self) -> None:
        views, propagation = self._views, self._propagation
        views.start_requested.connect(self.start)
        views.offer_changed.connect(self._changed)
        views.run.run_requested.connect(self.propagate)
        views.run.pause_requested.connect(self._pause)
        views.run.cancel_requested.connect(self.cancel)
        views.run.from_here.clicked.connect(self._range_from_here)
        views.history.undo_requested.connect(self.undo)
        views.history.redo_requested.connect(self.redo)
        views.history.help_requested.connect(self.help)
        views.model.unload_requested.connect(self._session_worker.unload)
        self._controllers.prompting.object_changed.connect(self._changed)
        self.annotation.changed.connect(self._annotations_changed)
        self.annotation.replayed.connect(self._replayed)
        propagation.frame_done.connect(self._frame_done)
        propagation.ended.connect(self._run_ended)
        for over in (
            propagation.ended,
            self._controllers.finding.ended,
            self._controllers.divisions.ended,
            self.annotation.changed,
        ):
            over.connect(self._adapting.run_ended)
        self._adapting.changed.connect(self._changed)
        self._images.changed.connect(self._image_changed)
        self._images.channels.changed.connect(self._changed)
        self._images.replaced.connect(self._data_replaced)
        self._models.changed.connect(self._model_changed)
        self._session_worker.answers.answered.connect(
            self._answered, Qt.ConnectionType.QueuedConnection
        )
        self._viewer.layers.events.removed.connect(self._layer_removed)
        for emitter in self._view_events():
            emitter.connect(self._slider_moved)

    def _view_events(self) -> tuple[Any, ...]:
        """Return what changes which frame is shown, or whether one is."""
        events = self._viewer.dims.events
        return events.point, events.order, events.ndisplay

    def _needs_the_model(self) -> bool:
        """Whether anything is under way that another model would cancel."""
        finding, divisions = self._controllers.finding, self._controllers.divisions
        searching = finding.running or finding.offering or self._stack_search.running
        changing = self.annotation.editing or self.annotation.replaying
        return searching or divisions.running or self.running or changing

    def _name_and_folders(self) -> tuple[str, tuple[Path, ...]]:
        return self._autosave.name_and_folders()  # which is made after what asks for them

    def _range_from_here(self) -> None:
        here = self.annotation.here
        if here is not None:
            self._views.run.show_range(here[1], self._views.run.last.max)

    # What has changed.

    def _changed(self) -> None:
        self._throttle.soon(self._status.show)

    def _annotations_changed(self) -> None:
        self._throttle.soon(*self._controllers.shows, self._status.show)

    def _layer_removed(self, event: Any) -> None:
        workspace = self.workspace
        if workspace is not None and any(event.value is layer for layer in workspace.layers):
            self._leave()

    def _slider_moved(self, _event: object = None) -> None:
        if self.workspace is not None:
            self._controllers.slider_moved()
            self._live.slider_moved()
            self._changed()

    def _image_changed(self) -> None:
        started = self.workspace
        self._leave()
        if started is not None and started.image is self._images.image:
            self.start()  # only the axis is another

    def _labels_replaced(self, event: Any) -> None:
        self._data_replaced(event.source)

    def _replayed(self, whole: bool) -> None:
        if not whole:  # what runs is of prompts that are there no more
            self._stack_search.drop()
            self._propagation.end()
            self._controllers.finding.end()
            self._controllers.divisions.detach(views_alive=True)

    def _data_replaced(self, layer: Layer) -> None:
        """Leave a layer whose data is another array than the one that is worked on."""
        if self.workspace is not None:
            self._leave()
            show_done(
                f"{layer.name} has other data now, so work on it has ended. Labels and prompts are "
                "as they were: press Start to go on with the new data."
            )
        self._status.show()

    def _model_changed(self) -> None:
        chosen = self._models.chosen
        if self.workspace is not None and chosen != self._chosen:
            self._stack_search.drop()
            self._propagation.end()
            self._controllers.finding.end()
            self._controllers.divisions.end()
            self.annotation.renew()
        self._chosen = chosen
        self._status.show()

    # Answers of the worker.

    def _answered(self, answer: Answer) -> None:
        workspace = self.workspace
        if isinstance(answer, Prepared) and not self._closed:
            # Later annotations do not matter: the masks were read before them.
            self._status.quiet()
            self._adapting.take(answer)
            return
        if self._closed or answer.generation != self.annotation.generation or workspace is None:
            return
        match answer:
            case Phase(text=text):
                self._status.busy(text)
            case Opened() | ContrastJudged() | Forgotten():
                self._session_changed(answer)
            case Done():
                # The mask first: the panel is then painted along with it.
                self._refresher.now(workspace.labels, self._viewer.dims.ndisplay)
                self.annotation.done(answer)
                self._status.quiet()
            case RunStarted():
                self._status.quiet()
                self._propagation.take(answer)
            case FrameDone() | RunSplit() | RunEnded() | HandedOver():
                self._propagation.take(answer)
            case SearchProgress() | SearchEnded():
                self._status.quiet()
                self._controllers.finding.take(answer)
            case DivisionProgress() | DivisionsProposed():
                self._status.quiet()
                self._controllers.divisions.take(answer)
            case ResultsKept(trouble=trouble):
                self._autosave.results_kept(trouble)
            case Failure(error=error, step=step):
                self.annotation.failed(step)
                self._status.quiet()
                show_problem(error)

    def _session_changed(self, answer: Opened | ContrastJudged | Forgotten) -> None:
        """Take in what has become of the session besides its masks."""
        match answer:
            case Opened(approximations=approximations):
                self._views.show_approximations(approximations)
            case ContrastJudged(shows_little=shows_little):
                self._status.judge_contrast(shows_little)
            case Forgotten(steps=steps):
                self.annotation.undo_stack.forget(steps)

    def _frame_done(self, position: Any, frame: int) -> None:
        workspace = self.workspace
        if workspace is not None and workspace.shows(position, frame):
            self._refresher.soon(workspace.labels, self._viewer.dims.ndisplay)

    def _run_ended(self) -> None:
        self._status.quiet()
        self._controllers.objects.show()
        self._views.objects.sort()
        self._controllers.finding.block(False)
        if self.workspace is not None:
            self._refresher.all(self.workspace.labels)
            self._autosave.measure()

    def _leave(self, *, history: bool = True) -> None:
        """Stop segmenting the image; all its layers stay as they are.

        What was done is forgotten, unless its history is to stay.
        """
        interrupted = self.annotation.replaying
        self._leave_quietly(history=history)
        if interrupted:
            self._autosave.look()
        self._status.show()

    def _forget(self) -> None:
        self.annotation.forget()
        self._session_worker.forget_session()

    def _leave_quietly(self, *, history: bool = True) -> None:
        workspace = self.workspace
        self._stack_search.drop()
        self._propagation.end(views_alive=not self._closed)
        self._controllers.finding.end(views_alive=not self._closed)
        if not self._closed:
            self._adapting.left()
        self._refresher.stop()
        self._autosave.detach()
        self.annotation.abandon_replay(views_alive=not self._closed)
        self._controllers.detach(workspace)
        self._controllers.divisions.detach(views_alive=not self._closed)
        self._live.detach(workspace, views_alive=not self._closed)
        if workspace is not None:
            workspace.labels.events.data.disconnect(self._labels_replaced)
            workspace.keep_records(self.annotation.object_records.by_position())
            workspace.release(views_alive=not self._closed)
            if history:
                self._session_worker.forget_session(self.annotation.unanswered)
            else:
                self._session_worker.drop_session()
        if history:
            self.annotation.forget()
        self.annotation.close()
        self._images.unpin()
        self._status.left()
