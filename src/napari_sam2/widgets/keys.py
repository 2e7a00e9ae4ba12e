"""What each key does, bound to the viewer and the layers of a workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from napari_sam2.widgets.keymap import Keymap, shortcuts

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.workspace import Workspace


class Keys:
    """Binds all keys while there is a workspace.

    They are bound to our layers too: the keys of a layer go before those of the viewer.

    Parameters
    ----------
    viewer : Viewer
    actions : mapping of str to callable
        By the action names of `SHORTCUTS`.
    propagates : bool
        Whether the panel has a stack to go along.
    """

    def __init__(
        self, viewer: Viewer, actions: Mapping[str, Callable[[], None]], *, propagates: bool
    ) -> None:
        self._viewer, self._actions = viewer, actions
        self._shortcuts = shortcuts(propagates)
        self._keymap = Keymap()

    def attach(self, workspace: Workspace) -> None:
        """Bind the keys."""
        for target in (self._viewer, *workspace.layers[1:]):
            for shortcut in self._shortcuts:
                self._keymap.bind(target, shortcut.key, self._actions[shortcut.action])

    def detach(self) -> None:
        """Give the keys back."""
        self._keymap.release()
