"""Asks before napari's window is closed with work in it that is not on disk.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ReferenceType, ref

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget


class CloseGuard(QObject):
    """Watches the window that a panel is docked in; its own events stay as they are.

    Only a user who closes the window or napari is asked, never a script.

    Parameters
    ----------
    panel : QWidget
    unsaved : callable
        Says what is not on disk; an empty text if everything is.
    """

    def __init__(self, panel: QWidget, unsaved: Callable[[], str]) -> None:
        super().__init__(panel)
        self._panel, self._unsaved = panel, unsaved
        # The window lives as long as napari wants, not as long as a panel that was in it.
        self._window: ReferenceType[QWidget] | None = None
        panel.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Find the window when the panel is shown; ask when that window is to close."""
        if event is None:
            return False
        kind = event.type()
        if watched is self._panel:
            if kind == QEvent.Type.Show:
                self._watch(self._panel.window())
        elif kind == QEvent.Type.Close and watched is not None and watched is self._watched():
            asked = event.spontaneous() or bool(getattr(watched, "_quit_app", False))
            text = self._unsaved() if asked else ""
            if text and not _agreed(watched, text):
                event.ignore()
                return True
        return False

    def _watch(self, window: QWidget | None) -> None:
        before = self._watched()
        if window is before or not isinstance(window, QMainWindow):
            return
        if before is not None:
            before.removeEventFilter(self)
        self._window = ref(window)
        window.installEventFilter(self)

    def _watched(self) -> QWidget | None:
        return None if self._window is None else self._window()


def _agreed(window: Any, text: str) -> bool:
    """Ask whether to close all the same."""
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle("Work that is not saved")
    box.setText(text)
    close = box.addButton("Close without saving", QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton("Keep working", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    box.exec()
    return box.clickedButton() is close
