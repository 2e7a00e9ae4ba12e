"""View: what the model sees, and how that is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel

from napari_sam2.widgets.parts import Choice, Fold, captioned

PARTS = (("whole image", "whole"), ("current view", "view"), ("rectangle…", "rectangle"))
"""What can be chosen as the part to work in: title and name."""

_PICTURE_SIDE = 220


class SightBox(Fold):
    """Chooses further channels and a part of the image; shows a small picture of the outcome.

    Signals
    -------
    channels_requested()
        The user chose other layers: see `layers`.
    part_requested(str)
        The user chose one of `PARTS`, perhaps the same again.
    """

    channels_requested = Signal()
    part_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__("What the model sees")
        self.second = Choice(
            "A second channel: an image layer of the same size and place. Each channel is seen in "
            "the contrast of its own layer."
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
        self._channels = captioned("Channel 2", self.second), captioned("Channel 3", self.third)
        for channel in self._channels:
            self.body.addWidget(channel)
        self.add_row("Part", self.part)
        self.body.addWidget(self.picture)
        self.body.addWidget(self.caption)
        for choice in (self.second, self.third):
            choice.activated.connect(lambda _: self.channels_requested.emit())
        self.part.activated.connect(lambda _: self.part_requested.emit(self.part.value))
        self.show_channels([], (None, None))

    @property
    def layers(self) -> tuple[Any, ...]:
        """The layers that are chosen as further channels."""
        chosen = (self.second.value, self.third.value)
        return tuple(layer for layer in chosen if layer is not None)

    def show_channels(self, names: list[tuple[str, Any]], chosen: tuple[Any, Any]) -> None:
        """Offer these layers as further channels; where there are none, nothing is shown."""
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
