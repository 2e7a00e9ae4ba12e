"""Timers for actions that follow soon: debounced, or once per interval.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, QTimer, Signal  # type: ignore[attr-defined]


class DelayedCall(QObject):
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


def halt(*timers: QTimer | DelayedCall) -> None:
    """Stop timers; at the end of a program some may be gone before those who use them."""
    for timer in timers:
        if isalive(timer):
            timer.stop()


EVERY_MS = 200


class Throttle(QObject):
    """Calls everything that is due together, at most every `EVERY_MS`.

    Any change to the window has all of it put together anew, which is slow without a graphics
    card: views that change with each frame of a run change at once, and not more often than one
    can follow.
    """

    def __init__(self) -> None:
        super().__init__()
        self._due: dict[Callable[[], None], None] = {}  # a set that keeps its order
        self._timer = single_shot(self, self._strike, EVERY_MS)

    def soon(self, action: Callable[[], None]) -> None:
        """Have this called with the next beat, once."""
        self._due[action] = None
        if not self._timer.isActive():
            self._timer.start()

    def drop(self, action: Callable[[], None]) -> None:
        """Do not have this called after all."""
        self._due.pop(action, None)

    def stop(self) -> None:
        """Have nothing called any more."""
        halt(self._timer)
        self._due.clear()

    def _strike(self) -> None:
        due, self._due = self._due, {}
        for action in due:
            action()
