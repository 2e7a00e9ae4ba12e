"""Refreshes the Labels layer after new masks, at most so often per second.

Main thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam2.widgets.throttle import halt, single_shot

if TYPE_CHECKING:
    from napari.layers import Labels

_PLANE_MS = 30
_VOLUME_MS = 500


class LabelsRefresher(QObject):
    """Redraws a Labels layer soon, and once for many changes.

    A plane is redrawn within milliseconds; in the 3D view the whole volume goes to the graphics
    card, so that happens less often.
    """

    def __init__(self) -> None:
        super().__init__()
        self._layer: Labels | None = None
        self._timer = single_shot(self, self._refresh, _PLANE_MS)

    def soon(self, layer: Labels, ndisplay: int) -> None:
        """Redraw the layer a little later, unless that is due already."""
        self._layer = layer
        if not self._timer.isActive():
            self._timer.start(_PLANE_MS if ndisplay == 2 else _VOLUME_MS)

    def now(self, layer: Labels, ndisplay: int) -> None:
        """Redraw a plane at once, a volume a little later."""
        if ndisplay != 2:
            self.soon(layer, ndisplay)
            return
        self._layer = layer
        self._refresh()

    def all(self, layer: Labels) -> None:
        """Redraw the layer and its thumbnail."""
        self.stop()
        layer.refresh(extent=False)

    def stop(self) -> None:
        """Redraw nothing any more."""
        halt(self._timer)
        self._layer = None

    def _refresh(self) -> None:
        halt(self._timer)
        layer, self._layer = self._layer, None
        if layer is not None:
            layer.refresh(thumbnail=False, highlight=False, extent=False)
