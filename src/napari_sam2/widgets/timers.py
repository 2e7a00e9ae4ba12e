"""Doing something a little later, from timers and events that may be gone already."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, QTimer, Signal  # type: ignore[attr-defined]


class Afterwards(QObject):
    """Calls `action` once after the event under way, and before anything is painted.

    A timer of no time at all would only come after the painting, which can take longer than the
    whole answer to a click.
    """

    _posted = Signal()

    def __init__(self, parent: QObject, action: Callable[[], None]) -> None:
        super().__init__(parent)
        self._action, self._due = action, False
        self._posted.connect(self._act, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Have the action called, unless that is due already."""
        if not self._due:
            self._due = True
            self._posted.emit()

    def stop(self) -> None:
        """Have it called no more."""
        self._due = False

    def isActive(self) -> bool:
        """Whether the action is due, named as with a timer."""
        return self._due

    def _act(self) -> None:
        if self._due:
            self._due = False
            self._action()


def single_shot(parent: QObject, action: Callable[[], None], milliseconds: int) -> QTimer:
    """Make a timer that calls `action` once, so long after each start."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer


def halt(*timers: QTimer | Afterwards) -> None:
    """Stop timers; at the end of a program some may be gone before those who use them."""
    for timer in timers:
        if isalive(timer):
            timer.stop()
