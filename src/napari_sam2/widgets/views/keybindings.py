"""Keys of the panel: the list, the binding to layers, the window that shows them.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from napari_sam2.widgets.state.tools import TOOLS
from napari_sam2.widgets.views.focus_keys import Action, FocusKeys, HeldAction

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
    Shortcut("run", "P", "Propagate both ways; while it runs: pause or go on"),
    Shortcut("cancel", "Escape", "Cancel the propagation or the search"),
    Shortcut("doubt", "D", "Go to the next doubtful frame"),
    Shortcut("doubt_back", "Shift-D", "Go to the doubtful frame before"),
    Shortcut("prompted", "E", "Go to the next prompted frame"),
    Shortcut("prompted_back", "Shift-E", "Go to the prompted frame before"),
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
