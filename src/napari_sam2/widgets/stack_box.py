"""View: which image, along which axis, and what is seen of it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]

from napari_sam2.widgets.parts import Choice, Section
from napari_sam2.widgets.sight_box import SightBox


class StackBox(Section):
    """Chooses an image layer and its video axis.

    Parameters
    ----------
    along : bool
        Whether there is an axis to choose.

    Signals
    -------
    image_requested(Image)
        The user chose another image layer.
    axis_requested(int)
        The user chose another video axis.
    """

    image_requested = Signal(object)
    axis_requested = Signal(object)

    def __init__(self, *, along: bool = True) -> None:
        super().__init__("Stack" if along else "Image")
        self.images = Choice("The image layer to segment. The list follows napari's layers.")
        self.axes = Choice(
            "The axis along which objects are followed, like the time of a video: the slices of "
            "a z-stack or the frames of a time-lapse. Other sliders stay where they are."
        )
        self.add_row("Image", self.images)
        if along:
            self.add_row("Video axis", self.axes)
        else:
            self.axes.setParent(self)
            self.axes.hide()
        self.sight = SightBox()
        self.body.addWidget(self.sight)
        self.images.activated.connect(lambda _: self.image_requested.emit(self.images.value))
        self.axes.activated.connect(lambda _: self.axis_requested.emit(self.axes.value))

    def show_images(self, names: list[tuple[str, Any]], current: Any) -> None:
        """Offer these image layers."""
        self.images.offer(names, current)
        self.images.setEnabled(bool(names))
        self.images.setPlaceholderText("no image open")

    def show_axes(self, axes: list[tuple[str, int | None]], current: int | None) -> None:
        """Offer these video axes; a single image has none to choose."""
        self.axes.offer(axes, current)
        self.axes.setEnabled(len(axes) > 1)
