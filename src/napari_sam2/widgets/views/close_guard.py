"""Asks before napari's window or the panel is closed with work that is not on disk.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractButton, QDockWidget, QMainWindow, QMessageBox, QWidget

if TYPE_CHECKING:
    from napari_sam2.widgets.views.panel_view import PanelView

_CLOSE_BUTTON = "QTitleBarCloseButton"  # of napari's dock widgets


class CloseGuard(QObject):
    """Watches the window that a panel is docked in; its own events stay as they are.

    Only a user who closes the panel, the window or napari is asked, never a script. Every event of
    what is watched calls Python: that is the window and the close button of the dock alone, and
    only while closing may lose work.

    Parameters
    ----------
    panel : PanelView
    unsaved : callable
        Says what is not on disk; an empty text if everything is.
    """

    def __init__(self, panel: PanelView, unsaved: Callable[[], str]) -> None:
        super().__init__(panel)
        self._panel, self._unsaved = panel, unsaved
        # The window lives as long as napari wants, not as long as a panel that was in it.
        self._window: ReferenceType[QWidget] | None = None
        self._dock: ReferenceType[QDockWidget] | None = None
        self._at_risk = False
        panel.shown.connect(self._find)

    def watch(self, at_risk: bool) -> None:
        """Watch window and button from now on, or no more: nothing can be lost."""
        self._at_risk = at_risk
        window = self._watched()
        for each in (*self._buttons(), *([] if window is None else [window])):
            (each.installEventFilter if at_risk else each.removeEventFilter)(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Ask when the window or the dock is to close."""
        if event is None:
            return False
        if isinstance(watched, QAbstractButton):
            if _presses(watched, event) and not self._may_close(watched):
                watched.setDown(False)
                return True
        elif (
            event.type() == QEvent.Type.Close and watched is (window := self._watched()) is not None
        ):
            asked = event.spontaneous() or bool(getattr(window, "_quit_app", False))
            if asked and not self._may_close(window):
                event.ignore()
                return True
        return False

    def _may_close(self, widget: QObject) -> bool:
        """Ask, if there is anything to lose."""
        text = self._unsaved()
        return not text or _agreed(widget, text)

    def _find(self) -> None:
        """Watch the window and the dock that the panel is shown in."""
        self._move_to(self._panel.window())
        dock: QWidget | None = self._panel
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        if dock is not None and (self._dock is None or self._dock() is not dock):
            self._dock = ref(dock)
            # napari makes a new title bar when the dock is moved.
            dock.dockLocationChanged.connect(self._moved)
            dock.topLevelChanged.connect(self._moved)
        self.watch(self._at_risk)

    def _moved(self, _where: object = None) -> None:
        self.watch(self._at_risk)

    def _buttons(self) -> list[QAbstractButton]:
        """Return the buttons that close the dock."""
        dock = None if self._dock is None else self._dock()
        if dock is None or not isalive(dock):
            return []
        return list(dock.findChildren(QAbstractButton, _CLOSE_BUTTON))

    def _move_to(self, window: QWidget | None) -> None:
        """Watch another window from now on, if it is one."""
        before = self._watched()
        if window is before or not isinstance(window, QMainWindow):
            return
        if before is not None:
            before.removeEventFilter(self)
        self._window = ref(window)

    def _watched(self) -> QWidget | None:
        window = None if self._window is None else self._window()
        return window if window is not None and isalive(window) else None


def _presses(button: QAbstractButton, event: Any) -> bool:
    """Tell whether an event is the one that presses a button."""
    if event.type() == QEvent.Type.MouseButtonRelease:
        return button.isDown() and event.button() == Qt.MouseButton.LeftButton
    return event.type() == QEvent.Type.KeyRelease and event.key() == Qt.Key.Key_Space


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
