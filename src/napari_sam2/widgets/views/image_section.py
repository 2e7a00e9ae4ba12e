"""The section of the image: layer, axis, channels, region, preview.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction, QImage, QPixmap  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QInputDialog, QLabel, QMenu, QPushButton

from napari_sam2.widgets.views.base import Fold, Section, captioned
from napari_sam2.widgets.views.fields import PARTS, PanelFields

IMAGE_FILES = (
    "Images (*.tif *.tiff *.nii *.nii.gz *.dcm *.png *.jpg *.jpeg *.npy *.lsm);;All files (*)"
)
_PICTURE_SIDE = 220
_LONGEST_NAME = 80  # characters


class SourceSection(Fold):
    """Shows the fields of channels and part of the image, and a small picture of the outcome.

    Parameters
    ----------
    fields : PanelFields

    Signals
    -------
    rectangle_requested()
        The user chose to draw a rectangle, perhaps once more.
    """

    rectangle_requested = Signal()

    def __init__(self, fields: PanelFields) -> None:
        super().__init__("What the model sees")
        self.channel_axis, self.part = fields.channel_axis, fields.part
        self.channel = fields.channel
        self.channel_2, self.channel_3 = fields.channel_2, fields.channel_3
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setToolTip("The frame in view as it is given to the model.")
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        self.caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._lay_out()
        self.part.native.activated.connect(self._part_activated)
        self.show_channel_axes([], None)
        self.show_own([], None)
        self.show_channels([], (None, None))

    def show_channel_axes(self, names: list[tuple[str, int]], chosen: int | None) -> None:
        """Offer these sliders as channels; without any, the row is hidden."""
        channels = [(f"{name}: channels", axis) for name, axis in names]
        self.channel_axis.offer(channels, chosen)
        self._channel_axis.setVisible(bool(names))

    def show_own(self, names: list[tuple[str, int]], chosen: int | None) -> None:
        """Offer the channels of the layer itself; without any, the row is hidden."""
        self.channel.offer(names, chosen)
        self._own.setVisible(bool(names))

    def show_channels(self, names: list[tuple[str, Any]], chosen: tuple[Any, Any]) -> None:
        """Offer these as further channels; without any, the rows are hidden."""
        for field, current in zip((self.channel_2, self.channel_3), chosen, strict=True):
            field.offer(names, current)
        self._channels[0].setVisible(bool(names))
        self._channels[1].setVisible(chosen[0] is not None and len(names) > 1)

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
        self._channel_axis = captioned("Sliders", self.channel_axis.native)
        self._own = captioned("Channel", self.channel.native)
        self._channels = (
            captioned("Channel 2", self.channel_2.native),
            captioned("Channel 3", self.channel_3.native),
        )
        for line in (self._channel_axis, self._own, *self._channels):
            self.body.addWidget(line)
        self.add_row("Part", self.part.native)
        self.body.addWidget(self.picture)
        self.body.addWidget(self.caption)

    def _part_activated(self, index: int) -> None:
        # The value may be the same as before, which the field does not announce.
        if PARTS[index][1] == "rectangle":
            self.rectangle_requested.emit()


class OpenButton(QPushButton):
    """Asks for an image file or a folder; while one is being opened, it cancels that.

    Signals
    -------
    image_requested(Path)
        Open this file or folder.
    cancel_requested()
    series_chosen(int)
        Open this one of the images that were offered.
    """

    image_requested = Signal(object)
    cancel_requested = Signal()
    series_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._question: QInputDialog | None = None  # made when it is needed first
        self._titles: list[str] = []  # that it offers
        self._menu = QMenu(self)
        self.file = QAction("Image file…", self)
        self.folder = QAction("Folder: OME-Zarr, slices or DICOM…", self)
        self._menu.addActions([self.file, self.folder])
        self.file.triggered.connect(lambda _checked: self._ask_for_file())
        self.folder.triggered.connect(lambda _checked: self._ask_for_folder())
        self.clicked.connect(lambda _checked: self.cancel_requested.emit())
        self.show_opening("")

    def show_opening(self, name: str) -> None:
        """Show which file is being opened; empty: none."""
        self.setText("Cancel" if name else "Open")
        self.setMenu(None if name else self._menu)
        self.setToolTip(
            f"Stop opening {name}."
            if name
            else "Open an image with its axes, pixel sizes and units: TIFF, OME-Zarr, NIfTI, "
            "DICOM, PNG, JPEG, .npy, folders of slices. Frames are read when they are needed."
        )

    def offer_series(self, file: str, names: tuple[str, ...]) -> None:
        """Ask which of the images of a file is to be opened; does not wait for the answer.

        Parameters
        ----------
        file : str
        names : tuple of str
            Of the images, several of which may be the same or empty.
        """
        self._titles = [
            f"{number}: {_shortened(name)}" if name else str(number)
            for number, name in enumerate(names)
        ]
        # One dialog for all questions: PySide6 may crash when one is deleted in its own signal.
        if self._question is None:
            self._question = QInputDialog(self)
            self._question.setWindowTitle("Open image")
            self._question.textValueSelected.connect(self._choose_series)
            self._question.rejected.connect(self.cancel_requested.emit)
        self._question.setLabelText(
            f"{_shortened(file)} holds {len(self._titles)} images. Which one?"
        )
        self._question.setComboBoxItems(self._titles)
        self._question.open()

    def withdraw_question(self) -> None:
        """Ask no longer which image is to be opened; nothing has been chosen."""
        if self._question is not None and isalive(self._question):
            self._question.hide()  # tells nobody

    def _choose_series(self, title: str) -> None:
        self.series_chosen.emit(self._titles.index(title))

    def _ask_for_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Open image", "", IMAGE_FILES)
        if chosen:
            self.image_requested.emit(Path(chosen))

    def _ask_for_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open folder")
        if chosen:
            self.image_requested.emit(Path(chosen))


def _shortened(name: str) -> str:
    """Return a name that fits into a window: the middle of a long one is left out."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


class StackSection(Section):
    """Shows the fields of image layer and video axis.

    Parameters
    ----------
    fields : PanelFields
    along : bool
        Whether there is an axis to choose.
    """

    def __init__(self, fields: PanelFields, *, along: bool = True) -> None:
        super().__init__("Stack" if along else "Image")
        self.image, self.axis, self.kind = fields.image, fields.axis, fields.kind
        self.image.native.setPlaceholderText("no image open")
        self.open = OpenButton()
        self.add_row("Image", self.image.native, self.open, stretch=(1, 0))
        if along:
            self.add_row("Video axis", self.axis.native)
            self.add_row("Frames are", self.kind.native)
        self.source = SourceSection(fields)
        self.body.addWidget(self.source)

    def show_images(self, names: Callable[[Any], list[tuple[str, Any]]], current: Any) -> None:
        """Offer the image layers that a function returns."""
        self.image.offer(names, current)
        self.image.enabled = bool(self.image.choices)

    def show_axes(self, axes: list[tuple[str, int | None]], current: int | None) -> None:
        """Offer these video axes; a single image has none to choose.

        Saved work may be of single frames: then the only axis is to be chosen, too.
        """
        self.axis.offer(axes, current)
        self.axis.enabled = len(axes) > 1 or any(axis != current for _, axis in axes)
        self.kind.enabled = current is not None
