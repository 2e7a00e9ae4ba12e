"""Hides the empty Shapes layer until it is used.

Main thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Shapes


class ShapesVisibility:
    """Hides a Shapes layer while there is nothing in it and nothing is about to be drawn.

    napari builds the shaders of a visible one anew for every frame that is shown, even where
    it is empty: without a graphics card that is a third of the time that a frame takes to appear.

    Parameters
    ----------
    viewer : Viewer
        Its active layer is what the user draws in.
    shapes : Shapes
    """

    def __init__(self, viewer: Viewer, shapes: Shapes) -> None:
        self._viewer, self._shapes = viewer, shapes
        self._hidden = False
        viewer.layers.selection.events.active.connect(self._update)
        shapes.events.data.connect(self._update)
        self._update()

    def release(self, *, views_alive: bool = True) -> None:
        """Leave the layer as an ordinary one; where the canvas may be gone already, as it is."""
        self._viewer.layers.selection.events.active.disconnect(self._update)
        self._shapes.events.data.disconnect(self._update)
        if views_alive:
            self._show()

    def _update(self, _event: object = None) -> None:
        if len(self._shapes.data) or self._viewer.layers.selection.active is self._shapes:
            self._show()
        else:
            self._hidden = True
            if self._shapes.visible:
                self._shapes.visible = False

    def _show(self) -> None:
        """Show the layer if it was hidden here, but not if the user has hidden it."""
        if self._hidden:
            self._hidden, self._shapes.visible = False, True
