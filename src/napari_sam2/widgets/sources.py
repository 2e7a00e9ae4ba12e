"""Other Labels layers, whose objects can be taken as prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QObject

from napari_sam2.errors import PromptError
from napari_sam2.widgets.geometry import spatial_shape
from napari_sam2.widgets.label_prompts import label_prompts
from napari_sam2.widgets.notices import show_problem

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.dialogue import Dialogue
    from napari_sam2.widgets.prompt_box import PromptBox
    from napari_sam2.widgets.prompting import Prompting
    from napari_sam2.widgets.workspace import Workspace


class LabelSources(QObject):
    """Offers the Labels layers that fit, and takes their objects.

    Parameters
    ----------
    viewer : Viewer
    dialogue : Dialogue
    prompting : Prompting
        Knows which ids are taken.
    box : PromptBox
    """

    def __init__(
        self, viewer: Viewer, dialogue: Dialogue, prompting: Prompting, box: PromptBox
    ) -> None:
        super().__init__()
        self._viewer, self._dialogue = viewer, dialogue
        self._prompting, self._box = prompting, box
        self._workspace: Workspace | None = None
        box.labels_requested.connect(self.take)
        for emitter in self._emitters():
            emitter.connect(self._offer)

    def attach(self, workspace: Workspace) -> None:
        """Offer the layers that fit this image."""
        self._workspace = workspace
        self._offer()

    def detach(self) -> None:
        """Offer nothing any more; touches no view."""
        self._workspace = None

    def close(self) -> None:
        """Follow the layer list no longer."""
        for emitter in self._emitters():
            emitter.disconnect(self._offer)

    def take(self, layer: Labels | None) -> None:
        """Make all objects of a layer in the frame in view objects to follow."""
        workspace = self._workspace
        here = None if workspace is None else workspace.here()
        if workspace is None or here is None or layer is None:
            return
        painted = label_prompts(workspace, layer, *here, self._prompting.taken)
        if painted:
            self._dialogue.say(f"objects of {layer.name}", painted=painted)
            self._prompting.next_object()
        else:
            show_problem(
                PromptError(
                    f"There is no object of {layer.name} in this frame.",
                    remedy="Go to a frame where it has objects, and take them there.",
                )
            )

    def _emitters(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.renamed

    def _offer(self, _event: object = None) -> None:
        workspace = self._workspace
        if workspace is None:
            return
        fitting = (2, len(spatial_shape(workspace.image)))
        layers = [
            (layer.name, layer)
            for layer in self._viewer.layers
            if isinstance(layer, Labels) and layer is not workspace.labels and layer.ndim in fitting
        ]
        self._box.show_labels(layers)
