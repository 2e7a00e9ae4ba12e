"""Keeps points and lines at one size on the screen, and hides them while that is asked for.

Main thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Points, Shapes

POINT_PIXELS = 9.0
"""Diameter of points on the screen."""

EDGE_PIXELS = 2.0
"""Width of lines and of the edges of boxes on the screen."""

_LEAST_CHANGE = 1.05  # of the zoom; drawing shapes anew takes time


class MarkSize:
    """Makes points and lines of a workspace as large on the screen at every zoom.

    Parameters
    ----------
    viewer : Viewer
        Its camera tells how large a pixel of the image is.
    shapes, points : layers
        Of one workspace.
    """

    def __init__(self, viewer: Viewer, shapes: Shapes, points: Points) -> None:
        self._shapes, self._points = shapes, points
        self._pixel = 0.0  # length of a screen pixel in pixels of the image, as last applied
        self._opacities: tuple[float, float] | None = None  # of the layers while they are hidden
        # Points are a little larger than they are drawn: so napari itself holds them at one size
        # between two changes. No lower limit: where a frame has no point, napari draws one of no
        # size in a corner of the image.
        points.canvas_size_limits = (0, POINT_PIXELS)
        # The camera is the scene's from napari 0.9 on.
        self._camera = getattr(viewer, "scene", viewer).camera
        self._camera.events.zoom.connect(self.fit)
        self.fit()

    def fit(self, _event: object = None) -> None:
        """Give all marks the size that suits the zoom."""
        scale = float(np.abs(self._points.scale[-2:]).mean())
        pixel = 1 / max(self._camera.zoom * scale, 1e-12)
        if 1 / _LEAST_CHANGE < pixel / (self._pixel or np.inf) < _LEAST_CHANGE:
            return
        self._pixel = pixel
        points, shapes = self._points, self._shapes
        # Without the block, napari would change the marks that are selected as well.
        with points.block_update_properties():
            points.current_size = POINT_PIXELS * _LEAST_CHANGE * pixel
        with shapes.block_update_properties():
            shapes.current_edge_width = EDGE_PIXELS * pixel
        if len(points.data):
            points.size = POINT_PIXELS * _LEAST_CHANGE * pixel
        if len(shapes.data):
            shapes.edge_width = EDGE_PIXELS * pixel

    def hide(self) -> None:
        """Show no mark, so that what is under them can be seen."""
        if self._opacities is None:
            self._opacities = self._points.opacity, self._shapes.opacity
            self._points.opacity = self._shapes.opacity = 0.0

    def show(self) -> None:
        """Show the marks again."""
        if self._opacities is not None:
            self._points.opacity, self._shapes.opacity = self._opacities
            self._opacities = None

    def release(self, *, views_alive: bool = True) -> None:
        """Leave the layers as they are."""
        self._camera.events.zoom.disconnect(self.fit)
        if views_alive:
            self.show()
