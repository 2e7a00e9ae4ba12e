"""The dock widgets: `StackPanel` for stacks and `ImagePanel` for single images.

Main thread only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QEvent

from napari_sam2.widgets.controllers.image import ImageController
from napari_sam2.widgets.controllers.model import ModelController
from napari_sam2.widgets.controllers.panel import PanelController
from napari_sam2.widgets.views.base import end_with_python
from napari_sam2.widgets.views.panel_view import PanelView
from napari_sam2.widgets.worker.adaptation import Prepare, prepare_process_job
from napari_sam2.widgets.worker.model_fetcher import ModelFetcher, Sources
from napari_sam2.widgets.worker.session_factory import SessionFactory
from napari_sam2.widgets.worker.session_protocol import SessionOpener
from napari_sam2.widgets.worker.session_worker import SessionWorker

if TYPE_CHECKING:
    import napari.viewer


@dataclass(frozen=True)
class Wiring:
    """What the panel is connected to; exchanged in tests.

    Attributes
    ----------
    open_session : callable, optional
        See `SessionOpener`.
    sources : Sources, optional
        Where it learns about models.
    prepare : callable, optional
        See `Prepare`.
    """

    open_session: SessionOpener | None = None
    sources: Sources | None = None
    prepare: Prepare | None = None


class StackPanel(PanelView):
    """Segments a z-stack or a time-lapse from a few clicks.

    Parameters
    ----------
    viewer : Viewer
        napari gives it.
    wiring : Wiring, optional
        Real sessions and models by default.
    """

    follows = True
    """Whether objects are followed through a stack."""

    # napari passes the viewer to an argument with exactly this annotation.
    def __init__(self, viewer: napari.viewer.Viewer, wiring: Wiring | None = None) -> None:
        super().__init__(propagates=self.follows)
        # What napari passes is a proxy that wraps each layer anew at every access: the same layer
        # would never be the same object.
        viewer = getattr(viewer, "__wrapped__", viewer)
        wiring = wiring or Wiring()
        self._docked = False
        self.controller = PanelController(
            viewer,
            self,
            ImageController(viewer, self.stack, along=self.follows),
            ModelController(self.model, ModelFetcher(wiring.sources)),
            SessionWorker(
                wiring.open_session or SessionFactory(), wiring.prepare or prepare_process_job
            ),
        )
        # Whichever comes first: the dock is closed, the window is gone, napari or Python ends.
        self.destroyed.connect(self.controller.close)
        end_with_python(self, self.controller.close)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.controller.close)

    def reset_choices(self, _event: object = None) -> None:
        """Offer the layers that there are; napari calls this when its layer list changes."""
        if not self.controller.closed:
            self.settings.reset_choices()

    def changeEvent(self, event: Any) -> None:
        """End the work when the dock lets go of the panel."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange:
            if self._docked and self.parent() is None:
                self.controller.close()
            self._docked = self.parent() is not None


class ImagePanel(StackPanel):
    """Segments single images from a few clicks: the frame in view, and no other.

    The same as `StackPanel` without propagation and review. Every frame of a stack is an image
    for itself; go to another one and click there.
    """

    follows = False
