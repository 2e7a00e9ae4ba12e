"""How our layers look: colours, size and visibility of marks, when labels are drawn again.

Main thread only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_sam2.labels import colour_of
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE
from napari_sam2.widgets.throttle import halt, single_shot

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Labels, Points, Shapes

_NAME = "napari-sam2"
_N_COLOURS = 14
_SPARE_IDS = 64  # coloured beyond the largest id while something is hidden
_CLEAR = np.zeros(4)


def label_colours(
    hidden: Collection[int] = (), largest: int = 0
) -> CyclicLabelColormap | DirectLabelColormap:
    """Return colours that colour-blind users can tell apart.

    Parameters
    ----------
    hidden : collection of int
        Objects that are not to be seen.
    largest : int
        Largest id that may occur; only needed where something is hidden.
    """
    if not hidden:
        # The first entry is the background's; napari goes round the others.
        colours = np.stack([_CLEAR, *map(solid, range(1, _N_COLOURS + 1))])
        return CyclicLabelColormap(colors=colours, name=_NAME)
    table: dict[int | None, Any] = defaultdict(lambda: _CLEAR)
    table |= {None: _CLEAR, 0: _CLEAR}
    for number in range(1, max(largest, *hidden) + _SPARE_IDS):
        table[number] = _CLEAR if number in hidden else solid(number)
    return DirectLabelColormap(color_dict=table, name=_NAME)


def hides(colours: Any) -> bool:
    """Tell whether these are colours of ours in which some objects are hidden."""
    return isinstance(colours, DirectLabelColormap) and colours.name == _NAME


@lru_cache(maxsize=1024)
def solid(object_id: int) -> NDArray[np.float64]:
    """Return the RGBA, in 0..1, of an object's labels; read-only."""
    colour = np.array([*colour_of(object_id), 255]) / 255
    colour.setflags(write=False)
    return colour


_SYMBOLS = {True: "disc", False: "x"}


class PromptAppearance:
    """Gives the points and shapes of a workspace their object, kind and colour.

    A mark has the colour of its object's label; a point on the background is a cross.

    Parameters
    ----------
    labels, shapes, points : layers
        Of one workspace.
    """

    def __init__(self, labels: Labels, shapes: Shapes, points: Points) -> None:
        self._labels, self._shapes, self._points = labels, shapes, points
        self.object_id = 1
        self.background = False
        self._hidden: frozenset[int] = frozenset()
        # Before the callbacks of the modes, so that the new mark is made with these values.
        points.mouse_drag_callbacks.insert(0, self._pressed)
        shapes.mouse_drag_callbacks.insert(0, self._pressed)
        self.prepare()

    def prepare(self, *, positive: bool | None = None) -> None:
        """Make the next point and shape marks of the current object.

        Parameters
        ----------
        positive : bool, optional
            Overrides the current kind of mark.
        """
        positive = not self.background if positive is None else positive
        colour = solid(self.object_id).copy()
        # Without the block, napari would change the marks that are selected as well.
        with self._points.block_update_properties():
            self._points.feature_defaults = {OBJECT: self.object_id, POSITIVE: positive}
            self._points.current_symbol = _SYMBOLS[positive]
            self._points.current_face_color = colour
        with self._shapes.block_update_properties():
            self._shapes.feature_defaults = {OBJECT: self.object_id, POSITIVE: positive}
            self._shapes.current_edge_color = colour
        self._labels.selected_label = self.object_id

    def repaint(self) -> None:
        """Show all marks by what their features say; does nothing where they do already."""
        points, shapes = self._points, self._shapes
        if len(points.data):
            owners = points.features[OBJECT].to_numpy()
            faces = np.stack(list(map(solid, owners.tolist())))
            if not np.allclose(points.face_color, faces, atol=1e-3):
                points.face_color = faces
            symbols = list(map(_SYMBOLS.get, map(bool, points.features[POSITIVE])))
            if list(map(str, points.symbol)) != symbols:
                points.symbol = symbols
            shown = ~np.isin(owners, list(self._hidden))
            if not np.array_equal(points.shown, shown):
                points.shown = shown
        if len(shapes.data):
            owners = shapes.features[OBJECT].to_numpy()
            edges = np.stack(list(map(solid, owners.tolist())))
            edges[np.isin(owners, list(self._hidden)), 3] = 0
            if not np.allclose(shapes.edge_color, edges, atol=1e-3):
                shapes.edge_color = edges

    def hide(self, hidden: frozenset[int], largest: int = 0) -> None:
        """Show all objects but these; `largest`: the largest id that there is."""
        self._hidden = hidden
        if hidden or hides(self._labels.colormap):
            self._labels.colormap = label_colours(hidden, largest)
        self.repaint()

    def release(self) -> None:
        """Leave the layers as ordinary ones."""
        for layer in (self._points, self._shapes):
            if self._pressed in layer.mouse_drag_callbacks:
                layer.mouse_drag_callbacks.remove(self._pressed)

    def _pressed(self, _layer: Points | Shapes, event: Any) -> None:
        positive = not self.background
        self.prepare(positive=positive != ("Shift" in event.modifiers))


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
