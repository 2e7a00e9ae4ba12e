"""What is new is shown in time, all of it at the same moment."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject

from napari_sam2.widgets.timers import halt, single_shot

EVERY_MS = 200


class Beat(QObject):
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
