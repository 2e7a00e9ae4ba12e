"""The autosave controller: keeps the session file up to date and offers to resume it.

Main thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam2.errors import PromptError
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
from napari_sam2.widgets.autosave.locations import ImageFacts, SessionLocation, beside, image_stem
from napari_sam2.widgets.autosave.serialize import (
    StackSession,
    further_layers,
    picked_channels,
    place_of,
)
from napari_sam2.widgets.layers.factory import has_layers
from napari_sam2.widgets.layers.prompt_writer import resumed_sight, resumed_state
from napari_sam2.widgets.state.positions import Place
from napari_sam2.widgets.state.session_spec import SessionFeedback
from napari_sam2.widgets.throttle import halt, single_shot
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

LEDGER = "napari_sam2 session"
"""Key in the metadata of the labels: video axis and region of the work, and its `FileOwnership`."""

_EVERY_MS = 300


class AutosaveController(QObject):
    """Keeps what is said of a workspace in session files, and brings it back. Main thread only.

    Parameters
    ----------
    viewer : Viewer
    views : PanelView
    images, models : pickers
    dialogue : AnnotationController
    begin : callable
        Begins to segment the chosen image, seen in a way.
    """

    def __init__(
        self,
        viewer: Viewer,
        views: PanelView,
        images: ImageController,
        models: ModelController,
        dialogue: AnnotationController,
        begin: Callable[[ImageSource | None], None],
    ) -> None:
        super().__init__()
        self._viewer, self._views, self._dialogue = viewer, views, dialogue
        self._images, self._models, self._begin = images, models, begin
        self._keeper = SessionStore()
        self._ledger = FileOwnership()
        self._home: SessionLocation | None = None  # as the keeper has said
        self._last: dict[Place, StackSession] = {}
        self._found: Found | None = None
        self._trouble = ""  # that was reported last, and lasts
        self._closed = False
        self._soon = single_shot(self, self._keep_if_free, _EVERY_MS)
        dialogue.changed.connect(self._changed)
        images.changed.connect(self.look)
        views.resume_requested.connect(self._resume_found)
        views.open_requested.connect(self._keeper.open)
        views.save.session_requested.connect(self._choose)
        views.save.autosave.toggled.connect(self._changed)
        self._keeper.kept.connect(self._show_kept)
        self._keeper.found.connect(self._offer)
        self._keeper.read.connect(self._opened)
        self._keeper.failed.connect(self._failed)
        self._keeper.unread.connect(self._unread)
        self.look()

    @property
    def idle(self) -> bool:
        """Whether all that was said is on disk."""
        return not self._soon.isActive() and not self._keeper.busy

    def place(self) -> tuple[str, tuple[Path, ...]]:
        """Return the name of the image for files about it, and their folders, the best one first.

        That is where the session is kept, and else beside the image.
        """
        workspace = self._dialogue.workspace
        if workspace is None:
            return "image", ()
        facts, home = ImageFacts.of(workspace.image), self._ledger.home
        folders = [] if home is None else [home.folder]
        if facts.path is not None:
            folders.append(beside(facts.path).folder)
        return image_stem(facts), tuple(dict.fromkeys(folders))

    def attach(self, workspace: Workspace) -> None:
        """Keep what is said of a workspace; go on in its files, if there are any of this viewer."""
        metadata = workspace.labels.metadata
        view = workspace.axis, workspace.sight.region
        before, ledger = metadata.get(LEDGER, (view, FileOwnership()))
        self._go_on(workspace, ledger if before == view else FileOwnership())
        self._views.show_offer("")
        self._views.save.show_image(*_best_place(workspace.image))

    def detach(self) -> None:
        """Keep the last changes, and no more; touches no view."""
        halt(self._soon)
        self.keep()

    def close(self) -> None:
        """End the thread as soon as all is written."""
        self._closed = True
        halt(self._soon)
        self._keeper.close()

    def keep(self) -> None:
        """Have all written that is not on disk yet."""
        workspace = self._dialogue.workspace
        if workspace is None or not self._views.save.autosave.isChecked():
            return
        works = self._works(workspace)
        changed = tuple(
            work for place, work in works.items() if not work.says_the_same(self._last.get(place))
        )
        # Nothing is written before anything is said.
        if changed and (self._last or any(w.wanted.prompts or w.wanted.accepted for w in changed)):
            self._last = works
            facts = ImageFacts.of(workspace.image)
            self._keeper.keep(SaveRequest(facts, self._ledger, changed))

    def look(self) -> None:
        """Find out whether there is earlier work on the chosen image."""
        self._found = None
        if self._closed:
            return
        self._views.show_offer("")
        image = self._images.image
        if image is not None and not has_layers(self._viewer, image):
            self._keeper.look_for(ImageFacts.of(image))

    def _works(self, workspace: Workspace) -> dict[Place, StackSession]:
        dialogue, said, models = self._dialogue, workspace.said, self._models
        places = dialogue.places() | self._last.keys()
        return {
            place: StackSession(
                workspace.spec(place, models.use),
                dialogue.wanted(place),
                dialogue.told.get(place, SessionFeedback()),
                said.names,
                said.handed_at(place),
            )
            for place in sorted(places)
        }

    def _go_on(self, workspace: Workspace, ledger: FileOwnership) -> None:
        self._ledger, self._home, self._last = ledger, ledger.home, {}
        self._views.save.show_home(None if ledger.home is None else ledger.home.file(()))
        view = workspace.axis, workspace.sight.region
        workspace.labels.metadata[LEDGER] = (view, ledger)

    def _changed(self) -> None:
        if self._dialogue.workspace is not None and not self._soon.isActive():
            self._soon.start()

    def _keep_if_free(self) -> None:
        # As long as writing takes, so long it rests: that is never behind by more than one step.
        if self._keeper.busy:
            self._soon.start()
        else:
            self.keep()

    def _choose(self, path: Path) -> None:
        """Keep the work in another file from now on."""
        workspace = self._dialogue.workspace
        if workspace is not None:
            self._views.save.autosave.setChecked(True)
            self._go_on(workspace, FileOwnership(SessionLocation.chosen(path), replaces=True))
            self.keep()

    def _show_kept(self, kept: SaveResult) -> None:
        if self._closed or kept.home != self._ledger.home:
            return
        self._trouble = ""
        if kept.trouble is not None:
            show_moved(kept.trouble, kept.path)
        if self._home not in (None, kept.home):
            # Someone else has written to the files that were ours, or they cannot be written any
            # more: all goes to new ones.
            self._last = {}
            self._changed()
        self._home = kept.home
        self._views.save.show_home(kept.path, kept.written)

    def _failed(self, error: Exception) -> None:
        if not self._closed:
            self._last = {}
            self._views.save.show_failure(str(error))
            if str(error) != self._trouble:  # said once, not with every click
                self._trouble = str(error)
                show_problem(error)

    # Earlier work.

    def _unread(self, error: Exception) -> None:
        if not self._closed:
            show_problem(error)

    def _offer(self, facts: ImageFacts, found: Found) -> None:
        image = self._images.image
        if self._closed or self._dialogue.workspace is not None or image is None:
            return
        if ImageFacts.of(image) == facts:
            self._found = found
            when = time.strftime("%x %H:%M", time.localtime(found.modified))
            self._views.show_offer(
                f"Earlier work on this image: {summary(found.files.values())} ({when})."
            )

    def _resume_found(self) -> None:
        found = self._found
        if found is not None:
            self.resume(found.files, found.ledger)

    def _opened(self, path: Path, saved: SessionFile) -> None:
        image = self._images.image
        if self._closed or image is None:
            return
        shape = ImageFacts.of(image).shape
        place = place_of(saved, shape)
        if place is None:
            frames, rows, columns = saved.book.shape
            show_problem(
                PromptError(
                    f"{path.name} was made for {frames} frames of {rows} x {columns} pixels, "
                    f"and {image.name} has the shape {shape}.",
                    safe="Nothing has changed.",
                    remedy="Choose the image that it was made for, or one of that shape.",
                )
            )
        else:
            self.resume({place: saved}, None)

    def resume(self, files: dict[Place, SessionFile], ledger: FileOwnership | None) -> None:
        """Begin to segment the chosen image with what session files say.

        Parameters
        ----------
        files : dict of Place to SessionFile
        ledger : FileOwnership or None
            Goes on in these files; None: leaves them as they are.
        """
        saved = next(iter(files.values()))
        image = self._images.image
        if image is None:
            return
        picked = picked_channels(saved, ImageFacts.of(image).shape)
        if not image.rgb and saved.contrast and picked is None:
            image.contrast_limits = saved.contrast[0]
        self._images.choose(saved.axis, picked)
        self._models.choose(
            str(saved.settings.get("model")), str(saved.settings.get("speed", Speed.EXACT))
        )
        layers = further_layers(saved)
        if layers or len(saved.contrast) < 2:  # else it is not known which layers they were of
            missing = self._images.sights.rejoin(layers, saved.contrast[1:])
            if missing:
                show_missing(missing)
        sight = self._images.sights.sight()
        self._begin(None if sight is None else resumed_sight(sight, saved))
        workspace = self._dialogue.workspace
        if workspace is None:
            return
        if ledger is not None:
            self._go_on(workspace, ledger)
        self._dialogue.replay(files, resumed_state(workspace, files))
        frames = sorted({frame for _, frame, _ in saved.book})
        here = workspace.here()
        if frames and here is not None and here[1] not in frames:
            workspace.go_to(frames[0])


def _best_place(image: Image) -> tuple[Path | None, str]:
    """Return folder and name for files of an image; no folder if it came from no file."""
    facts = ImageFacts.of(image)
    if facts.path is None:
        return None, facts.name
    home = beside(facts.path)
    return home.folder, home.stem
