"""Keeps the stack box in line with napari's layer list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import Sam2Error
from napari_sam2.widgets.image_choice import (
    guess_video_axis,
    image_layers,
    preferred_image,
    video_axes,
)
from napari_sam2.widgets.notices import show_problem

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

    from napari_sam2.widgets.stack_box import StackBox


class ImagePicker(QObject):
    """Knows which image layer and which video axis are chosen.

    Signals
    -------
    changed()
        Image or axis are others than before.
    """

    changed = Signal()

    def __init__(self, viewer: Viewer, box: StackBox) -> None:
        super().__init__()
        self._viewer, self._box = viewer, box
        self.image: Image | None = None
        self.axis: int | None = None
        self.pinned = False
        box.image_requested.connect(self._choose)
        box.axis_requested.connect(self._choose_axis)
        events = viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
            emitter.connect(self._list_changed)
        self._list_changed()

    def close(self) -> None:
        """Follow the layer list no longer."""
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
            emitter.disconnect(self._list_changed)

    def _list_changed(self, event: object = None) -> None:
        current = self.image
        new = getattr(event, "value", None)
        if not self.pinned and getattr(event, "type", "") == "inserted":
            # Nothing has begun yet: the image that was just opened is the one that is meant.
            current = new if any(new is image for image in image_layers(self._viewer)) else current
        self._show(preferred_image(self._viewer, current))

    def _choose(self, image: Image) -> None:
        self._show(image)

    def _choose_axis(self, axis: int) -> None:
        if axis != self.axis:
            self.axis = axis
            self.changed.emit()

    def _show(self, image: Image | None) -> None:
        names = [(layer.name, layer) for layer in image_layers(self._viewer)]
        self._box.show_images(names, image)
        if image is self.image:
            return
        self.image, self.axis = image, None
        if image is not None:
            try:
                self.axis = guess_video_axis(image)
            except Sam2Error as error:
                show_problem(error)
        self._box.show_axes(video_axes(image) if image is not None else [], self.axis)
        self.changed.emit()
