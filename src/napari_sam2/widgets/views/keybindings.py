"""Keys of the panel: the list, the binding to layers and widgets, the window that shows them.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.utils.key_bindings import coerce_keybinding
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QDockWidget,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.widgets.state.tools import TOOLS

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.layers.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A key and what it is for.

    Attributes
    ----------
    action : str
        Name of what it does, for those who bind it.
    key : str
        As napari writes it.
    meaning : str
        For the user.
    """

    action: str
    key: str
    meaning: str


SHORTCUTS = (
    Shortcut("next_object", "N", "Begin a new object"),
    Shortcut("background", "T", "Clicks mark object or background; brush or eraser"),
    Shortcut("candidate", "M", "Next of the three masks that a click could mean"),
    *(Shortcut(tool.name, tool.key, tool.shortcut) for tool in TOOLS if tool.key),
    Shortcut("find", "F", "Find objects"),
    Shortcut("accept_found", "Shift-A", "Accept all found objects"),
    Shortcut("run", "P", "Propagate both ways; while it runs: pause or go on"),
    Shortcut("cancel", "Escape", "Cancel the propagation or the search"),
    Shortcut("doubt", "D", "Go to the next doubtful frame, of any object"),
    Shortcut("doubt_back", "Shift-D", "Go to the doubtful frame before"),
    Shortcut("prompted", "E", "Go to the next prompted frame"),
    Shortcut("prompted_back", "Shift-E", "Go to the prompted frame before"),
    Shortcut("object_on", "O", "Go to the next object of the table"),
    Shortcut("object_back", "Shift-O", "Go to the object before"),
    Shortcut("accept", "A", "Accept the object in this frame; again: not any more"),
    Shortcut("hide_marks", "H", "Hide points, lines and boxes while it is held"),
    Shortcut("divide", "Y", "The selected parent and daughters divide in this frame"),
    Shortcut("undo", "Control-Z", "Take the last step back"),
    Shortcut("redo", "Control-Shift-Z", "Make it again"),
    Shortcut("help", "F1", "Show this list"),
)
"""All keys, in the order in which they are listed."""

_ALONG_THE_STACK = {"run", "cancel", "doubt", "doubt_back", "prompted", "prompted_back", "divide"}


def shortcuts(propagates: bool) -> tuple[Shortcut, ...]:
    """Return the keys of a panel; without propagation there are fewer."""
    return tuple(each for each in SHORTCUTS if propagates or each.action not in _ALONG_THE_STACK)


MOUSE = (
    ("Click", "Object here (tool Points)"),
    ("Shift-click", "Background here"),
    ("Ctrl-click", "Select the object of this mask"),
)
"""What the mouse does, for the list."""


@dataclass(frozen=True, slots=True)
class HeldAction:
    """What a key does when it is pressed, and when it is let go."""

    press: Callable[[], None]
    release: Callable[[], None]


Action = Callable[[], None] | HeldAction


class KeyBindings:
    """Binds keys to viewers and layers, and gives back what was bound to them before."""

    def __init__(self) -> None:
        self._bound: list[tuple[Any, Any, Callable[..., Any], Any]] = []

    def bind(self, target: Any, key: str, action: Action) -> None:
        """Bind `key` on a viewer or a layer to `action`."""
        binding = coerce_keybinding(key)
        pressed = _held(action) if isinstance(action, HeldAction) else _pressed(action)
        before = target.keymap.get(binding)
        target.bind_key(key, pressed, overwrite=True)
        self._bound.append((target, binding, pressed, before))

    def release(self, target: Any = None) -> None:
        """Give back the keys of one viewer or layer, or all of them."""
        for entry in reversed(self._bound):
            owner, binding, pressed, before = entry
            if target is not None and owner is not target:
                continue
            # Someone may have bound the key anew in the meantime: then it is theirs.
            if owner.keymap.get(binding) is pressed:
                owner.bind_key(binding, before, overwrite=True)
        self._bound = [e for e in self._bound if target is not None and e[0] is not target]


def _pressed(action: Callable[[], None]) -> Callable[[object], None]:
    def pressed(_target: object) -> None:
        action()

    return pressed


def _held(action: HeldAction) -> Callable[[object], Iterator[None]]:
    def pressed(_target: object) -> Iterator[None]:
        action.press()
        yield
        action.release()

    return pressed


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


class Keys:
    """Binds all keys while there is a workspace.

    They are bound to our layers too: the keys of a layer go before those of the viewer. Where
    another widget of the window has the focus than the canvas, see `FocusKeys`.

    Parameters
    ----------
    viewer : Viewer
    panel : QWidget
        Of the window in which the keys work.
    actions : mapping of str to callable or HeldAction
        By the action names of `SHORTCUTS`.
    propagates : bool
        Whether the panel has a stack to go along.
    """

    def __init__(
        self,
        viewer: Viewer,
        panel: QWidget,
        actions: Mapping[str, Action],
        *,
        propagates: bool,
    ) -> None:
        self._viewer, self._actions = viewer, actions
        self._shortcuts = shortcuts(propagates)
        self._keymap = KeyBindings()
        self._elsewhere = FocusKeys(panel)

    def attach(self, workspace: Workspace) -> None:
        """Bind the keys."""
        for target in (self._viewer, *workspace.layers[1:]):
            for shortcut in self._shortcuts:
                self._keymap.bind(target, shortcut.key, self._actions[shortcut.action])
        self._elsewhere.attach({each.key: self._actions[each.action] for each in self._shortcuts})

    def detach(self) -> None:
        """Give the keys back."""
        self._keymap.release()
        self._elsewhere.detach()


def key_list(parent: QWidget, *, propagates: bool) -> QDialog:
    """Make the list; it is shown, closed and freed by Qt."""
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle("SAM 2: keys")
    rows = [*MOUSE, *((_shown(each.key), each.meaning) for each in shortcuts(propagates))]
    cells = "".join(
        f"<tr><td style='padding-right: 18px'><b>{key}</b></td><td>{meaning}</td></tr>"
        for key, meaning in rows
    )
    layout = QVBoxLayout(dialog)
    layout.addWidget(QLabel(f"<table cellpadding='2'>{cells}</table>"))
    layout.addWidget(QLabel("Keys work everywhere in the window, but not while text is typed."))
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.close)
    layout.addWidget(buttons)
    return dialog


def _shown(key: str) -> str:
    return key.replace("Control", "Ctrl").replace("Escape", "Esc")
