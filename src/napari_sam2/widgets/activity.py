"""The progress of a run in napari's activity dock."""

from __future__ import annotations

import io

from napari.utils import progress
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer
from qtpy.QtGui import QMovie
from qtpy.QtWidgets import QApplication, QLabel, QMainWindow, QStatusBar

from napari_sam2.widgets.timers import halt

_EVERY_MS = 100
_CALM, _USUAL = 3, 100  # per cent of the speed of napari's spinner
_RUNNING = "napari_sam2_running"  # property of a spinner: how many activities have it turn slowly


class Activity(QObject):
    """One progress bar at a time. Main thread only.

    Moving napari's bars lets events in, so it is done now and then by a timer of its own, not
    by those who are in the middle of something.

    Attributes
    ----------
    done : int
        How many steps are done; set by the user of the class.
    """

    def __init__(self) -> None:
        super().__init__()
        self.done = 0
        self._bar: progress | None = None
        self._wanted: tuple[int, str] | None = None
        self._calmed: list[QMovie] = []
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self._move)

    def start(self, total: int, description: str) -> None:
        """Show a bar of `total` steps."""
        self.end()
        self.done, self._wanted = 0, (total, description)
        self._timer.start()

    def end(self) -> None:
        """Take the bar away."""
        halt(self._timer)
        self._wanted = None
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
        calmed, self._calmed = self._calmed, []
        for movie in calmed:
            if isalive(movie):
                _turn(movie, -1)

    def _move(self) -> None:
        if self._bar is None and self._wanted is not None:
            (total, description), self._wanted = self._wanted, None
            _fit_signs()
            # napari also writes the bar as text, which belongs to no terminal of ours.
            bar = progress(total=total, desc=description, file=io.StringIO())
            if not self._timer.isActive():  # it ended while the bar was made
                bar.close()
                return
            self._bar, self._calmed = bar, spinners()
            for movie in self._calmed:
                _turn(movie, 1)
        if self._bar is not None and self.done > self._bar.n:
            self._bar.update(self.done - self._bar.n)


def _turn(movie: QMovie, more: int) -> None:
    """Have a spinner of napari turn slowly for so many activities more, or fewer.

    Each of its pictures has the whole window put together anew: thirty times a second that takes
    most of a core where no graphics card helps, from those who compute.
    """
    running = int(movie.property(_RUNNING) or 0) + more
    movie.setProperty(_RUNNING, running)
    movie.setSpeed(_CALM if running else _USUAL)


def spinners() -> list[QMovie]:
    """Return the pictures in napari's status bars that turn while something is in progress."""
    return [movie for _, movie in _signs()]


def _fit_signs() -> None:
    """Have napari's spinners no taller than their pictures.

    Else the status bar grows by a pixel when they are shown, and the canvas is drawn anew for it.
    """
    for label, movie in _signs():
        label.setMaximumHeight(movie.scaledSize().height())


def _signs() -> list[tuple[QLabel, QMovie]]:
    labels = [
        label
        for window in QApplication.topLevelWidgets()
        if isinstance(window, QMainWindow)
        for bar in window.findChildren(QStatusBar)
        for label in bar.findChildren(QLabel)
    ]
    movies = [(label, label.movie()) for label in labels]
    return [(label, movie) for label, movie in movies if movie is not None]
