"""The layers of one image under work, and which panel owns them.

Main thread only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels import FrameRecord
from napari_sam2.types import Region
from napari_sam2.widgets.layers.appearance import MarkSize, PromptAppearance, ShapesVisibility
from napari_sam2.widgets.layers.factory import TRANSFORMS, find_or_add, lay_over
from napari_sam2.widgets.layers.geometry import (
    drawn_transform,
    index_of,
    placed,
    same_position,
    slider_indices,
    spatial_shape,
    stack_view,
    world_units,
)
from napari_sam2.widgets.layers.image_axes import axis_name, image_source_of
from napari_sam2.widgets.layers.prompt_reader import StackPrompts, read_prompts, repair_features
from napari_sam2.widgets.layers.snapshot import UserState, WindowSnapshot
from napari_sam2.widgets.state.image_source import ImageSource
from napari_sam2.widgets.state.positions import OBJECT, StackPosition
from napari_sam2.widgets.state.session_spec import SessionSpec
from napari_sam2.widgets.state.settings import ModelUse
from napari_sam2.widgets.state.tools import TOOLS, Tool, tool_named

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Labels, Layer


USER_STATE = "napari_sam2 annotations"
"""Key in the metadata of the labels: video axis, region and `UserState` of the work on them."""

RECORDS = "napari_sam2 records"
"""Key in the metadata of the labels: axis, region and records by stack of former work on them."""

_PLANE = 2  # axes of a frame, and of the 2D view
_MARGIN = 0.05  # of the view: what is nearer to its border counts as outside
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
        Called after any change to points or shapes, perhaps several times for one change.
    source : ImageSource, optional
        What the model is to see of it; all, in its contrast of now, by default.

    Attributes
    ----------
    source : ImageSource
        Fixed for the session: what the model sees must not change while masks travel. Frames,
        masks and prompts are those of its region.
    n_frames : int
        Frames along the video axis.
    drawn : DrawnTransform
        How napari draws the image in the view of now; our layers lie on that.
    results : callable or None
        Gives the folder for the results of a stack; None: they are not kept on disk.
    """

    def __init__(
        self,
        viewer: Viewer,
        image: Image,
        axis: int | None,
        on_prompts: Callable[[], None],
        source: ImageSource | None = None,
    ) -> None:
        self._viewer = viewer
        self._number = next(_numbers)
        self._on_prompts = on_prompts
        self.results: Callable[[StackPosition], Path] | None = None
        self.image = image
        self.axis = axis
        self._shape = spatial_shape(image)
        self.n_frames = 1 if axis is None else self._shape[axis]
        self.source = image_source_of(image) if source is None else source
        # The axis of the image whose channels are composed: its slider makes no difference.
        self.composed = self.source.composed
        before = len(viewer.layers)
        layers = find_or_add(viewer, image, self.composed)
        self.labels, self.shapes, self.points = layers
        repair_features(self.points)
        repair_features(self.shapes)
        self._may_hold_objects = len(viewer.layers) < before + 3
        # Brush, eraser, fill and polygon change the current object only; the user may untick it.
        self.labels.preserve_labels = True
        self.marks = PromptAppearance(self.labels, self.shapes, self.points)
        self._shapes_visibility = ShapesVisibility(viewer, self.shapes)
        self.mark_size = MarkSize(viewer, self.shapes, self.points)
        self._former_records = self._read_records()
        self.user_state = self._former_user_state()
        # Labels that were here before belong to objects, even where their prompts are gone. New
        # ones hold nothing: they need not be searched.
        largest = int(self.labels.data.max()) if self._may_hold_objects else 0
        self.first_ids = frozenset({largest} - {0})
        for layer in (self.points, self.shapes):
            layer.events.data.connect(self._on_data)
            layer.events.features.connect(self._on_features)
        for name in TRANSFORMS:
            getattr(image.events, name).connect(self._image_moved)
        for emitter in self._view_events():
            emitter.connect(self._view_changed)
        self._looked_at: tuple[Any, ...] = ()
        self._here: tuple[StackPosition, int] | None = None
        self.drawn = self._sliced = drawn_transform(image, None)
        self._view_changed()

    @property
    def user_state(self) -> UserState:
        """Annotations besides points and shapes; they stay with the Labels layer."""
        return self._user_state

    @user_state.setter
    def user_state(self, user_state: UserState) -> None:
        self._user_state = user_state
        self.labels.metadata[USER_STATE] = (self.axis, self.source.region, user_state)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The image and the three layers of ours."""
        return self.image, self.labels, self.shapes, self.points

    def is_of(self, image: Image | None, axis: int | None, source: ImageSource | None) -> bool:
        """Whether this is work on the frames of this image, perhaps on another part of them."""
        if image is not self.image or axis != self.axis or source is None:
            return False
        return source.composed == self.composed

    def here(self) -> tuple[StackPosition, int] | None:
        """Find the stack and the frame that the viewer's sliders point at; None if at neither."""
        looked_at = self._viewer.dims.point, self.image.data.shape, self._sliced
        if looked_at != self._looked_at:  # found once: all views ask for it after each change
            self._looked_at, self._here = looked_at, self._find_here()
        return self._here

    def _find_here(self) -> tuple[StackPosition, int] | None:
        if spatial_shape(self.image) != self._shape:
            return None  # it has other pixels now than those that are worked on
        point = self._viewer.dims.point
        indices = slider_indices(self.image, point, self._shape, self._sliced)
        return None if indices is None else placed(indices, self.axis, self.composed)

    def go_to(self, frame: int) -> None:
        """Move the slider of the video axis to a frame."""
        if self.axis is not None:
            self.go_along(self.axis, frame)

    def go_along(self, axis: int, index: int) -> None:
        """Move the slider of any axis of the image to an index."""
        ndim = len(self._shape)
        shift = self._viewer.dims.ndim - ndim
        # The other sliders stay: where axes are mixed, each of them counts.
        point = np.asarray(self._viewer.dims.point, float)[shift:]
        here = self._sliced.to_data(point)
        here[axis] = index
        self._viewer.dims.set_point(axis + shift, float(self._sliced.to_world(here)[axis]))

    def show_place(self, position: StackPosition, frame: int, place: tuple[float, float]) -> None:
        """Move the camera to a place (y, x) of a frame, unless that is in view.

        The place is in pixels of the region that is seen.
        """
        region = self.source.region
        corner = (0, 0) if region is None else (region.y0, region.x0)
        indices = index_of(self.axis, position, frame)
        here = np.array([*indices, *np.add(place, corner)], float)
        ndim, shift = len(self._shape), self._viewer.dims.ndim - len(self._shape)
        displayed = [axis - shift for axis in self._viewer.dims.displayed]
        if min(displayed) < 0:
            return
        low, high = np.asarray(self.image.corner_pixels, float)[:, :ndim]
        if self.image.multiscale:
            factors = np.asarray(self.image.downsample_factors[self.image.data_level], float)[:ndim]
            low, high = low * factors, high * factors
        margin = _MARGIN * (high - low)
        # At an end of the image there is nothing more to be seen.
        low = np.where(low > 0, low + margin, low)
        high = np.where(high < np.array(self._shape) - 1, high - margin, high)
        if not ((here >= low) & (here <= high))[displayed].all():
            camera = getattr(self._viewer, "scene", self._viewer).camera
            camera.center = tuple(self.drawn.to_world(here)[displayed])

    def rolled(self) -> tuple[str, str, str] | None:
        """Tell whether the view, in 2D, shows other axes than those of the frames.

        Returns
        -------
        (str, str, str) or None
            Names of the video axis, and of rows and columns of the frames; None: it shows frames.
        """
        dims, ndim = self._viewer.dims, len(self._shape)
        displayed = sorted(dims.displayed)
        frames = [dims.ndim - 2, dims.ndim - 1]
        if self.axis is None or len(displayed) != _PLANE or displayed == frames:
            return None
        rows, columns = (str(self.image.axis_labels[axis]) for axis in (ndim - 2, ndim - 1))
        return axis_name(self.image, self.axis), rows, columns

    def shows(self, position: StackPosition, frame: int) -> bool:
        """Whether the canvas shows any pixel of this frame."""
        displayed = {axis - self._viewer.dims.ndim for axis in self._viewer.dims.displayed}
        ndim = len(self._shape)
        here = self.here()
        if here is None:
            return False
        shown = dict(here[0])
        if self.axis is not None:
            shown[self.axis] = here[1]
        wanted = dict(position)
        if self.axis is not None:
            wanted[self.axis] = frame
        return all(shown[i] == wanted[i] for i in wanted if i - ndim not in displayed)

    def where(
        self, layer: Layer, marks: Iterable[Any] | None = None
    ) -> list[tuple[StackPosition, int] | None]:
        """Find the stack and frame of every point or shape of a layer; None if outside.

        Of `marks`, if they are given: data that the layer had, or is to have.
        """
        data = layer.data if marks is None else marks
        firsts = [np.atleast_2d(np.asarray(mark, float))[:1] for mark in data]
        if not firsts:
            return []
        positions = same_position(self.image, layer, np.concatenate(firsts), self.drawn)
        found = np.rint(positions)[:, :-2]
        shape = np.asarray(self._shape[:-2])
        inside = ((found >= 0) & (found < shape)).all(axis=1)  # false where NaN is
        indices = np.where(np.isfinite(found), found, -1).astype(int)
        return [self.placed(row) if ok else None for row, ok in zip(indices, inside, strict=True)]

    def placed(self, indices: Sequence[int] | NDArray[np.int_]) -> tuple[StackPosition, int]:
        """Tell stack and frame from the indices of all axes but the last two."""
        return placed(indices, self.axis, self.composed)

    def index_of(self, position: StackPosition, frame: int) -> tuple[int, ...]:
        """Return the indices of all axes but the last two, of a frame of a stack."""
        return index_of(self.axis, position, frame)

    def marked_ids(self) -> frozenset[int]:
        """Return the objects that have points or shapes."""
        ids = (layer.features[OBJECT] for layer in (self.points, self.shapes))
        return frozenset(int(number) for column in ids for number in column)

    def read_prompts(self) -> StackPrompts:
        """Read all prompts of all stacks of the image."""
        repair_features(self.points)  # values can be changed in place, without an event
        repair_features(self.shapes)
        return read_prompts(
            self.image,
            self.axis,
            self.points,
            self.shapes,
            self._user_state.painted,
            self.source.region,
            self.composed,
            self.drawn,
        )

    def state(self) -> WindowSnapshot:
        """Return all annotations of the user."""
        return WindowSnapshot.of(self.points, self.shapes, self._user_state, self.source.region)

    def show_state(self, state: WindowSnapshot, known: WindowSnapshot | None = None) -> None:
        """Show another state; where `known` is the one that is shown, what is new in it only."""
        state.show(self.points, self.shapes, known)
        self.user_state = self._seen_here(state.user_state, state.region)
        self.marks.repaint()
        self.marks.prepare()

    def labels_at(self, position: StackPosition) -> Any:
        """View the labels (T, Y, X) of one stack, in the region that is seen."""
        return stack_view(self.labels.data, self.axis, position, self.source.region)

    def spec(self, position: StackPosition, use: ModelUse) -> SessionSpec:
        """Describe the session of one stack of the image."""
        labels = self.labels.data
        return SessionSpec(
            key=(self._number, self.axis, position, use, id(labels)),
            source=self.source,
            axis=self.axis,
            at=position,
            labels=stack_view(labels, self.axis, position, self.source.region),
            use=use,
            survey=self._may_hold_objects,
            results=None if self.results is None else self.results(position),
            records=self._former_records.get(position, ()),
        )

    def take_box_for_point(self) -> None:
        """Make a point of the box that was added last, where its drawing began."""
        shapes = self.shapes
        begin = np.asarray(shapes.data[-1], float)[0]
        shapes.selected_data = {len(shapes.data) - 1}
        shapes.remove_selected()
        self.points.add(begin)

    def edit(self, tool: str) -> None:
        """Make a layer active and ready for a tool of `TOOLS`."""
        chosen = tool_named(tool)
        layer = self._drawn_in(chosen)
        self._viewer.layers.selection.active = layer
        layer.visible = True
        layer.mode = chosen.mode

    def tool(self) -> str | None:
        """Return the tool that the active layer is ready for; None if it is none of `TOOLS`."""
        active = self._viewer.layers.selection.active
        for tool in TOOLS:
            if active is self._drawn_in(tool) and str(active.mode) == tool.mode:
                return tool.name
        return None

    def _drawn_in(self, tool: Tool) -> Any:
        return {"points": self.points, "shapes": self.shapes, "labels": self.labels}[tool.layer]

    def release(self, *, views_alive: bool = True) -> None:
        """Leave the layers as ordinary ones; all that they hold stays."""
        self.marks.release()
        self._shapes_visibility.release(views_alive=views_alive)
        self.mark_size.release(views_alive=views_alive)
        for layer in (self.points, self.shapes):
            layer.events.data.disconnect(self._on_data)
            layer.events.features.disconnect(self._on_features)
        for name in TRANSFORMS:
            getattr(self.image.events, name).disconnect(self._image_moved)
        for emitter in self._view_events():
            emitter.disconnect(self._view_changed)
        if views_alive and not self.drawn.is_own:
            lay_over(self.image, self.composed, self.layers[1:])

    def keep_records(self, records: Mapping[StackPosition, tuple[FrameRecord, ...]]) -> None:
        """Keep scores with the labels that they are of, for later work on them."""
        self.labels.metadata[RECORDS] = (self.axis, self.source.region, records)

    def _read_records(self) -> Mapping[StackPosition, tuple[FrameRecord, ...]]:
        """Return the records of former work along this axis, in this part of the image."""
        axis, region, records = self.labels.metadata.get(RECORDS, (None, None, {}))
        return records if (axis, region) == (self.axis, self.source.region) else {}

    def _former_user_state(self) -> UserState:
        """Return the annotations of earlier work on these labels, converted to this view."""
        region = self.source.region
        axis, before, user_state = self.labels.metadata.get(
            USER_STATE, (self.axis, region, UserState())
        )
        if axis != self.axis:
            user_state = user_state.moved(
                lambda position, frame: self.placed(index_of(axis, position, frame))
            )
        return self._seen_here(user_state, before)

    def _seen_here(self, user_state: UserState, before: Region | None) -> UserState:
        """Return annotations made in a part of the image as they are in the part of now."""
        region = self.source.region
        if before == region:
            return user_state
        old, new = (each or Region(0, 0, *self._shape[-2:]) for each in (before, region))
        return user_state.seen_from((new.y0 - old.y0, new.x0 - old.x0), new.shape)

    @property
    def tilted(self) -> bool:
        """Whether the sliders move along no slices of the image, so that none is a frame."""
        return self._sliced.tilted

    def _view_events(self) -> tuple[Any, ...]:
        """Return what changes how napari draws the image, besides the image itself."""
        dims, layers = self._viewer.dims.events, self._viewer.layers.events
        return dims.ndisplay, dims.order, layers.inserted, layers.removed

    def _image_moved(self, _event: object = None) -> None:
        self._find_drawn()
        lay_over(self.image, self.composed, self.layers[1:], self.drawn)
        self.mark_size.fit()

    def _view_changed(self, _event: object = None) -> None:
        """Lay our layers on the image as it is drawn, where that is another way than before."""
        before = self.drawn
        self._find_drawn()
        if before.is_own and self.drawn.is_own:
            return
        same = before.units == self.drawn.units
        if not same or not np.allclose(before.matrix, self.drawn.matrix, 0, 0):
            lay_over(self.image, self.composed, self.layers[1:], self.drawn)
            self.mark_size.fit()

    def _find_drawn(self) -> None:
        dims, ndim, units = self._viewer.dims, len(self._shape), world_units(self._viewer)
        plane = (ndim - 2, ndim - 1)
        displayed = sorted(axis - dims.ndim + ndim for axis in dims.displayed)
        flat = len(displayed) == _PLANE and displayed[0] >= 0
        self._sliced = drawn_transform(self.image, plane, units)
        self.drawn = drawn_transform(self.image, displayed if flat else None, units)

    def _on_data(self, event: Any) -> None:
        # A rectangle that is still being drawn announces itself as "adding".
        if str(event.action) in _DONE:
            self._on_prompts()

    def _on_features(self, event: Any) -> None:
        repair_features(event.source)
        self._on_prompts()


OWNER = "napari_sam2 owner"
"""Key in the metadata of the labels: the `LayerOwnership` of the panel that took them up last."""


class LayerOwnership:
    """Lets the panel that works on some layers be asked to leave them; keeps no panel alive.

    Parameters
    ----------
    leave : bound method
        Leaves the layers, if they are worked on.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = WeakMethod(leave)

    def is_of_the_same_panel(self, other: LayerOwnership) -> bool:
        """Whether both belong to one panel."""
        return self._leave == other._leave

    def end(self) -> None:
        """Have the panel leave, if it is still there."""
        leave = self._leave()
        if leave is not None:
            leave()

    def __deepcopy__(self, _memo: dict[int, Any]) -> LayerOwnership:
        return self  # a copy of the layer has the same owner


def claim_layers(labels: Labels, leave: Callable[[], None]) -> None:
    """Work on these labels from now on; another panel that does so leaves them."""
    ownership, former = LayerOwnership(leave), labels.metadata.get(OWNER)
    labels.metadata[OWNER] = ownership
    if isinstance(former, LayerOwnership) and not former.is_of_the_same_panel(ownership):
        former.end()
