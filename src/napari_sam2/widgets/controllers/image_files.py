"""The controller of image files: opens them as layers, in a worker thread.

Main thread only, unless a method says otherwise.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import SeriesError
from napari_sam2.widgets.layers.image_file import ImageFile
from napari_sam2.widgets.views.notifications import show_problem
from napari_sam2.widgets.worker.thread import Worker, readable

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.views.image_section import OpenButton


class ImageFileController(QObject):
    """Opens the image files that the user chooses, and adds them to the viewer.

    Of a file with several images, the user is asked which one.

    Parameters
    ----------
    viewer : Viewer
    view : OpenButton
    """

    _opened = Signal(int, object)

    def __init__(self, viewer: Viewer, view: OpenButton) -> None:
        super().__init__()
        self._viewer, self._view = viewer, view
        self._worker: Worker | None = None
        self._request = 0  # number of the newest one: what older ones find is dropped
        self._path: Path | None = None  # that is being opened, or asked about
        self._closed = False
        self._opened.connect(self._take, Qt.ConnectionType.QueuedConnection)
        view.image_requested.connect(self.open)
        view.series_chosen.connect(self._open_series)
        view.cancel_requested.connect(self.cancel)

    @property
    def busy(self) -> bool:
        """Whether a file is being opened, or its layer being added."""
        return self._worker is not None and self._worker.busy

    def open(self, path: Path, series: int | None = None) -> None:
        """Open a file or folder as a layer; returns at once.

        Parameters
        ----------
        path : Path
        series : int, optional
            Which of its images; None: the only one, or ask.
        """
        if self._closed:
            return
        self._request += 1
        self._path = path
        self._view.withdraw_question()
        self._view.show_opening(path.name)
        if self._worker is None:
            self._worker = Worker("image files", on_exit=self.close, on_end=lambda: None)
        self._worker.submit(partial(self._read, self._request, path, series))

    def cancel(self) -> None:
        """Drop what is being opened; no layer is added.

        The next file does not wait for a storage that does not answer.
        """
        self._settle()
        if self._worker is not None and self._worker.busy:
            self._worker.close()
            self._worker = None

    def _settle(self) -> None:
        """Note that nothing is being opened any more."""
        self._request += 1
        self._path = None
        if not self._closed:
            self._view.withdraw_question()
            self._view.show_opening("")

    def close(self) -> None:
        """End the thread; add no layer any more."""
        self._closed = True
        if isalive(self._view):
            self._view.withdraw_question()
        if self._worker is not None:
            self._worker.close()

    def _open_series(self, number: int) -> None:
        if self._path is not None:
            self.open(self._path, number)

    def _take(self, request: int, found: ImageFile | tuple[str, ...] | Exception) -> None:
        path = self._path
        if request != self._request or self._closed or path is None:
            return
        if isinstance(found, tuple):
            self._view.offer_series(path.name, found)
            return
        self._settle()
        if isinstance(found, ImageFile):
            try:
                found.show(self._viewer)
            except Exception as error:  # the storage fails now, or napari cannot draw it
                found = readable(error)
        if isinstance(found, Exception):
            show_problem(found)

    def _read(self, request: int, path: Path, series: int | None) -> None:
        """Open a file, and tell what it holds. Worker thread only."""
        found: ImageFile | tuple[str, ...] | Exception
        try:
            found = ImageFile.read(path, series)
        except SeriesError as error:
            found = error.names
        except Exception as error:  # shown to the user; a bug with its traceback
            found = readable(error)
        if not self._closed:
            self._opened.emit(request, found)
