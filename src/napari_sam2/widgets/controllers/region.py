"""The region controller: works in a part of the image.

Main thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import StackError
from napari_sam2.types import Region
from napari_sam2.widgets.layers.factory import ROLE, plane_placement
from napari_sam2.widgets.layers.geometry import spatial_shape
from napari_sam2.widgets.layers.view_region import region_between, region_in_view
from napari_sam2.widgets.throttle import halt, single_shot
from napari_sam2.widgets.views.notifications import show_problem

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

_DRAWN = {"added", "changed", "removed"}
_EDGE_PIXELS = 1.5


class RegionController(QObject):
    """Keeps the rectangle of the part that is chosen, in a Shapes layer that is seen in all frames.

    Parameters
    ----------
    viewer : Viewer

    Signals
    -------
    changed()
        The region is another one, or a rectangle is about to be drawn, or no more.
    """

    changed = Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._image: Image | None = None
        self._layer: Shapes | None = None
        self._before: Any = None  # the layer that was active before one was drawn in
        self.region: Region | None = None
        self._soon = single_shot(self, self._take, 0)
        self._awaited = False
        viewer.layers.selection.events.active.connect(self._activity_changed)

    @property
    def part(self) -> str:
        """Which of `PARTS` is chosen."""
        return "whole" if self._layer is None else "rectangle"

    @property
    def awaited(self) -> bool:
        """Whether a rectangle is about to be drawn."""
        layer = self._layer
        active = layer is not None and layer is self._viewer.layers.selection.active
        return active and self.region is None

    def show_image(self, image: Image | None) -> None:
        """Choose all of another image."""
        if image is self._image:
            return
        if self._image in self._viewer.layers:
            self._drop()
        self._let_go()
        self._image = image
        self._set(None)

    def choose(self, part: str) -> None:
        """Take one of `PARTS`."""
        image = self._image
        if part == "whole" or image is None:
            self._drop()
            self._set(None)
            return
        active = self._viewer.layers.selection.active
        if active is not self._layer:
            self._before = active
        if part == "view":
            seen = self._in_view(image)
            if seen is not None:
                self._outline(image).data = [_corners(seen)]
                self._set(seen)
                self._give_back()
        else:
            layer = self._outline(image)
            layer.visible = True
            self._viewer.layers.selection.active = layer
            layer.mode = "add_rectangle" if not layer.data else "select"

    def layer_removed(self, layer: Any) -> None:
        """Take all of the image when the rectangle's layer is deleted."""
        if layer is self._layer:
            self._let_go()
            self._set(None)

    def close(self) -> None:
        """Listen no longer; the layer stays."""
        self._viewer.layers.selection.events.active.disconnect(self._activity_changed)
        self._let_go()

    def _in_view(self, image: Image) -> Region | None:
        try:
            return region_in_view(self._viewer, image)
        except StackError as error:
            show_problem(error)
            return None

    def _outline(self, image: Image) -> Shapes:
        if self._layer is None:
            self._layer = _new_outline(image)
            self._layer.events.data.connect(self._edited)
            self._viewer.add_layer(self._layer)
        return self._layer

    def _edited(self, event: Any) -> None:
        # A rectangle that is still being drawn announces itself as "adding".
        if str(event.action) in _DRAWN:
            self._soon.start()

    def _activity_changed(self, _event: object = None) -> None:
        """Say so if the rectangle's layer has become the active one, or is so no more."""
        if self.awaited != self._awaited:
            self._awaited = not self._awaited
            self.changed.emit()

    def _take(self) -> None:
        """Take the rectangle that was drawn last, or changed."""
        layer, image = self._layer, self._image
        if layer is None or image is None or not len(layer.data):
            self._set(None)
            return
        if len(layer.data) > 1:
            layer.data = [layer.data[-1]]
        corners = np.asarray(layer.data[0], float)
        region = None
        try:
            region = region_between(image, corners.min(axis=0), corners.max(axis=0))
        except StackError as error:
            error.safe = "The whole image is taken."
            show_problem(error)
        if layer.mode == "add_rectangle":
            layer.mode = "pan_zoom"
            self._give_back()
        self._set(region)

    def _give_back(self) -> None:
        """Make the layer active again that was so before."""
        if self._before in self._viewer.layers:
            self._viewer.layers.selection.active = self._before

    def _set(self, region: Region | None) -> None:
        if region != self.region:
            self.region = region
            self._awaited = self.awaited
            self.changed.emit()

    def _drop(self) -> None:
        layer = self._layer
        self._let_go()
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _let_go(self) -> None:
        halt(self._soon)
        if self._layer is not None:
            self._layer.events.data.disconnect(self._edited)
        self._layer = None


def _new_outline(image: Image) -> Shapes:
    """Make a layer of the last two dimensions only, pixel on pixel over an image."""
    return Shapes(
        ndim=2,
        metadata={ROLE: ("part", image.unique_id)},
        **plane_placement(image, "part"),
        face_color="transparent",
        edge_color="white",
        edge_width=_EDGE_PIXELS * max(spatial_shape(image)[-2:]) / 512,
    )


def _corners(region: Region) -> NDArray[np.float64]:
    """Return the outline of a region; pixel centres lie at integers."""
    y0, x0, y1, x1 = region.y0 - 0.5, region.x0 - 0.5, region.y1 - 0.5, region.x1 - 0.5
    return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])
