"""The image controller: keeps the choice of images and axes in line with the layer list.

Main thread only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import Sam2Error
from napari_sam2.types import StackKind
from napari_sam2.widgets.controllers.channels import ChannelController
from napari_sam2.widgets.controllers.preview import PreviewController, PreviewRequest
from napari_sam2.widgets.layers.geometry import (
    drawn_transform,
    placed,
    slider_indices,
    spatial_shape,
    world_units,
)
from napari_sam2.widgets.layers.image_axes import (
    guess_video_axis,
    image_layers,
    kind_of_frames,
    preferred_image,
    video_axes,
)
from napari_sam2.widgets.views.notifications import show_problem

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

    from napari_sam2.widgets.state.image_source import ChannelChoice, ImageSource
    from napari_sam2.widgets.views.image_section import StackSection


class ImageController(QObject):
    """Knows which image layer and which video axis are chosen.

    Parameters
    ----------
    viewer : Viewer
    section : StackSection
    along : bool
        Whether there is a video axis: if not, every frame is an image for itself.

    Signals
    -------
    changed()
        Image or axis are others than before.
    replaced(Image)
        The image is the same layer with other pixels.

    Attributes
    ----------
    image : Image or None
    axis : int or None
    kind : StackKind
        What the frames along it are.
    pinned : bool
        Work on the image has begun: another one is not chosen by itself.
    seen : ImageSource or None
        What is seen of it since then.
    channels : ChannelController
        What would be seen of it from now on.
    """

    changed = Signal()
    replaced = Signal(object)

    def __init__(self, viewer: Viewer, section: StackSection, *, along: bool = True) -> None:
        super().__init__()
        self._viewer, self._section, self._along = viewer, section, along
        self.image: Image | None = None
        self.axis: int | None = None
        self.kind = StackKind.UNKNOWN
        self._shape: tuple[int, ...] = ()  # of the image at the last check
        self.pinned = False
        self.seen: ImageSource | None = None
        self.channels = ChannelController(viewer, section.source)
        self._composed: int | None = None  # for which the offered axes were listed
        self._preview = PreviewController(section.source, self._request)
        self.channels.changed.connect(self._source_changed)
        viewer.dims.events.point.connect(self._preview.soon)
        section.image.changed.connect(self._choose)
        section.axis.changed.connect(self._choose_axis)
        section.kind.changed.connect(self._choose_kind)
        events = viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
            emitter.connect(self._list_changed)
        self._list_changed()

    def close(self) -> None:
        """Follow the layer list no longer."""
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
            emitter.disconnect(self._list_changed)
        self._viewer.dims.events.point.disconnect(self._preview.soon)
        self._follow(None)
        self.channels.close()
        self._preview.close()

    def pin(self, source: ImageSource) -> None:
        """Note that work on the image has begun, and what is seen of it."""
        self.pinned, self.seen = True, source
        self._preview.soon()

    def unpin(self) -> None:
        """Note that it is over."""
        self.pinned, self.seen = False, None

    def source(self) -> ImageSource | None:
        """Say what is to be seen of the image; None without one."""
        source = self.channels.source()
        return None if source is None else replace(source, kind=self.kind)

    def choose(
        self, axis: int | None, picked: ChannelChoice | None, kind: StackKind = StackKind.UNKNOWN
    ) -> None:
        """Choose a video axis, the channels to compose and, if known, what the frames are.

        Emits no signal.
        """
        if self.image is not None:
            self.axis, self._composed = axis, None if picked is None else picked.axis
            self.channels.pick(picked)
            self._section.show_axes(video_axes(self.image, self._composed), axis)
            known = kind is not StackKind.UNKNOWN
            self._show_kind(kind if known else kind_of_frames(self.image, axis))

    def _list_changed(self, event: object = None) -> None:
        current = self.image
        new = getattr(event, "value", None)
        if not self.pinned and getattr(event, "type", "") == "inserted":
            # Nothing has begun yet: the image that was just opened is the one that is meant.
            current = new if any(new is image for image in image_layers(self._viewer)) else current
        self._show(preferred_image(self._viewer, current))

    def _choose(self, image: Image | None) -> None:
        if image is not self.image:
            self._show(preferred_image(self._viewer, image))

    def _layers(self, _field: object = None) -> list[tuple[str, Image]]:
        return [(layer.name, layer) for layer in image_layers(self._viewer)]

    def _choose_axis(self, axis: int | None) -> None:
        if axis != self.axis:
            self.axis = axis
            self._guess_kind()
            self._preview.soon()
            self.changed.emit()

    def _choose_kind(self, kind: StackKind | str) -> None:
        self.kind = StackKind(kind)  # some bindings of Qt return the plain string
        self._preview.soon()

    def _guess_kind(self) -> None:
        image = self.image
        self._show_kind(StackKind.UNKNOWN if image is None else kind_of_frames(image, self.axis))

    def _show_kind(self, kind: StackKind) -> None:
        self.kind = self._section.kind.value = kind

    def _source_changed(self) -> None:
        """Take another video axis where channels are composed along that one, or give it back."""
        self._preview.soon()
        image, composed, axis = self.image, self.channels.composed, self.axis
        if image is None or composed == self._composed or not self._along:
            return
        self._composed = composed
        if axis is None or axis == composed:
            axis = guess_video_axis(image, composed)
        self._section.show_axes(video_axes(image, composed), axis)
        self._choose_axis(axis)

    def _show(self, image: Image | None) -> None:
        if image is self.image:
            self._section.show_images(self._layers, image)
            self.channels.show_image(image)
            return
        self._follow(image)
        self.image = image
        self._section.show_images(self._layers, image)
        self._guess()
        self.changed.emit()

    def _guess(self) -> None:
        """Begin with the image as it is."""
        image = self.image
        self.axis = self._composed = None
        self.channels.show_image(image)
        self._preview.soon()
        if image is not None and self._along:
            try:
                self.axis = guess_video_axis(image)
            except Sam2Error as error:
                show_problem(error)
        self._section.show_axes(
            video_axes(image) if image is not None and self._along else [], self.axis
        )
        self._guess_kind()

    def _follow(self, image: Image | None) -> None:
        """Listen to new pixels of this image, and no longer to those of the one before."""
        if self.image is not None:
            self.image.events.data.disconnect(self._pixels_replaced)
        if image is not None:
            image.events.data.connect(self._pixels_replaced)
            self._shape = spatial_shape(image)

    def _pixels_replaced(self, _event: object = None) -> None:
        image = self.image
        if image is None:
            return
        before, self._shape = self._shape, spatial_shape(image)
        if before != self._shape:
            self.channels.show_image(None)  # no channel and no part of before fits
            self._guess()
        self._preview.soon()
        self.replaced.emit(image)

    def _slider_indices(self, image: Image) -> tuple[int, ...] | None:
        ndim = len(spatial_shape(image))
        drawn = drawn_transform(image, (ndim - 2, ndim - 1), world_units(self._viewer))
        return slider_indices(image, self._viewer.dims.point, drawn=drawn)

    def _request(self) -> PreviewRequest | None:
        """Say what the preview shows: the frame in view, as it would be seen from now on."""
        image, source = self.image, self.source()
        indices = None if image is None else self._slider_indices(image)
        if source is None or indices is None:
            return None
        later = self.seen is not None and not self.seen.same_as(source)
        where = placed(indices, self.axis, source.composed)
        return PreviewRequest(source, self.axis, *where, later)
