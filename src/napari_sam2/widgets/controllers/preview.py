"""The preview controller: a thumbnail of the image source, drawn in a worker thread."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import Sam2Error
from napari_sam2.stack import FrameStack
from napari_sam2.widgets.state.image_source import ImageSource
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.throttle import halt, single_shot
from napari_sam2.widgets.worker.thread import Worker

if TYPE_CHECKING:
    from napari_sam2.widgets.views.image_section import SourceSection

_SOON_MS = 60
_SIDE = 440  # pixels that are shown at half the size: sharp on any screen


@dataclass(frozen=True, slots=True, eq=False)
class PreviewRequest:
    """One frame to be drawn.

    Attributes
    ----------
    source : ImageSource
    axis : int or None
        Video axis.
    position : StackPosition
        Of the other sliders.
    frame : int
    later : bool
        It is not what the session sees, but what it will see after a restart.
    """

    source: ImageSource
    axis: int | None
    position: StackPosition
    frame: int
    later: bool

    def looks_like(self, other: PreviewRequest) -> bool:
        """Tell whether another frame of the same stack is to be drawn."""
        where = (self.axis, self.position) == (other.axis, other.position)
        return where and self.source.same_as(other.source)


class PreviewController(QObject):
    """Draws the newest preview request while its section is open.

    Parameters
    ----------
    section : SourceSection
    request : callable
        Says what is to be drawn; None if there is nothing.
    """

    _drawn = Signal(object, object, str)

    def __init__(
        self, section: SourceSection, request: Callable[[], PreviewRequest | None]
    ) -> None:
        super().__init__()
        self._section, self._request = section, request
        self._lock = threading.Lock()
        self._newest: PreviewRequest | None = None
        self._waiting: PreviewRequest | None = None
        self._worker: Worker | None = None
        self._stack: tuple[PreviewRequest, FrameStack] | None = None  # that was drawn last
        self._closed = False
        self._soon = single_shot(self, self._ask, _SOON_MS)
        self._drawn.connect(self._show, Qt.ConnectionType.QueuedConnection)
        section.title.toggled.connect(lambda _: self.soon())

    def soon(self, _event: object = None) -> None:
        """Draw anew a little later, if anyone sees it."""
        if not self._closed and self._section.title.isChecked() and not self._soon.isActive():
            self._soon.start()

    def close(self) -> None:
        """End the thread; draw nothing any more."""
        self._closed = True
        halt(self._soon)
        if self._worker is not None:
            self._worker.close()

    def _ask(self) -> None:
        request = self._request()
        with self._lock:
            self._newest = self._waiting = request
        if request is None:
            self._section.show_picture(None, "")
            return
        if self._worker is None:
            self._worker = Worker("preview", on_exit=self.close, on_end=lambda: None)
        self._worker.submit(self._draw)

    def _show(
        self, request: PreviewRequest, picture: NDArray[np.uint8] | None, caption: str
    ) -> None:
        with self._lock:
            newest = self._newest is request
        if newest and not self._closed:
            self._section.show_picture(picture, caption)

    # Below: worker thread only.

    def _draw(self) -> None:
        with self._lock:
            request, self._waiting = self._waiting, None
        if request is None or self._closed:
            return
        picture: Any = None
        try:
            frame = self._frames(request).read(request.frame)
            rows, columns = frame.shape[:2]
            picture = small_picture(frame)
            caption = f"{columns} by {rows} pixels"
            caption = f"After Restart: {caption}" if request.later else caption
        except Sam2Error as error:
            caption = str(error)
        if not self._closed:
            self._drawn.emit(request, picture, caption)

    def _frames(self, request: PreviewRequest) -> FrameStack:
        """Return the stack of a request; its measured contrast is kept for the next one."""
        known = self._stack
        if known is None or not known[0].looks_like(request):
            known = self._stack = (
                request,
                request.source.stack(request.axis, dict(request.position)),
            )
        return known[1]


def small_picture(frame: NDArray[np.float32], side: int = _SIDE) -> NDArray[np.uint8]:
    """Return a frame as a picture to look at, no longer than `side` pixels.

    Parameters
    ----------
    frame : ndarray of float32, shape (Y, X, C)
        Values 0..1; one channel or three.
    side : int

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
    """
    step = math.ceil(max(frame.shape[:2]) / side)
    picture = np.rint(frame[::step, ::step] * 255).astype(np.uint8)
    return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture
