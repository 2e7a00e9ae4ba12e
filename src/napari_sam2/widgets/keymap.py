"""Keys of the canvas: bound while the panel is open, given back when it closes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.utils.key_bindings import coerce_keybinding

from napari_sam2.widgets.tools import TOOLS


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
    Shortcut("cancel", "Escape", "Cancel the propagation"),
    Shortcut("doubt", "D", "Go to the next doubtful frame"),
    Shortcut("doubt_back", "Shift-D", "Go to the doubtful frame before"),
    Shortcut("prompted", "E", "Go to the next prompted frame"),
    Shortcut("prompted_back", "Shift-E", "Go to the prompted frame before"),
    Shortcut("accept", "A", "Accept the object in this frame; again: not any more"),
    Shortcut("undo", "Control-Z", "Take the last step back"),
    Shortcut("redo", "Control-Shift-Z", "Make it again"),
    Shortcut("help", "F1", "Show this list"),
)
"""All keys, in the order in which they are listed."""

_ALONG_THE_STACK = {"run", "cancel", "doubt", "doubt_back", "prompted", "prompted_back"}


def shortcuts(propagates: bool) -> tuple[Shortcut, ...]:
    """Return the keys of a panel; without propagation there are fewer."""
    return tuple(each for each in SHORTCUTS if propagates or each.action not in _ALONG_THE_STACK)


MOUSE = (
    ("Click", "Object here (tool Points)"),
    ("Shift-click", "Background here"),
    ("Ctrl-click", "Select the object of this mask"),
)
"""What the mouse does, for the list."""


class Keymap:
    """Binds keys to viewers and layers, and gives back what was bound to them before."""

    def __init__(self) -> None:
        self._bound: list[tuple[Any, Any, Callable[..., None], Any]] = []

    def bind(self, target: Any, key: str, action: Callable[[], None]) -> None:
        """Bind `key` on a viewer or a layer to `action`."""
        binding = coerce_keybinding(key)

        def pressed(_target: object) -> None:
            action()

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
