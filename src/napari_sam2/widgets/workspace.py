"""An image that is being segmented: its layers, its video axis, its prompts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_sam2.widgets.geometry import (
    full_resolution,
    slider_indices,
    spatial_shape,
    stack_view,
)
from napari_sam2.widgets.layers import find_or_add
from napari_sam2.widgets.marks import Marks
from napari_sam2.widgets.messages import SessionSpec
from napari_sam2.widgets.prompt_reading import Place, StackPrompts, read_prompts

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer

_DONE = {"added", "removed", "changed"}
_numbers = itertools.count(1)


class Workspace:
    """What belongs to one image while it is segmented. Main thread only.

    Parameters
    ----------
    viewer : Viewer
        The layers are added to it.
    image : Image
        The stack.
    axis : int or None
        Its video axis; None for a single (Y, X) image.
    on_prompts : callable
        Called after any change to the points or boxes, perhaps several times for one change.
    """

    def __init__(
        self, viewer: Viewer, image: Image, axis: int | None, on_prompts: Callable[[], None]
    ) -> None:
        self._viewer = viewer
        self._number = next(_numbers)
        self._on_prompts = on_prompts
        self.image = image
        self.axis = axis
        self.labels, self.boxes, self.points = find_or_add(viewer, image)
        self.marks = Marks(self.labels, self.boxes, self.points)
        # Labels that were here before belong to objects, even where their prompts are gone.
        self.first_ids = frozenset({int(self.labels.data.max())} - {0})
        # Fixed for the session: what the model sees must not change while masks travel.
        low, high = (0.0, 1.0) if image.rgb else image.contrast_limits
        self._contrast = None if image.rgb else (float(low), float(high))
        for layer in (self.points, self.boxes):
            layer.events.data.connect(self._on_data)
            layer.events.features.connect(self._on_features)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The image and the three layers of ours."""
        return self.image, self.labels, self.boxes, self.points

    @property
    def n_frames(self) -> int:
        """Number of frames along the video axis."""
        return 1 if self.axis is None else spatial_shape(self.image)[self.axis]

    def here(self) -> tuple[Place, int] | None:
        """Find the stack and the frame that the viewer's sliders point at; None if at neither."""
        indices = slider_indices(self.image, self._viewer.dims.point)
        if indices is None:
            return None
        place = tuple((i, index) for i, index in enumerate(indices) if i != self.axis)
        return place, 0 if self.axis is None else indices[self.axis]

    def shows(self, place: Place, frame: int) -> bool:
        """Whether the canvas shows any pixel of this frame."""
        displayed = {axis - self._viewer.dims.ndim for axis in self._viewer.dims.displayed}
        ndim = len(spatial_shape(self.image))
        here = self.here()
        if here is None:
            return False
        shown = dict(here[0])
        if self.axis is not None:
            shown[self.axis] = here[1]
        wanted = dict(place)
        if self.axis is not None:
            wanted[self.axis] = frame
        return all(shown[i] == wanted[i] for i in wanted if i - ndim not in displayed)

    def read_prompts(self) -> StackPrompts:
        """Read all prompts of all stacks of the image."""
        return read_prompts(self.image, self.axis, self.points, self.boxes)

    def spec(self, place: Place, model: str, device: str) -> SessionSpec:
        """Describe the session of one stack of the image."""
        labels = self.labels.data
        return SessionSpec(
            key=(self._number, self.axis, place, model, device, id(labels)),
            data=full_resolution(self.image),
            axis=self.axis,
            at=place,
            channel_axis=self.image.ndim if self.image.rgb else None,
            contrast=self._contrast,
            labels=stack_view(labels, self.axis, place),
            model=model,
            device=device,
        )

    def edit(self, tool: str) -> None:
        """Make the points or the boxes the active layer, ready to add to."""
        layer: Any = self.boxes if tool == "boxes" else self.points
        self._viewer.layers.selection.active = layer
        layer.visible = True
        layer.mode = "add_rectangle" if tool == "boxes" else "add"

    def release(self) -> None:
        """Leave the layers as ordinary ones; all that they hold stays."""
        self.marks.release()
        for layer in (self.points, self.boxes):
            layer.events.data.disconnect(self._on_data)
            layer.events.features.disconnect(self._on_features)

    def _on_data(self, event: Any) -> None:
        # A rectangle that is still being drawn announces itself as "adding".
        if str(event.action) in _DONE:
            self._on_prompts()

    def _on_features(self, _event: object = None) -> None:
        self._on_prompts()
