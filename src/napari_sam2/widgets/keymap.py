"""Keys of the canvas: bound while the panel is open, given back when it closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.utils.key_bindings import coerce_keybinding

NEXT_OBJECT_KEY = "N"
BACKGROUND_KEY = "T"


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
