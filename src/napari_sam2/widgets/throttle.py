"""Timers for actions that follow soon: debounced, or once per interval.

Main thread only. superqt's throttlers do not fit: they run nothing before the next painting, do not
say whether a call is pending, and keep a timer running when they are cancelled. A running timer
crashes PySide6 when another thread collects it as garbage.
"""

from __future__ import annotations

from collections.abc import Callable

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, QTimer, Signal  # type: ignore[attr-defined]


class DelayedCall(QObject):
    """Calls `action` once after the current event and before the next painting.

    A timer of 0 ms fires only after the painting, which can take longer than the whole answer to
    a click.
    """

    _posted = Signal()

    def __init__(self, parent: QObject, action: Callable[[], None]) -> None:
        super().__init__(parent)
        self._action, self._due = action, False
        self._posted.connect(self._act, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Schedule the action, unless it is scheduled already."""
        if not self._due:
            self._due = True
            self._posted.emit()

    def stop(self) -> None:
        """Cancel the action if it is scheduled."""
        self._due = False

    def isActive(self) -> bool:
        """Return whether the action is scheduled; named as in `QTimer`."""
        return self._due

    def _act(self) -> None:
        if self._due:
            self._due = False
            self._action()


def single_shot(parent: QObject, action: Callable[[], None], milliseconds: int) -> QTimer:
    """Make a timer that calls `action` once, `milliseconds` after its last start."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer


def halt(*timers: QTimer | DelayedCall) -> None:
    """Stop timers, except those that Qt has deleted already at the end of the program."""
    for timer in timers:
        if isalive(timer):
            timer.stop()


EVERY_MS = 200


class Throttle(QObject):
    """Calls all scheduled actions together, at most every `EVERY_MS`.

    Qt composes the whole window anew after any change, which is slow without a graphics card.
    Views that change with each frame of a propagation change together, and not more often than a
    person can follow.
    """

    def __init__(self) -> None:
        super().__init__()
        self._due: dict[Callable[[], None], None] = {}  # a set that keeps its order
        self._timer = single_shot(self, self._call_all, EVERY_MS)

    def soon(self, *actions: Callable[[], None]) -> None:
        """Schedule actions, each once, for the next interval."""
        self._due |= dict.fromkeys(actions)
        if not self._timer.isActive():
            self._timer.start()

    def drop(self, action: Callable[[], None]) -> None:
        """Cancel an action if it is scheduled."""
        self._due.pop(action, None)

    def stop(self) -> None:
        """Cancel all scheduled actions."""
        halt(self._timer)
        self._due.clear()

    def _call_all(self) -> None:
        due, self._due = self._due, {}
        for action in due:
            action()
