"""Colours of labels and prompts, and the properties of the next point or shape.

Main thread only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap
from numpy.typing import NDArray

from napari_sam2.labels import colour_of
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE

if TYPE_CHECKING:
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
        colours = np.stack([_CLEAR, *(_solid(number) for number in range(1, _N_COLOURS + 1))])
        return CyclicLabelColormap(colors=colours, name=_NAME)
    table: dict[int | None, Any] = defaultdict(lambda: _CLEAR)
    table |= {None: _CLEAR, 0: _CLEAR}
    for number in range(1, max(largest, *hidden) + _SPARE_IDS):
        table[number] = _CLEAR if number in hidden else _solid(number)
    return DirectLabelColormap(color_dict=table, name=_NAME)


def hides(colours: Any) -> bool:
    """Tell whether these are colours of ours in which some objects are hidden."""
    return isinstance(colours, DirectLabelColormap) and colours.name == _NAME


def _solid(object_id: int) -> Any:
    return np.array([*colour_of(object_id), 255]) / 255


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

    def colour(self, object_id: int) -> NDArray[Any]:
        """RGBA in 0..1 of an object's labels."""
        return np.array([*colour_of(object_id), 255]) / 255

    def prepare(self, *, positive: bool | None = None) -> None:
        """Make the next point and shape marks of the current object.

        Parameters
        ----------
        positive : bool, optional
            Overrides the current kind of mark.
        """
        positive = not self.background if positive is None else positive
        colour = self.colour(self.object_id)
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
            faces = np.stack([self.colour(int(i)) for i in points.features[OBJECT]])
            if not np.allclose(points.face_color, faces, atol=1e-3):
                points.face_color = faces
            symbols = [_SYMBOLS[bool(p)] for p in points.features[POSITIVE]]
            if [str(s) for s in points.symbol] != symbols:
                points.symbol = symbols
            shown = ~self._are_hidden(points.features[OBJECT].to_numpy())
            if not np.array_equal(points.shown, shown):
                points.shown = shown
        if len(shapes.data):
            owners = shapes.features[OBJECT].to_numpy()
            edges = np.stack([self.colour(int(i)) for i in owners])
            edges[self._are_hidden(owners), 3] = 0
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

    def _are_hidden(self, owners: NDArray[Any]) -> NDArray[np.bool_]:
        return np.isin(owners, list(self._hidden))

    def _pressed(self, _layer: Points | Shapes, event: Any) -> None:
        positive = not self.background
        self.prepare(positive=positive != ("Shift" in event.modifiers))
