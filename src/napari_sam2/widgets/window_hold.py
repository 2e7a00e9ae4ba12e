"""Letting the answer to a click come before the next picture."""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_sam2.widgets.timers import halt, single_shot

LONGEST_MS = 150


class WindowHold(QObject):
    """Keeps the window as it is for a moment, so that a click and its mask are drawn at once.

    Without a graphics card one picture of the window takes as long as half of the answer, on the
    cores that work on it. An answer that takes longer than `LONGEST_MS` is not waited for: the
    click is then drawn without its mask.

    Parameters
    ----------
    panel : QWidget
        A part of the window that is meant, be it docked or floating. What is docked with it goes
        on to be drawn.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self._panel = panel
        self._held: list[QWidget] = []
        self._timer = single_shot(self, self.end, LONGEST_MS)

    def begin(self) -> None:
        """Draw nothing new until `end`, or for `LONGEST_MS`."""
        if not self._held:
            self._held = [part for part in parts_beside(self._panel) if part.updatesEnabled()]
            for part in self._held:
                part.setUpdatesEnabled(False)
            self._timer.start()

    def end(self) -> None:
        """Draw what is new."""
        halt(self._timer)
        held, self._held = self._held, []
        for part in held:
            if isalive(part):
                part.setUpdatesEnabled(True)


def parts_beside(panel: QWidget) -> list[QWidget]:
    """Return the middle of the window that a panel belongs to, and what is docked around it."""
    window: QWidget | None = panel
    while window is not None and not isinstance(window, QMainWindow):
        window = window.parentWidget()
    if window is None:
        return []
    docks = [dock for dock in window.findChildren(QDockWidget) if not dock.isAncestorOf(panel)]
    middle = window.centralWidget()
    return [*docks] if middle is None else [middle, *docks]
