"""The autosave controller: keeps the session file up to date and offers to resume it.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import PromptError, StoreInUseError
from napari_sam2.labels.store.kept_work import KeptWork
from napari_sam2.prompts import SessionFile
from napari_sam2.types import Speed
from napari_sam2.widgets.autosave.file_store import (
    FileOwnership,
    Found,
    SaveRequest,
    SaveResult,
    SessionStore,
    summary,
)
from napari_sam2.widgets.autosave.locations import (
    ImageFacts,
    SessionLocation,
    beside,
    image_stem,
    reference_to,
)
from napari_sam2.widgets.autosave.serialize import (
    StackSession,
    further_layers,
    picked_channels,
    position_of,
)
from napari_sam2.widgets.layers.factory import labels_of
from napari_sam2.widgets.layers.prompt_writer import resumed_source, resumed_state
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.session_spec import SessionFeedback
from napari_sam2.widgets.throttle import halt, single_shot
from napari_sam2.widgets.views.base import clock
from napari_sam2.widgets.views.kept_work import KeptWorkDialog
from napari_sam2.widgets.views.notifications import show_missing, show_moved, show_problem

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.controllers.image import ImageController
    from napari_sam2.widgets.controllers.model import ModelController
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.state.image_source import ImageSource
    from napari_sam2.widgets.views.panel_view import PanelView

OWNERSHIP = "napari_sam2 session"
"""Key in the metadata of the labels: a reference to the pixels, video axis and region of the work,
and its `FileOwnership`."""

_EVERY_MS = 300
_REPORT_MS = 1500


class AutosaveController(QObject):
    """Keeps the annotations of a workspace in session files, and restores them. Main thread only.

    Parameters
    ----------
    viewer : Viewer
    views : PanelView
    images : ImageController
    models : ModelController
    annotation : AnnotationController
    begin : callable
        Begins to segment the chosen image, seen in a way.

    Signals
    -------
    risk_changed(bool)
        Whether work may be in this window only: if not, `unsaved` is empty.
    """

    risk_changed = Signal(bool)

    def __init__(
        self,
        viewer: Viewer,
        views: PanelView,
        images: ImageController,
        models: ModelController,
        annotation: AnnotationController,
        begin: Callable[[ImageSource | None], None],
    ) -> None:
        super().__init__()
        self._viewer, self._views, self._annotation = viewer, views, annotation
        self._images, self._models, self._begin = images, models, begin
        self._store = SessionStore()
        self._ownership = FileOwnership()
        self._location: SessionLocation | None = None  # as the session store reported it
        self._results: SessionLocation | None = None  # beside which results are kept
        self._shown: tuple[Path | None, str] | None = None  # file, and when it was written
        self._last: dict[StackPosition, StackSession] = {}
        self._found: Found | None = None
        self._trouble = ""  # that was reported last, and lasts
        self._closed = False
        self._dialog: KeptWorkDialog | None = None
        self._results_trouble: Exception | None = None
        self._at_risk = False
        self._troubled: SessionLocation | None = None  # where results could not be kept
        self._resuming: _Resuming | None = None  # until all its masks are in the labels
        self._unresumed: Found | None = None  # that could not be resumed
        self._soon = single_shot(self, self._keep_if_free, _EVERY_MS)
        # A little later, labels are where the session file has moved to: that is reported alone.
        self._later = single_shot(self, self._report_results, _REPORT_MS)
        annotation.changed.connect(self._changed)
        annotation.replayed.connect(self._replayed)
        images.changed.connect(self.look)
        images.replaced.connect(self.look)
        views.resume_requested.connect(self._resume_found)
        views.open_requested.connect(self._store.open)
        views.save.session_requested.connect(self._choose)
        views.settings.autosave.changed.connect(self._ticked)
        views.save.kept_work_requested.connect(self._show_kept_work)
        views.save.toggled.connect(lambda _open: self.measure())
        self._store.listed.connect(self._list_kept_work)
        self._store.measured.connect(self._show_size)
        self._store.chosen.connect(self._resume_chosen)
        self._store.kept.connect(self._show_kept)
        self._store.found.connect(self._offer)
        self._store.read.connect(self._opened)
        self._store.failed.connect(self._failed)
        self._store.unread.connect(self._unread)
        self.look()

    @property
    def idle(self) -> bool:
        """Whether all annotations are on disk."""
        return not self._soon.isActive() and not self._store.busy

    @property
    def unsaved(self) -> str:
        """What of the work is in this window only; empty if everything is on disk."""
        workspace, annotation = self._annotation.workspace, self._annotation
        if self._closed or workspace is None or not annotation.positions():
            return ""
        if not self._views.settings.autosave.value:
            return (
                f"Autosave is off: prompts and masks of {workspace.image.name} are in this window "
                "only. To keep them, tick it under Save."
            )
        trouble = self._trouble or ("" if self._results_trouble is None else self._results_trouble)
        if trouble:
            return f"Work on {workspace.image.name} is in this window only. {trouble}"
        return ""

    def results_kept(self, trouble: Exception | None) -> None:
        """Note whether labels and scores are on disk, and show why not."""
        if self._resuming is not None:
            self._resuming.trouble = trouble  # it is of other files than those of now
            return
        self._results_trouble, self._troubled = trouble, self._results
        self._assess_risk()
        self._views.save.show_results(None, "" if trouble is None else str(trouble))
        workspace, location = self._annotation.workspace, self._ownership.location
        halt(self._later)
        if workspace is None or location is None:
            return
        in_use = trouble if isinstance(trouble, StoreInUseError) else None
        if in_use is not None and in_use.path.is_relative_to(location.results(())):
            # Another window works in these files: this one goes on in its own.
            show_problem(in_use)
            self._go_on(workspace, FileOwnership())
            self._changed()
        elif trouble is not None:
            self._later.start()
        self.measure()

    def _assess_risk(self) -> None:
        """Say whether work may be in this window only, if that has changed."""
        autosaves = self._views.settings.autosave.value
        troubled = bool(self._trouble) or self._results_trouble is not None
        if (not autosaves or troubled) != self._at_risk:
            self._at_risk = not self._at_risk
            self.risk_changed.emit(self._at_risk)

    def _report_results(self) -> None:
        """Report why labels and scores are not on disk, unless the session is not there either."""
        if not self.idle or self._results != self._troubled:
            self._later.start()  # they may be about to go where the session file goes
        elif self._results_trouble is not None and not self._trouble and not self._closed:
            show_problem(self._results_trouble)

    def measure(self) -> None:
        """Have it shown how much space labels and scores take on disk, where that is to be seen."""
        if not self._views.save.title.isChecked():
            return  # measured when it is unfolded: the files may be many
        if self._results is not None and self._results_trouble is None and not self._closed:
            self._store.measure(self._results.results(()))

    def name_and_folders(self) -> tuple[str, tuple[Path, ...]]:
        """Return the name of the image for files about it, and their folders, the best one first.

        That is where the session is kept, and else beside the image.
        """
        workspace = self._annotation.workspace
        if workspace is None:
            return "image", ()
        facts, location = ImageFacts.of(workspace.image), self._ownership.location
        folders = [] if location is None else [location.folder]
        if facts.path is not None:
            folders.append(beside(facts.path).folder)
        return image_stem(facts), tuple(dict.fromkeys(folders))

    def attach(self, workspace: Workspace) -> None:
        """Keep the annotations of a workspace, in its files of this viewer if there are any.

        Those of former pixels of the image are left as they are.
        """
        view = workspace.axis, workspace.source.region
        known = workspace.labels.metadata.get(OWNERSHIP)
        if known is not None and known[0]() is ImageFacts.of(workspace.image).pixels:
            _, before, ownership = known
            self._go_on(workspace, ownership if before == view else FileOwnership())
        else:
            self._go_on(workspace, FileOwnership())
        if self._found is None or self._found is not self._unresumed:
            self._views.show_offer("")
        self._views.save.show_image(*_folder_and_name(workspace.image))

    def detach(self) -> None:
        """Keep the last changes, and no more; touches no view."""
        halt(self._soon)
        halt(self._later)
        self.keep()
        workspace = self._annotation.workspace
        if self._annotation.replaying and workspace is not None:
            self._resuming = None
            if self._ownership.location is None:  # as if nothing had begun: it is offered again
                workspace.labels.metadata.pop(OWNERSHIP, None)

    def close(self) -> None:
        """End the thread as soon as all is written."""
        self._closed = True
        halt(self._soon)
        halt(self._later)
        self._store.close()

    def keep(self) -> None:
        """Have all written that is not on disk yet.

        Accepted masks are read from the labels: nothing is written while the window already shows
        what is accepted in session files, and the labels do not.
        """
        workspace, replaying = self._annotation.workspace, self._annotation.replaying
        if workspace is None or replaying or not self._views.settings.autosave.value:
            return
        works, last = self._works(workspace), self._last
        by_held: dict[StackPosition, StackSession] = {}
        changed: set[StackPosition] = set()
        annotated = bool(last)
        for at, work in works.items():
            held = work.spec.held
            by_held[held] = work
            if not work.says_the_same(last.get(at)):
                changed.add(held)
                annotated |= bool(work.annotations.prompts or work.annotations.accepted)
        if changed and annotated:  # nothing is written before there are annotations
            self._last = works
            facts = ImageFacts.of(workspace.image)
            request = SaveRequest(facts, self._ownership, by_held, frozenset(changed))
            self._store.keep(request)

    def look(self, _image: object = None) -> None:
        """Find out whether there is earlier work on the chosen image, as its pixels are now."""
        self._found = None
        if self._closed:
            return
        self._views.show_offer("")
        image = self._images.image
        if image is not None and not self._holds_work(image):
            self._store.look_for(ImageFacts.of(image))

    def _holds_work(self, image: Image) -> bool:
        """Whether work on an image was begun in this viewer."""
        labels = labels_of(self._viewer, image)
        return any(OWNERSHIP in each.metadata for each in labels)

    def _works(self, workspace: Workspace) -> dict[StackPosition, StackSession]:
        annotation, user_state, models = self._annotation, workspace.user_state, self._models
        works = {}
        for position in sorted(annotation.positions() | self._last.keys()):
            found = user_state.found_at(position)
            works[position] = StackSession(
                workspace.spec(position, models.use),
                annotation.annotations(position),
                annotation.feedback.get(position, SessionFeedback()),
                user_state.names,
                user_state.handed_at(position),
                frozenset([each.object_id for each in found]) if found else frozenset(),
            )
        return works

    def _go_on(self, workspace: Workspace, ownership: FileOwnership) -> None:
        self._ownership, self._location, self._last = ownership, ownership.location, {}
        location = ownership.location if self._views.settings.autosave.value else None
        self._results = location
        workspace.results = None if location is None else location.results
        self._results_trouble = None
        self._assess_risk()
        self._views.save.show_results(None)
        self._show_location(None if ownership.location is None else ownership.location.file)
        view = workspace.axis, workspace.source.region
        pixels = reference_to(ImageFacts.of(workspace.image).pixels)
        workspace.labels.metadata[OWNERSHIP] = (pixels, view, ownership)

    def _keep_results(self, location: SessionLocation | None) -> None:
        """Have labels and scores kept beside the session file, or nowhere."""
        workspace = self._annotation.workspace
        if workspace is None:
            return
        if not self._views.settings.autosave.value:
            location = None
        if location != self._results:
            self._results = location
            workspace.results = None if location is None else location.results
            self._annotation.keep_results()

    def _ticked(self, _ticked: object = None) -> None:
        """Keep results, or no more, as the user wishes."""
        self._assess_risk()
        self._keep_results(self._location)
        self._changed()

    def _changed(self, _ticked: object = None) -> None:
        if self._annotation.workspace is not None and not self._soon.isActive():
            self._soon.start()

    def _keep_if_free(self) -> None:
        # As long as writing takes, so long it rests: that is never behind by more than one step.
        if self._store.busy:
            self._soon.start()
        else:
            self.keep()

    def _choose(self, path: Path) -> None:
        """Keep the work in another file from now on."""
        workspace = self._annotation.workspace
        if workspace is not None:
            self._views.settings.autosave.value = True
            ownership = FileOwnership(SessionLocation.chosen(path), replaces=True)
            if self._resuming is not None:
                self._resuming.goes_on = ownership
                return
            self._go_on(workspace, ownership)
            self.keep()

    def _show_kept(self, kept: SaveResult) -> None:
        if self._closed or kept.location != self._ownership.location:
            return
        self._trouble = ""
        self._assess_risk()
        if kept.trouble is not None:
            show_moved(kept.trouble, kept.path)
        if self._location not in (None, kept.location):
            # Someone else has written to the files that were ours, or they cannot be written any
            # more: all goes to new ones.
            self._last = {}
            self._changed()
        self._keep_results(kept.location)
        self._location = kept.location
        self._show_location(kept.path, clock(kept.written, date=False))
        self.measure()

    def _show_location(self, path: Path | None, written: str = "") -> None:
        """Show where the session is kept, and when it was written, unless that is shown."""
        if self._shown != (path, written):
            self._shown = path, written
            self._views.save.show_location(path, written)

    def _show_size(self, folder: Path, size: int) -> None:
        results = self._results
        if not self._closed and results is not None and folder == results.results(()):
            trouble = self._results_trouble
            self._views.save.show_results(size, "" if trouble is None else str(trouble))

    def _failed(self, error: Exception) -> None:
        if not self._closed:
            self._last = {}
            self._shown = None
            self._views.save.show_failure(str(error))
            if str(error) != self._trouble:  # reported once, not with every click
                self._trouble = str(error)
                self._assess_risk()
                show_problem(error)

    # Earlier work.

    def _show_kept_work(self) -> None:
        """Show what is kept beside the chosen image and in the user's data folder."""
        if self._dialog is None:
            self._dialog = KeptWorkDialog(self._views)
            self._dialog.open_requested.connect(self._open_kept)
            self._dialog.delete_requested.connect(
                lambda path: self._store.delete_kept(path, self._folders())
            )
        self._dialog.show()
        self._dialog.raise_()
        self._store.list_kept(self._folders())

    def _open_kept(self, path: Path) -> None:
        image = self._images.image
        if image is not None:
            self._store.open_kept(ImageFacts.of(image), path)

    def _resume_chosen(self, facts: ImageFacts, found: Found) -> None:
        image = self._images.image
        if not self._closed and image is not None and ImageFacts.of(image).same_as(facts):
            self._found = found
            self.resume(found.files, found.ownership)

    def _folders(self) -> tuple[Path, ...]:
        image = self._images.image
        facts = None if image is None else ImageFacts.of(image)
        near = () if facts is None or facts.path is None else (beside(facts.path).folder,)
        return (*self.name_and_folders()[1], *near)

    def _list_kept_work(self, work: tuple[KeptWork, ...]) -> None:
        if self._dialog is not None and not self._closed:
            self._dialog.show_work(work)

    def _unread(self, error: Exception) -> None:
        if not self._closed:
            show_problem(error)

    def _offer(self, facts: ImageFacts, found: Found) -> None:
        image = self._images.image
        if self._closed or self._annotation.workspace is not None or image is None:
            return
        if ImageFacts.of(image).same_as(facts):
            self._found = found
            self._show_offer(found)

    def _show_offer(self, found: Found) -> None:
        when = clock(found.modified)
        self._views.show_offer(
            f"Earlier work on this image: {summary(found.files.values())} ({when})."
        )

    def _resume_found(self) -> None:
        found = self._found
        if found is not None:
            # Once it has failed, the model is the one that the user chooses.
            self.resume(found.files, found.ownership, with_model=found is not self._unresumed)

    def _opened(self, path: Path, sessions: tuple[SessionFile, ...]) -> None:
        image = self._images.image
        if self._closed or image is None:
            return
        shape = ImageFacts.of(image).shape
        files: dict[StackPosition, SessionFile] = {}
        for saved in sessions:
            position = position_of(saved, shape)
            if position is None:
                frames, rows, columns = saved.book.shape
                show_problem(
                    PromptError(
                        f"{path.name} was made for {frames} frames of {rows} x {columns} pixels, "
                        f"and {image.name} has the shape {shape}.",
                        safe="Nothing has changed.",
                        remedy="Choose the image that it was made for, or one of that shape.",
                    )
                )
                return
            files[position] = saved
        self.resume(files, None)

    def resume(
        self,
        files: dict[StackPosition, SessionFile],
        ownership: FileOwnership | None,
        *,
        with_model: bool = True,
    ) -> None:
        """Begin to segment the chosen image with the annotations of session files.

        Parameters
        ----------
        files : dict of StackPosition to SessionFile
        ownership : FileOwnership or None
            Goes on in these files, once all is resumed; None: leaves them as they are.
        with_model : bool
            Use the model and speed of the files, not those that are chosen.
        """
        if self._annotation.postpone(lambda: self.resume(files, ownership, with_model=with_model)):
            return
        saved = next(iter(files.values()))
        image = self._images.image
        if image is None:
            return
        picked = picked_channels(saved, ImageFacts.of(image).shape)
        if not image.rgb and saved.contrast and picked is None:
            image.contrast_limits = saved.contrast[0]
        self._images.choose(saved.axis, picked, saved.kind)
        if with_model:
            self._models.choose(
                str(saved.settings.get("model")), str(saved.settings.get("speed", Speed.EXACT))
            )
        layers = further_layers(saved)
        if layers or len(saved.contrast) < 2:  # else it is not known which layers they were of
            missing = self._images.channels.rejoin(layers, saved.contrast[1:])
            if missing:
                show_missing(missing)
        source = self._images.source()
        self._begin(None if source is None else resumed_source(source, saved))
        workspace = self._annotation.workspace
        if workspace is None:
            return
        self._views.show_offer("")
        results = None
        if ownership is not None:
            if ownership.location is not None and self._views.settings.autosave.value:
                results = ownership.location
            self._resuming = _Resuming(ownership, results, ownership)
        folders = None if results is None else results.results
        self._annotation.replay(files, resumed_state(workspace, files), folders)
        frames = sorted({frame for _, frame, _ in saved.book})
        here = workspace.here()
        if frames and here is not None and here[1] not in frames:
            workspace.go_to(frames[0])

    def _replayed(self, whole: bool) -> None:
        """Go on in the files of what was resumed, or offer it again: they are as they were."""
        resuming, self._resuming = self._resuming, None
        workspace = self._annotation.workspace
        if resuming is None or workspace is None:
            return
        if whole:
            self._unresumed = None
            self._go_on(workspace, resuming.goes_on)
            if self._results != resuming.results:  # autosave was switched meanwhile
                self._annotation.keep_results()
            if resuming.trouble is not None:
                self.results_kept(resuming.trouble)
            self._changed()
            return
        found = self._found
        if found is not None and found.ownership is resuming.ownership:
            self._unresumed = found
            self._show_offer(found)


@dataclass(slots=True)
class _Resuming:
    """Work that is being resumed.

    Attributes
    ----------
    ownership : FileOwnership
        Of its files.
    results : SessionLocation or None
        Beside which its results are kept.
    goes_on : FileOwnership
        Of the files to go on in.
    trouble : Exception or None
        Why results are not on disk.
    """

    ownership: FileOwnership
    results: SessionLocation | None
    goes_on: FileOwnership
    trouble: Exception | None = None


def _folder_and_name(image: Image) -> tuple[Path | None, str]:
    """Return folder and name for files of an image; no folder if it came from no file."""
    facts = ImageFacts.of(image)
    if facts.path is None:
        return None, facts.name
    location = beside(facts.path)
    return location.folder, location.stem
