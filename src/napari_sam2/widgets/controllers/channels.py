"""The channel controller: keeps the image source in line with layers and choices.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.stack import MAX_CHANNELS
from napari_sam2.widgets.controllers.region import RegionController
from napari_sam2.widgets.layers.geometry import spatial_shape
from napari_sam2.widgets.layers.image_axes import (
    channel_axis,
    image_layers,
    image_source_of,
    may_join,
    nameless_sliders,
    own_channels,
)
from napari_sam2.widgets.state.image_source import ChannelChoice, ImageSource, Limits

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image

    from napari_sam2.widgets.views.image_section import SourceSection


class ChannelController(QObject):
    """Knows the channels of an image and the part of it that are chosen.

    Channels are other layers, or lie along a slider of the image itself.

    Parameters
    ----------
    viewer : Viewer
    section : SourceSection

    Signals
    -------
    changed()
        Something else is to be seen.
    """

    changed = Signal()

    def __init__(self, viewer: Viewer, section: SourceSection) -> None:
        super().__init__()
        self._viewer, self._section = viewer, section
        self._image: Image | None = None
        self._channels: tuple[Image, ...] = ()
        self._along: int | None = None  # the slider that holds channels
        self._picked: ChannelChoice | None = None
        self._seen: tuple[Image, ...] = ()  # layers whose contrast and pixels are followed
        self._regions = RegionController(viewer)
        self._offering = False  # the fields are being filled, and not yet in line with each other
        section.channel_axis.changed.connect(self._choose_axis)
        for field in (section.channel, section.channel_2, section.channel_3):
            field.changed.connect(self._choose)
        section.part.changed.connect(self._choose_part)
        section.rectangle_requested.connect(self._draw_part)
        self._regions.changed.connect(self._region_changed)
        viewer.layers.events.removed.connect(self._layer_removed)

    @property
    def composed(self) -> int | None:
        """The slider whose channels are composed; None if none is."""
        return None if self._picked is None else self._picked.axis

    @property
    def awaits_part(self) -> bool:
        """Whether the part to work in is about to be drawn."""
        return self._regions.awaited

    @property
    def contrast(self) -> Limits | None:
        """Limits of the channels now, as in `source`; None where they are not those of layers."""
        image = self._image
        if image is None or image.rgb or self._picked is not None:
            return None
        limits = []
        for layer in (image, *self._channels):
            low, high = layer.contrast_limits
            limits.append((float(low), float(high)))
        return tuple(limits)

    def source(self) -> ImageSource | None:
        """Say what is to be seen; None without an image."""
        if self._image is None:
            return None
        return image_source_of(self._image, self._channels, self._regions.region, self._picked)

    def pick(self, picked: ChannelChoice | None) -> None:
        """Compose these channels of the image itself; None: see the one in view."""
        if picked != self._picked:
            self._picked = picked
            self._along = self._along if picked is None else picked.axis
            self._offer()
            self.changed.emit()

    def rejoin(self, names: Sequence[str], contrast: Limits) -> tuple[str, ...]:
        """Compose the layers of these names with the image, each in its contrast (low, high).

        Returns
        -------
        tuple of str
            Names of which there is no layer that lies pixel on pixel over the image.
        """
        image = self._image
        fitting = [] if image is None else image_layers(self._viewer)
        found = {x.name: x for x in fitting if image is not None and may_join(image, x)}
        for name, limits in zip(names, contrast, strict=False):
            if name in found:
                found[name].contrast_limits = limits
        self._take(tuple(found[name] for name in names if name in found))
        self._offer()
        return tuple(name for name in names if name not in found)

    def show_image(self, image: Image | None) -> None:
        """Follow an image, and the layers that there are."""
        if image is not self._image:
            self._image, self._channels, self._picked = image, (), None
            self._along = None if image is None else channel_axis(image)
        self._regions.show_image(image)
        self._section.part.value = self._regions.part
        self._offer()

    def close(self) -> None:
        """Follow no layer any longer."""
        self._viewer.layers.events.removed.disconnect(self._layer_removed)
        self._regions.close()
        self._follow(())

    def _offer(self) -> None:
        self._offering = True
        try:
            kept = self._show_offers()
        finally:
            self._offering = False
        self._take(kept)

    def _show_offers(self) -> tuple[Image, ...]:
        """Fill the fields; return the other layers that are composed."""
        image, picked = self._image, self._picked
        sliders = [] if image is None else nameless_sliders(image)
        self._section.show_channel_axes(sliders, self._along)
        own = [] if image is None else own_channels(image, self._along)
        chosen = () if picked is None else picked.channels
        self._section.show_own(own, chosen[0] if chosen else None)
        if picked is not None:
            rest = [(name, channel) for name, channel in own if channel != chosen[0]]
            second, third = (*chosen[1:], None, None)[:2]
            self._section.show_channels(rest, (second, third))
            return ()
        layers = image_layers(self._viewer)
        fitting = [] if image is None else [x for x in layers if may_join(image, x)]
        kept = tuple(x for x in self._channels if any(x is each for each in fitting))
        first, second = (*kept, None, None)[:2]
        self._section.show_channels([(x.name, x) for x in fitting], (first, second))
        return kept

    def _choose_axis(self, axis: int | None) -> None:
        """Compose the first channels along a slider; None: no slider holds channels."""
        if self._offering:
            return
        self._along = axis
        if axis is None or self._image is None:
            self.pick(None)
        else:
            count = min(spatial_shape(self._image)[axis], MAX_CHANNELS)
            self.pick(ChannelChoice(axis, tuple(range(count))))
        self._offer()

    def _choose(self, _channel: object = None) -> None:
        if self._offering:
            return
        first, axis = self._section.channel.value, self._along
        further = (self._section.channel_2.value, self._section.channel_3.value)
        chosen = tuple(dict.fromkeys(each for each in further if each is not None))
        if first is not None and axis is not None:
            own = [each for each in chosen if isinstance(each, int) and each != first]
            self.pick(ChannelChoice(axis, (first, *own)))
        elif self._picked is not None:
            self.pick(None)
        else:
            self._take(chosen)
            self._offer()

    def _take(self, channels: tuple[Image, ...]) -> None:
        changed = channels != self._channels
        self._channels = channels
        self._follow(() if self._image is None else (self._image, *channels))
        if changed:
            self.changed.emit()

    def _follow(self, layers: tuple[Image, ...]) -> None:
        for layer in self._seen:
            layer.events.contrast_limits.disconnect(self._contrast_changed)
            layer.events.data.disconnect(self._pixels_replaced)
        for layer in layers:
            layer.events.contrast_limits.connect(self._contrast_changed)
            layer.events.data.connect(self._pixels_replaced)
        self._seen = layers

    def _choose_part(self, part: str) -> None:
        if part != self._regions.part:
            self._regions.choose(part)
            self._region_changed()

    def _draw_part(self) -> None:
        """Make the rectangle that is chosen already ready to be changed."""
        if self._regions.part == "rectangle":
            self._regions.choose("rectangle")

    def _region_changed(self) -> None:
        self._section.part.value = self._regions.part
        self.changed.emit()

    def _contrast_changed(self, _event: object = None) -> None:
        self.changed.emit()

    def _pixels_replaced(self, event: Any) -> None:
        if event.source is not self._image:  # which the image controller sees to
            self._offer()
            self.changed.emit()

    def _layer_removed(self, event: Any) -> None:
        self._regions.layer_removed(event.value)
        self._section.part.value = self._regions.part
