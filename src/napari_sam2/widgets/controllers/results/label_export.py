"""The label export controller: writes labels to a file in a worker thread."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import LabelsError
from napari_sam2.labels import write_labels
from napari_sam2.widgets.layers.image_axes import file_axes, pixel_sizes, pixel_units
from napari_sam2.widgets.layers.image_file import orientation
from napari_sam2.widgets.views.notifications import show_done, show_problem
from napari_sam2.widgets.worker.thread import Worker, readable

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_sam2.widgets.controllers.annotation import AnnotationController
    from napari_sam2.widgets.views.results.save_section import SaveSection


@dataclass(frozen=True, slots=True, eq=False)
class LabelFile:
    """Labels and where they are to go."""

    path: Path
    labels: Any
    axes: str
    scale: tuple[float, ...] | None
    units: tuple[str, ...]
    affine: NDArray[np.float64] | None


class _CancelledError(Exception):
    """Ends the writing."""


class _Signals(QObject):
    moved = Signal(int, int)
    ended = Signal(object, object)


def is_file_of(path: Path, image: Image) -> bool:
    """Tell whether an image was opened from this very file, which it may still be read from."""
    source = image.source.path
    return source is not None and os.path.realpath(source) == os.path.realpath(path)


class LabelExportController(QObject):
    """Writes labels, shows how far that is, and stops when asked. Main thread only.

    The labels are read plane by plane as they are then: work may go on meanwhile.

    Parameters
    ----------
    annotation : AnnotationController
        Knows the workspace.
    section : SaveSection
        Asks for files.
    """

    def __init__(self, annotation: AnnotationController, section: SaveSection) -> None:
        super().__init__()
        self._annotation, self._section = annotation, section
        self._signals = _Signals()
        self._cancelled = threading.Event()
        self._closed = False
        self._worker: Worker | None = None  # from the first file on
        section.labels_requested.connect(self.write)
        section.labels_cancel_requested.connect(self._cancelled.set)
        self._signals.moved.connect(self._show_progress)
        self._signals.ended.connect(self._show_end)

    @property
    def busy(self) -> bool:
        """Whether a file is being written."""
        return self._worker is not None and self._worker.busy

    def write(self, path: Path) -> None:
        """Write all labels of the workspace to a file, by its suffix; see `write_labels`."""
        workspace = self._annotation.workspace
        if workspace is None or self.busy:
            return
        image, labels = workspace.image, workspace.labels.data
        if is_file_of(path, image):
            show_problem(
                LabelsError(
                    f"{path.name} is the image itself.",
                    safe="It was not touched.",
                    remedy="Give the labels a name of their own.",
                )
            )
            return
        axes = file_axes(image, workspace.axis)
        sizes, units = pixel_sizes(image, axes), pixel_units(image, axes)
        file = LabelFile(path, labels, axes, sizes, units, orientation(image))
        if self._worker is None:
            self._worker = Worker("labels", on_exit=self.close, on_end=lambda: None)
        self._cancelled.clear()
        self._section.show_writing(0, 0)
        self._worker.submit(lambda: self._write(file))

    def close(self) -> None:
        """Stop writing; a file that is not whole is taken away again."""
        self._closed = True
        self._cancelled.set()
        if self._worker is not None:
            self._worker.close()

    def _show_progress(self, done: int, total: int) -> None:
        if not self._closed and self.busy:
            self._section.show_writing(done, total)

    def _show_end(self, path: Path, error: Exception | None) -> None:
        if self._closed:
            return
        self._section.show_written()
        if error is None:
            show_done(f"The labels are in {path}.")
        elif not isinstance(error, _CancelledError):
            show_problem(error)

    # Below: worker thread only.

    def _write(self, file: LabelFile) -> None:
        def progress(done: int, total: int) -> None:
            if self._cancelled.is_set():
                raise _CancelledError
            self._signals.moved.emit(done, total)

        error: Exception | None = None
        try:
            write_labels(
                file.path,
                file.labels,
                axes=file.axes,
                scale=file.scale,
                units=file.units,
                affine=file.affine,
                progress=progress,
            )
        except Exception as found:  # nothing may get lost: all errors reach the user
            error = readable(found)
        self._signals.ended.emit(file.path, error)
