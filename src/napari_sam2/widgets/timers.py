"""Timers that may be stopped when Qt has already taken them away."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer


def single_shot(parent: QObject, action: Callable[[], None], milliseconds: int) -> QTimer:
    """Make a timer that calls `action` once, so long after each start."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer


def halt(*timers: QTimer) -> None:
    """Stop timers; at the end of a program some may be gone before those who use them."""
    for timer in timers:
        if isalive(timer):
            timer.stop()
