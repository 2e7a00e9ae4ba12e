"""Outlines of objects that were found and are not added yet, in a layer that comes and goes.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_sam2.widgets.layers.appearance import label_colours
from napari_sam2.widgets.layers.factory import ROLE, plane_placement
from napari_sam2.widgets.layers.geometry import spatial_shape

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.state.search import Sighting

PREVIEW = "preview"
"""Role of the layer, see `ROLE`."""

_OUTLINE_PIXELS = 2


class FoundPreview:
    """Shows outlines of some of the objects that were found.

    Parameters
    ----------
    viewer : Viewer
    workspace : Workspace
    found : sequence of Sighting
        All that can be shown.
    """

    def __init__(self, viewer: Viewer, workspace: Workspace, found: Sequence[Sighting]) -> None:
        self._viewer = viewer
        image, region = workspace.image, workspace.source.region
        shape = spatial_shape(image)[-2:]
        self._numbers = np.zeros(shape, np.uint16 if len(found) < 2**16 else np.uint32)
        inside = self._numbers if region is None else self._numbers[region.slices]
        for number, each in enumerate(found, start=1):
            box, part = each.mask.part()
            inside[box][part] = number
        self._count = len(found)
        active = viewer.layers.selection.active
        self._layer = Labels(
            np.zeros_like(self._numbers),
            metadata={ROLE: (PREVIEW, image.unique_id)},
            colormap=label_colours(),
            **plane_placement(image, "found"),
        )
        self._layer.contour = _OUTLINE_PIXELS
        viewer.add_layer(self._layer)
        self._layer.editable = False
        viewer.layers.selection.active = active

    def show(self, chosen: Sequence[int], *, visible: bool) -> None:
        """Outline these objects, by their numbers; none where their frame is not in view."""
        if self._layer not in self._viewer.layers:
            return  # the user has removed it
        shown: NDArray[Any] = np.zeros(self._count + 1, self._numbers.dtype)
        numbers = np.asarray(chosen, int) + 1
        shown[numbers] = numbers
        self._layer.data = shown[self._numbers]
        self.show_in_view(visible)

    def show_in_view(self, visible: bool) -> None:
        """Show the outlines where their frame is in view."""
        self._layer.visible = visible

    def remove(self) -> None:
        """Take the layer away."""
        if self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)


def is_preview(layer: Any) -> bool:
    """Tell whether a layer is one of these."""
    tag = layer.metadata.get(ROLE)
    return isinstance(tag, tuple) and tag[:1] == (PREVIEW,)
