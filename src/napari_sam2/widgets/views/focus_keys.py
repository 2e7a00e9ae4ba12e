"""Keys of the panel wherever the focus is inside napari's window.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QKeySequenceEdit,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)


@dataclass(frozen=True, slots=True)
class HeldAction:
    """What a key does when it is pressed, and when it is let go."""

    press: Callable[[], None]
    release: Callable[[], None]


Action = Callable[[], None] | HeldAction


class FocusKeys(QObject):
    """Gives keys to their actions while another widget than the canvas has the focus.

    napari gets keys from its canvas only: lists, combo boxes and number fields take letters for a
    search of their own. The widget with the focus is filtered, and no other, and not one in which
    text is typed.

    Parameters
    ----------
    panel : QWidget
        Keys count in its window, and in docks that float beside it.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__()  # no child of the panel: it must let go of keys when that is gone
        self._panel = panel
        self._actions: dict[str, Action] = {}
        self._focused: QWidget | None = None
        self._held: HeldAction | None = None

    def attach(self, actions: Mapping[str, Action]) -> None:
        """Begin: `actions` by their keys, as napari writes them."""
        self.detach()
        self._actions = {_as_qt(key): action for key, action in actions.items()}
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.focusChanged.connect(self._focus_changed)
            self._focus_changed(None, QApplication.focusWidget())

    def detach(self) -> None:
        """Filter nothing any more."""
        application = QApplication.instance()
        if self._actions and isinstance(application, QApplication):
            application.focusChanged.disconnect(self._focus_changed)
        self._focus_changed(None, None)
        self._actions = {}

    def eventFilter(self, widget: QObject | None, event: QEvent | None) -> bool:
        """Do what a key is for, and keep it from the widget."""
        if event is None or event.type() not in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            return False
        action = None if _takes_text(widget) else self._actions.get(_pressed_keys(event))
        if action is None:
            return False
        if event.type() == QEvent.Type.KeyRelease:
            self._let_go()
        elif not isinstance(action, HeldAction):
            action()
        elif self._held is None:
            self._held = action
            action.press()
        return True

    def _focus_changed(self, _old: QWidget | None, new: QWidget | None) -> None:
        self._let_go()
        if self._focused is not None and isalive(self._focused):
            self._focused.removeEventFilter(self)
        self._focused = new if new is not None and self._is_beside(new) else None
        if self._focused is not None:
            self._focused.installEventFilter(self)

    def _is_beside(self, widget: QWidget) -> bool:
        """Whether a widget is in the window of the panel, and not its canvas."""
        if not isalive(self._panel) or widget.inherits("QOpenGLWidget"):
            return False
        return _window(widget) is _window(self._panel)

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release()


def _window(widget: QWidget) -> QWidget:
    """Return the window of a widget; of a dock that floats, the window that it belongs to."""
    window = widget.window() or widget
    owner = window.parentWidget() if isinstance(window, QDockWidget) else None
    return (owner.window() or owner) if owner is not None else window


def _takes_text(widget: QObject | None) -> bool:
    """Whether letters are typed into a widget; number fields take none."""
    if isinstance(widget, QLineEdit | QTextEdit | QPlainTextEdit):
        return not widget.isReadOnly()
    return isinstance(widget, QKeySequenceEdit)


def _pressed_keys(event: Any) -> str:
    """Return the keys of an event in the form of `_as_qt`."""
    return QKeySequence(event.keyCombination()).toString()


def _as_qt(key: str) -> str:
    """Return a key as Qt writes it: Ctrl+Shift+Z for Control-Shift-Z."""
    return key.replace("Control", "Ctrl").replace("Escape", "Esc").replace("-", "+")
