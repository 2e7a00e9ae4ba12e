"""The section of the image: layer, axis, channels, region, preview.

Main thread only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel

from napari_sam2.widgets.views.base import Choice, Fold, Section, captioned

PARTS = (("whole image", "whole"), ("current view", "view"), ("rectangle…", "rectangle"))
"""What can be chosen as the part to work in: title and name."""

_PICTURE_SIDE = 220


class SourceSection(Fold):
    """Chooses channels and a part of the image; shows a small picture of the outcome.

    Signals
    -------
    sliders_requested(int or None)
        The user says that this slider holds channels, or that none does.
    channels_requested()
        The user chose other channels: see `first` and `further`.
    part_requested(str)
        The user chose one of `PARTS`, perhaps the same again.
    """

    sliders_requested = Signal(object)
    channels_requested = Signal()
    part_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__("What the model sees")
        self.sliders = Choice(
            "The axes of this layer have no names. If one of them holds channels, say so here to "
            "have up to three of them seen together."
        )
        self.first = Choice(
            "This layer holds several channels. The one in view is a picture of its own; or choose "
            "up to three that are seen together, in red, green and blue. Each has the contrast of "
            "its own 0.1 and 99.9 percentiles over the stack, and the labels hold for all channels."
        )
        self.second = Choice(
            "A second channel: of the same layer, or an image layer of the same size and place. "
            "Layers are seen in the contrast that they have."
        )
        self.third = Choice("A third channel.")
        self.part = Choice(
            "Where to work. A part is seen at its own resolution, so that small objects in large "
            "images are seen as they are; masks are written in place. Current view takes what is "
            "on the screen now; rectangle lets you draw one."
        )
        self.part.offer(PARTS, "whole")
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setToolTip("The frame in view as it is given to the model.")
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        self.caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._lay_out()
        for choice in (self.first, self.second, self.third):
            choice.activated.connect(lambda _: self.channels_requested.emit())
        self.sliders.activated.connect(lambda _: self.sliders_requested.emit(self.sliders.value))
        self.part.activated.connect(lambda _: self.part_requested.emit(self.part.value))
        self.show_sliders([], None)
        self.show_own([], None)
        self.show_channels([], (None, None))

    @property
    def further(self) -> tuple[Any, ...]:
        """The layers, or channels of the same layer, that are chosen besides the first one."""
        chosen = (self.second.value, self.third.value)
        return tuple(each for each in chosen if each is not None)

    def show_sliders(self, names: list[tuple[str, int]], chosen: int | None) -> None:
        """Ask which of these sliders holds channels; where there are none, nothing is shown."""
        channels = [(f"{name}: channels", axis) for name, axis in names]
        self.sliders.offer([("slices or frames", None), *channels], chosen)
        self._sliders.setVisible(bool(names))

    def show_own(self, names: list[tuple[str, int]], chosen: int | None) -> None:
        """Offer the channels of the layer itself; where there are none, nothing is shown."""
        self.first.offer([("the one in view", None), *names], chosen)
        self._own.setVisible(bool(names))

    def show_channels(self, names: list[tuple[str, Any]], chosen: tuple[Any, Any]) -> None:
        """Offer these as further channels; where there are none, nothing is shown."""
        for choice, current in zip((self.second, self.third), chosen, strict=True):
            choice.offer([("none", None), *names], current)
        self._channels[0].setVisible(bool(names))
        self._channels[1].setVisible(chosen[0] is not None and len(names) > 1)

    def show_part(self, name: str) -> None:
        """Show which part is chosen."""
        self.part.choose(name)

    def show_picture(self, picture: NDArray[np.uint8] | None, caption: str) -> None:
        """Show a picture (Y, X, 3), and say below what it is."""
        self.caption.setText(caption)
        if picture is None:
            self.picture.clear()
            return
        rows, columns, _ = picture.shape
        pixels = np.ascontiguousarray(picture).tobytes()
        image = QImage(pixels, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        self.picture.setPixmap(
            QPixmap.fromImage(image).scaled(
                _PICTURE_SIDE,
                _PICTURE_SIDE,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )

    def _lay_out(self) -> None:
        self._sliders = captioned("Sliders", self.sliders)
        self._own = captioned("Channel", self.first)
        self._channels = captioned("Channel 2", self.second), captioned("Channel 3", self.third)
        for line in (self._sliders, self._own, *self._channels):
            self.body.addWidget(line)
        self.add_row("Part", self.part)
        self.body.addWidget(self.picture)
        self.body.addWidget(self.caption)


class StackSection(Section):
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
        self.source = SourceSection()
        self.body.addWidget(self.source)
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
