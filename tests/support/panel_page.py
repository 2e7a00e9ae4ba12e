"""A panel as its user sees it: what can be clicked, drawn, chosen and read, in words that stay.

Tests drive a panel through a `PanelPage` alone. Classes, attributes and signals behind the panel
are named in `_Internals` and in `PanelPage.__init__`, and nowhere else in the tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils._test_utils import read_only_mouse_event
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication, QInputDialog

from napari_sam2.labels import FrameRecord, History
from napari_sam2.prompts import FramePrompt
from napari_sam2.types import Region, Speed, StackKind
from napari_sam2.widgets.autosave.serialize import session_file
from napari_sam2.widgets.layers.prompt_writer import resumed_state
from napari_sam2.widgets.views.object_table_model import COLUMNS, ID, NAME

if TYPE_CHECKING:
    from pathlib import Path

    from napari import Viewer
    from napari.layers import Image, Labels, Layer, Points, Shapes
    from qtpy.QtWidgets import QDockWidget

    from napari_sam2.widgets.stack_panel import StackPanel
    from napari_sam2.widgets.state.object_records import ObjectSeries
    from napari_sam2.widgets.state.settings import ModelUse
    from napari_sam2.widgets.views.review_section import Timeline


class _Internals:
    """What a panel consists of: the one place that reaches behind its widgets."""

    def __init__(self, widget: StackPanel) -> None:
        self.controller = widget.controller
        self.annotation = widget.controller.annotation
        self.images = widget.controller._images
        self.models = widget.controller._models
        self.propagation = widget.controller._propagation
        self.adapting = widget.controller._adapting
        self.keeping = widget.controller._autosave
        self.session_worker = widget.controller._session_worker
        self._controllers = widget.controller._controllers

    @property
    def work(self) -> Any:
        """The layers that are worked on, and what is known of them."""
        work = self.controller.workspace
        assert work is not None, "nothing is being segmented"
        return work

    def show_objects(self) -> None:
        """Have the table of objects show at once what it would show a little later."""
        self._controllers.objects.show()

    def show_review(self) -> None:
        """The same for the timeline."""
        self._controllers.review.show()

    def show_found(self) -> None:
        """The same for found objects."""
        self._controllers.finding.show()

    def show_hint(self) -> None:
        """The same for the hint."""
        self.controller._status.show()

    def show_due(self) -> None:
        """Have everything shown at once that is due a little later."""
        QApplication.sendPostedEvents()
        self.controller._throttle._call_all()


class PanelPage:
    """Drives a panel and reads it, beside its viewer.

    Positions are in pixels of the image: (frame, y, x), with more sliders in front where it has
    some, (y, x) of a single image.

    Parameters
    ----------
    widget : StackPanel
        The panel itself.
    viewer : Viewer
        Its viewer.
    wait : callable, optional
        Takes a condition and returns once it holds; pytest-qt's ``qtbot.waitUntil``.
    count_steps : callable, optional
        Returns how many steps the sessions of the test have taken.

    Attributes
    ----------
    settings : PanelFields
        The fields of the panel.
    image_section, model_section, prompt_section, propagation_section : QWidget
    object_section, review_section, adaptation_section, save_section, speed_section : QWidget
        Parts of the panel, for what this page has no word of its own for.
    """

    def __init__(
        self,
        widget: StackPanel,
        viewer: Viewer,
        wait: Callable[..., None] | None = None,
        count_steps: Callable[[], int] = lambda: 0,
    ) -> None:
        self.widget, self.viewer = widget, viewer
        self._wait, self._count_steps = wait, count_steps
        self._inside = _Internals(widget)
        self.settings = widget.settings
        self.image_section, self.model_section = widget.stack, widget.model
        self.prompt_section, self.propagation_section = widget.prompts, widget.run
        self.object_section, self.review_section = widget.objects, widget.review
        self.adaptation_section, self.save_section = widget.adapt, widget.save
        self.find_section = widget.search
        self._offer, self._history = widget.offer, widget.history
        self._source, self.speed_section = widget.stack.source, widget.model.pace

    # Beginning and ending.

    def start(self) -> None:
        """Press Start, or Restart."""
        self.widget.start.click()

    def start_in(self, region: Region) -> None:
        """Start in this part of the image, as if it had been drawn as a rectangle."""
        self._inside.controller.begin(replace(self.chosen_source, region=region))

    @property
    def can_start(self) -> bool:
        """Whether Start can be pressed."""
        return self.widget.start.isEnabled()

    @property
    def started(self) -> bool:
        """Whether an image is being segmented."""
        return self._inside.controller.workspace is not None

    @property
    def start_number(self) -> int:
        """Number of the start: another one each time that work begins, in any panel."""
        return self._inside.work._number

    def close(self) -> None:
        """End the panel, as closing its dock does."""
        self._inside.controller.close()

    def leave(self) -> None:
        """Stop segmenting the image, as removing one of its layers does."""
        self._inside.controller._leave()

    @property
    def dock(self) -> QDockWidget:
        """The dock that holds the panel."""
        return self.widget.parent()

    def open_file(self, path: Path) -> None:
        """Choose an image file or folder after pressing Open."""
        self.widget.stack.open.image_requested.emit(path)

    @property
    def opening(self) -> bool:
        """Whether a file is being opened, which Cancel would stop."""
        return self.widget.stack.open.text() == "Cancel"

    def cancel_opening(self) -> None:
        """Press Cancel, in the place of Open."""
        self.widget.stack.open.click()

    @property
    def offered_images(self) -> list[str]:
        """The images of a file among which is asked; empty without a question."""
        found = self.widget.stack.open.findChildren(QInputDialog)
        return found[-1].comboBoxItems() if found and found[-1].isVisible() else []

    @property
    def image_question(self) -> str:
        """What is asked of them."""
        return self.widget.stack.open.findChildren(QInputDialog)[-1].labelText()

    def choose_image_of_file(self, title: str | None) -> None:
        """Answer that question with one of these, or, with None, refuse."""
        question = self.widget.stack.open.findChildren(QInputDialog)[-1]
        if title is None:
            question.reject()
        else:
            question.setTextValue(title)
            question.accept()

    def wait_idle(self, timeout: int = 120_000) -> None:
        """Wait until all that was asked is answered and nothing is under way any more."""
        assert self._wait is not None
        last = -1

        def quiet() -> bool:
            nonlocal last
            before, last = last, self._count_steps()
            return before == last and self.idle

        self._wait(quiet, timeout=timeout)

    @property
    def idle(self) -> bool:
        """Whether all that was asked is answered."""
        return self._inside.controller.idle

    @property
    def worker_busy(self) -> bool:
        """Whether the session has something to do; files that are written do not count."""
        return self._inside.session_worker.busy

    def wait_for_worker(self) -> None:
        """Wait until the worker has answered all that was asked; the panel has not heard it yet."""
        answered = threading.Event()
        self._inside.session_worker._worker.submit(answered.set)
        assert answered.wait(60)

    @property
    def hint(self) -> str:
        """What the panel says is to be done next, once the event under way is over."""
        self._inside.show_due()
        return self.widget.hint.text()

    @property
    def offers_contrast(self) -> bool:
        """Whether the contrast of now can be taken."""
        self._inside.show_hint()
        return not self.widget.contrast.isHidden()

    def take_contrast(self) -> None:
        """Press Use new contrast."""
        self.widget.contrast.click()

    def refresh_hint(self) -> None:
        """Have the hint and the buttons brought up to date, as after any change."""
        self._inside.show_hint()

    @property
    def setup_title(self) -> str:
        """Title of the part with image and model."""
        return self.widget.setup.title.text()

    @property
    def setup_tooltip(self) -> str:
        """Tooltip of that title."""
        return self.widget.setup.title.toolTip()

    def unfold_setup(self) -> None:
        """Show the part with image and model."""
        self.widget.setup.open(True)

    # Layers.

    @property
    def image_layer(self) -> Image:
        """The image that is being segmented."""
        return self._inside.work.image

    @property
    def labels_layer(self) -> Labels:
        """The layer that the masks are written to."""
        return self._inside.work.labels

    @property
    def points_layer(self) -> Points:
        """The layer of the clicks."""
        return self._inside.work.points

    @property
    def shapes_layer(self) -> Shapes:
        """The layer of boxes, lassos and scribbles."""
        return self._inside.work.shapes

    @property
    def labels(self) -> np.ndarray:
        """A copy of the labels as they are now; of the layer's array, see `labels_layer`."""
        return np.array(self.labels_layer.data)

    @property
    def points(self) -> np.ndarray:
        """A copy of the positions of all clicks."""
        return np.array(self.points_layer.data)

    @property
    def shapes(self) -> list[np.ndarray]:
        """Copies of all shapes."""
        return [np.array(each) for each in self.shapes_layer.data]

    # Image and what the model sees of it.

    def choose_image(self, layer: Image) -> None:
        """Choose another image."""
        _choose(self.settings.image, layer)

    @property
    def chosen_image(self) -> Image | None:
        """The image that is chosen."""
        return self._inside.images.image

    @property
    def chosen_image_name(self) -> str:
        """Its name in the box."""
        return self.settings.image.current_choice

    @property
    def images_offered(self) -> list[str]:
        """Names of the images that can be chosen."""
        return _texts(self.settings.image)

    def choose_axis(self, axis: int | None) -> None:
        """Choose another video axis."""
        _choose(self.settings.axis, axis)

    @property
    def chosen_axis(self) -> int | None:
        """The video axis that is chosen."""
        return self.settings.axis.value

    def choose_kind(self, kind: str) -> None:
        """Say what the frames are."""
        _choose(self.settings.kind, StackKind(kind))

    @property
    def chosen_kind(self) -> StackKind:
        """What the frames are, as it is shown."""
        return self.settings.value.kind

    @property
    def axes_offered(self) -> list[str]:
        """Names of the video axes that can be chosen."""
        return _texts(self.settings.axis)

    @property
    def can_choose_axis(self) -> bool:
        """Whether there is more than one."""
        return self.settings.axis.enabled

    @property
    def axis(self) -> int | None:
        """The video axis of the image that is being segmented."""
        return self._inside.work.axis

    def choose_channel_axis(self, axis: int | None) -> None:
        """Say that a slider without a name holds channels, or that none does."""
        _choose(self.settings.channel_axis, axis)

    @property
    def chosen_channel_axis(self) -> int | None:
        """The slider that is said to hold channels."""
        return self.settings.channel_axis.value

    @property
    def channel_axes_offered(self) -> list[str]:
        """What can be said of the sliders."""
        return _texts(self.settings.channel_axis)

    def choose_channel(self, place: int, channel: Any) -> None:
        """Choose the first, second or third channel: a number, or another layer."""
        _choose(self._channel_box(place), channel)

    def chosen_channel(self, place: int) -> Any:
        """Return the first, second or third channel that is chosen."""
        return self._channel_box(place).value

    @property
    def further_channels(self) -> tuple[Any, ...]:
        """What is chosen besides the first channel."""
        return self.settings.value.further_channels

    def channels_offered(self, place: int) -> list[str]:
        """Return the titles of the channels that can be chosen there."""
        return _texts(self._channel_box(place))

    def shows_channel_box(self, place: int) -> bool:
        """Whether there is a first, second or third channel to choose."""
        return not (self._source._own, *self._source._channels)[place - 1].isHidden()

    @property
    def shows_channel_axis_box(self) -> bool:
        """Whether it is asked which slider holds channels."""
        return not self._source._channel_axis.isHidden()

    def choose_part(self, name: str) -> None:
        """Choose "whole", "view" or "rectangle"."""
        _choose(self.settings.part, name)

    @property
    def chosen_part(self) -> str:
        """Which part of the image is chosen."""
        return self.settings.part.value

    def draw_part(self, corner: tuple[float, ...], opposite: tuple[float, ...]) -> None:
        """Draw the rectangle to work in from corner to corner."""
        layer = self.part_layer
        assert layer is not None
        path = [self._world(each)[-2:] for each in (corner, opposite)]
        self.drag(layer, *path)

    @property
    def part_layer(self) -> Shapes | None:
        """The layer that outlines the part to work in."""
        found = [layer for layer in self.viewer.layers if layer.name.endswith("· part")]
        return found[0] if found else None

    def unfold_preview(self) -> None:
        """Show the picture of what the model sees."""
        self._source.open(True)

    @property
    def preview(self) -> np.ndarray | None:
        """The picture (Y, X, 3) of what the model sees, as it is shown."""
        pixmap = self._source.picture.pixmap()
        if pixmap.isNull():
            return None
        image = pixmap.toImage().convertToFormat(QImage.Format.Format_RGB888)
        bits = image.constBits()
        if hasattr(bits, "setsize"):
            bits.setsize(image.sizeInBytes())
        rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)

    @property
    def preview_caption(self) -> str:
        """What is said below it."""
        return self._source.caption.text()

    @property
    def chosen_source(self) -> Any:
        """What the model would see from the next start on: channels, contrast, part."""
        return self._inside.images.source()

    @property
    def source(self) -> Any:
        """What the model sees since the last start."""
        return self._inside.images.seen

    @property
    def region(self) -> Region | None:
        """The part of the image that is being segmented; None: all of it."""
        return self._inside.work.source.region

    # Model.

    def choose_model(self, name: str) -> None:
        """Choose another model."""
        _choose(self.settings.model, name)

    def choose_model_from_file(self) -> None:
        """Choose the last item of the list, which asks for a file."""
        box = self.settings.model.native
        box.setCurrentIndex(box.count() - 1)
        box.activated.emit(box.count() - 1)

    def use_model_of_session(self, model: str, speed: str) -> None:
        """Use what a session names, without making it a setting."""
        self._inside.models.choose(model, speed)

    def compute_on_server(self, url: str, token: str) -> None:
        """Choose a server, type its address and token, and press Connect."""
        _choose(self.settings.compute_on, "server")
        self.settings.server.native.setText(url)
        self.settings.token.native.setText(token)
        self.model_section.connect_button.click()

    def compute_here(self) -> None:
        """Choose this computer again."""
        _choose(self.settings.compute_on, "here")

    @property
    def server_text(self) -> str:
        """What is said of the server."""
        return self.model_section.server_note.text()

    def choose_device(self, name: str) -> None:
        """Choose another device."""
        _choose(self.settings.device, name)

    def choose_speed(self, speed: Speed) -> None:
        """Choose another level of speed."""
        _choose(self.settings.speed, speed)

    def choose_precision(self, precision: str) -> None:
        """Choose another precision."""
        _choose(self.settings.precision, precision)

    @property
    def chosen_model(self) -> str:
        """Name of the model that is chosen."""
        return self.settings.model.value

    @property
    def chosen_model_title(self) -> str:
        """Its title in the list."""
        return self.settings.model.current_choice

    @property
    def chosen_device(self) -> str:
        """The device that is chosen."""
        return self.settings.device.value

    @property
    def chosen_speed(self) -> Speed:
        """The level of speed that is shown."""
        return self.settings.value.speed

    @property
    def chosen_precision(self) -> str:
        """The precision that is shown."""
        return self.settings.precision.value

    @property
    def models_offered(self) -> list[str]:
        """Titles of the models that can be chosen."""
        return _texts(self.settings.model)

    @property
    def devices_offered(self) -> list[str]:
        """Titles of the devices that can be chosen."""
        return _texts(self.settings.device)

    @property
    def model_use(self) -> ModelUse:
        """Model, device, precision and speed in use."""
        return self._inside.models.use

    def download_model(self) -> None:
        """Press Download."""
        self.model_section.download.click()

    def cancel_download(self) -> None:
        """Press Cancel beside it."""
        self.model_section.cancel.click()

    def unload_model(self) -> None:
        """Press Unload."""
        self.model_section.unload.click()

    @property
    def approximation_text(self) -> str:
        """What the panel says is left out for speed; empty where it says nothing."""
        label = self.model_section.approximate
        return "" if label.isHidden() else label.text()

    @property
    def download_text(self) -> str:
        """What is said of a model that is not on this computer."""
        return self.model_section.missing.text()

    @property
    def offers_download(self) -> bool:
        """Whether the button Download is there."""
        return self.model_section.download.isVisibleTo(self.widget)

    @property
    def shows_download(self) -> bool:
        """Whether the progress of a download, and Cancel, are there."""
        return self.model_section.cancel.isVisibleTo(self.widget)

    @property
    def download_progress(self) -> tuple[int, int]:
        """Megabytes that have arrived, and of how many."""
        bar = self.model_section.progress
        return bar.value(), bar.maximum()

    @property
    def model_note(self) -> str:
        """What is said of a large model; empty where nothing is said."""
        label = self.model_section.note
        return "" if label.isHidden() else label.text()

    # Prompts.

    def click(
        self,
        *position: float,
        positive: bool | None = None,
        shift: bool = False,
        ctrl: bool = False,
        object_id: int | None = None,
    ) -> None:
        """Click with the tool Points.

        Parameters
        ----------
        *position : float
            Where, in pixels of the image.
        positive : bool, optional
            Whether the click marks the object, with Shift held where that takes it; as the panel
            is set by default.
        shift, ctrl : bool
            Whether this key is held.
        object_id : int, optional
            The object to select before; the current one by default.
        """
        if object_id is not None:
            self.select_object(object_id)
        if positive is not None:
            shift = positive == self.clicks_mark_background
        held = [name for name, is_held in (("Shift", shift), ("Control", ctrl)) if is_held]
        self.drag(self.points_layer, self._world(position), modifiers=held)

    def add_point(self, *position: float) -> None:
        """Add a point to the layer, as a script or napari's own tools do."""
        self.points_layer.add(list(position))

    def move_point(self, index: int, *position: float) -> None:
        """Drag a point elsewhere with napari's tool for selecting, then take up the tool before."""
        layer = self.points_layer
        tool, layer.mode = layer.mode, "select"
        self.drag(layer, layer.data_to_world(layer.data[index]), self._world(position))
        layer.mode = tool

    def delete_point(self, index: int) -> None:
        """Select a point and delete it."""
        self.points_layer.selected_data = {index}
        self.points_layer.remove_selected()

    def draw_box(self, corner: tuple[float, ...], opposite: tuple[float, ...]) -> None:
        """Draw a box from corner to corner."""
        self.choose_tool("boxes")
        middle = tuple((np.asarray(corner) + opposite) / 2)
        self.drag(self.shapes_layer, *map(self._world, (corner, middle, opposite)))

    def scribble(self, *path: tuple[float, ...]) -> None:
        """Draw a line over an object: points along it."""
        self.choose_tool("scribble")
        self.drag(self.shapes_layer, *map(self._world, path))

    def paint(self, *path: tuple[float, ...], size: int = 5) -> None:
        """Paint the mask of the current object along a path."""
        self._stroke("brush", path, size)

    def erase(self, *path: tuple[float, ...], size: int = 5) -> None:
        """Erase masks along a path."""
        self._stroke("eraser", path, size)

    def choose_tool(self, name: str) -> None:
        """Choose "points", "boxes", "lasso", "scribble", "brush" or "eraser"."""
        self.prompt_section.tool_buttons[name].click()

    def take_up_tool(self, name: str) -> None:
        """Make the layer of a tool active and ready for it, without its button."""
        self._inside.work.edit(name)

    @property
    def tool(self) -> str | None:
        """The tool whose button is down."""
        buttons = self.prompt_section.tool_buttons.items()
        return next((name for name, button in buttons if button.isChecked()), None)

    @property
    def clicks_mark_background(self) -> bool:
        """Whether clicks mark what does not belong to the object."""
        return self.prompt_section.negative.isChecked()

    def next_object(self) -> None:
        """Begin a new object."""
        self.prompt_section.next_object.click()

    def select_object(self, object_id: int) -> None:
        """Make the next prompts for this object."""
        self.settings.object_id.value = object_id

    @property
    def current_object(self) -> int:
        """The object that the next prompts are for."""
        return self.settings.object_id.value

    def next_candidate(self) -> None:
        """Show the next of the masks that a click could mean."""
        self.prompt_section.candidate_requested.emit()

    def take_labels(self, layer: Labels | None = None) -> None:
        """Make the objects of another Labels layer prompts; of the one that is offered first."""
        if layer is not None:
            self.settings.labels_layer.value = layer
        self.prompt_section.take.click()

    @property
    def labels_to_take(self) -> Labels | None:
        """The Labels layer that is chosen for that."""
        return self.settings.labels_layer.value

    def give_masks(self, masks: Mapping[int, np.ndarray], frame: int = 0) -> None:
        """Make these masks prompts in a frame, as painting them one by one would."""
        place, _ = self._inside.work.here()
        painted = {(place, i, frame): FramePrompt(mask=mask) for i, mask in masks.items()}
        self._inside.annotation.record_change("masks", painted=painted)

    def send_prompts(self) -> None:
        """Have new marks sent to the session now, not at the end of the current event."""
        self._inside.annotation.read_layers()

    @property
    def prompts_sent(self) -> bool:
        """Whether all marks that are there have been sent."""
        return self._inside.annotation.settled

    @property
    def prompts(self) -> Any:
        """All prompts that the layers hold, by stack."""
        return self._inside.annotation.prompts

    @property
    def prompted_objects(self) -> frozenset[int]:
        """Ids of the objects that have prompts."""
        return frozenset(self.prompts.object_ids)

    @property
    def painted(self) -> Mapping[Any, Any]:
        """Masks that are prompts, by (stack, object, frame)."""
        return self._inside.work.user_state.painted

    @property
    def handed_over(self) -> frozenset[Any]:
        """Those of them that come from the volume before, as (stack, object, frame)."""
        return self._inside.work.user_state.handed

    # Found objects.

    def find_objects(self) -> None:
        """Press Find objects."""
        self.find_section.search.click()

    def find_more_like_these(self) -> None:
        """Press More like these."""
        self.find_section.like.click()

    def cancel_search(self) -> None:
        """Press Cancel beside the progress of a search."""
        self.find_section.cancel.click()

    @property
    def searching(self) -> bool:
        """Whether objects are being looked for: progress and Cancel are there."""
        return self.find_section.cancel.isVisibleTo(self.widget)

    @property
    def search_progress(self) -> int:
        """How far the search is, in percent."""
        return self.find_section.progress.value()

    @property
    def can_find(self) -> bool:
        """Whether Find objects is there and can be pressed."""
        button = self.find_section.search
        return button.isVisibleTo(self.widget) and button.isEnabledTo(self.widget)

    @property
    def search_text(self) -> str:
        """What is said of the last search, or of found objects; empty where nothing is said."""
        self._inside.show_found()
        label = self.find_section.state
        return "" if label.isHidden() else label.text()

    @property
    def choice_text(self) -> str:
        """How many similar objects would be added; empty where that is not asked."""
        label = self.find_section.choice
        return "" if label.isHidden() else label.text()

    def set_similarity(self, value: float) -> None:
        """Move the slider of how similar objects must be."""
        self.settings.similarity.value = value

    def add_similar(self) -> None:
        """Press Add."""
        self.find_section.keep.click()

    def add_no_similar(self) -> None:
        """Press None."""
        self.find_section.leave.click()

    @property
    def outlined(self) -> np.ndarray | None:
        """The layer that outlines what would be added, as an array; None where there is none."""
        found = [layer for layer in self.viewer.layers if layer.name.endswith("· found")]
        return np.array(found[0].data) if found else None

    @property
    def offers_found(self) -> bool:
        """Whether found objects can be accepted or thrown away at once."""
        self._inside.show_found()
        return self.find_section.accept.isVisibleTo(self.widget)

    def accept_found(self) -> None:
        """Press Accept all found."""
        self.find_section.accept.click()

    def discard_found(self) -> None:
        """Press Throw found away."""
        self.find_section.discard.click()

    @property
    def found(self) -> frozenset[int]:
        """Found objects of the stack in view that nobody has looked at."""
        place, _ = self._inside.work.here()
        return frozenset(e.object_id for e in self._inside.work.user_state.found_at(place))

    # Keys and mouse.

    @property
    def canvas(self) -> Any:
        """The canvas of the viewer's window, which napari keeps private."""
        return self.viewer.window._qt_viewer.canvas

    @property
    def zoom(self) -> float:
        """Screen pixels per unit of the world."""
        return self._camera.zoom

    @zoom.setter
    def zoom(self, zoom: float) -> None:
        self._camera.zoom = zoom

    def look_at(self, y: float, x: float) -> None:
        """Move the camera to a place of the world."""
        self._camera.center = (0, y, x)

    @property
    def looks_at(self) -> tuple[float, ...]:
        """The place of the world, (y, x), in the middle of the canvas."""
        return tuple(self._camera.center[-2:])

    @property
    def _camera(self) -> Any:
        return getattr(self.viewer, "scene", self.viewer).camera

    def press(self, key: str, target: Any = None) -> None:
        """Press a key over the canvas: as bound to the active layer, or to `target`."""
        if target is None:
            target = self.viewer.layers.selection.active
        found = next(each for each in target.keymap if str(each) == key)
        target.keymap[found](target)

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Hold a key over the canvas while the body of the statement runs."""
        target = self.viewer.layers.selection.active
        found = next(each for each in target.keymap if str(each) == key)
        held = target.keymap[found](target)
        next(held)
        yield
        assert next(held, None) is None

    def drag(self, layer: Layer, *path: tuple[float, ...], modifiers: Sequence[str] = ()) -> None:
        """Press, drag and release at world positions, as napari's canvas hands it to a layer."""
        kinds = ["mouse_press", *["mouse_move"] * (len(path) - 1), "mouse_release"]
        for kind, position in zip(kinds, [*path, path[-1]], strict=True):
            event = read_only_mouse_event(
                type=kind,
                is_dragging=kind == "mouse_move",
                modifiers=list(modifiers),
                position=position,
                pos=np.asarray(position[-2:], float) * 10,
                view_direction=None,
                dims_displayed=list(self.viewer.dims.displayed),
            )
            _MOUSE[kind](layer, event)

    # Objects.

    @property
    def object_rows(self) -> list[tuple[str, ...]]:
        """Texts of the table: id, name, prompts, frames, lowest score, accepted frames."""
        self._inside.show_objects()
        model = self.object_section.model
        columns = range(len(COLUMNS))
        return [
            tuple(model.data(model.index(row, column)) for column in columns)
            for row in range(model.rowCount())
        ]

    def sort_by(self, title: str) -> None:
        """Click the title of a column of the table, once it shows what is known."""
        self._inside.show_objects()
        titles = [column.title for column in COLUMNS]
        self.object_section.table.horizontalHeader().sectionClicked.emit(titles.index(title))

    @property
    def table_titles(self) -> list[str]:
        """Titles of the columns of the table."""
        model = self.object_section.model
        return [model.horizontalHeaderItem(column).text() for column in range(len(COLUMNS))]

    @property
    def objects_in_order(self) -> tuple[int, ...]:
        """Ids of the objects as the table lists them."""
        self._inside.show_objects()
        return self.object_section.order

    def select_rows(self, *rows: int) -> None:
        """Select these rows of the table, and no other."""
        self._inside.show_objects()
        table, flags = self.object_section.table, QItemSelectionModel.SelectionFlag
        table.clearSelection()
        for row in rows:
            table.selectionModel().select(table.model().index(row, 0), flags.Select | flags.Rows)

    @property
    def selected_objects(self) -> tuple[int, ...]:
        """Objects whose rows are selected."""
        return self.object_section.chosen

    def rename(self, object_id: int, name: str) -> None:
        """Name an object in the table."""
        self.object_section.rename_requested.emit(object_id, name)

    def edit_name(self, row: int, text: str) -> None:
        """Type a name into the table."""
        model = self.object_section.model
        model.setData(model.index(row, NAME), text)

    def hide(self, row: int, hidden: bool = True) -> None:
        """Untick a row of the table, or tick it."""
        model = self.object_section.model
        state = Qt.CheckState.Unchecked if hidden else Qt.CheckState.Checked
        model.setData(model.index(row, ID), state, Qt.ItemDataRole.CheckStateRole)

    def is_hidden(self, row: int) -> bool:
        """Whether the row is not ticked."""
        return self.object_section.model.item(row, ID).checkState() == Qt.CheckState.Unchecked

    def delete(self, *object_ids: int) -> None:
        """Delete objects; those that are selected by default."""
        if object_ids:
            self.object_section.delete_requested.emit(object_ids)
        else:
            self.object_section.delete.click()

    def merge(self, *object_ids: int) -> None:
        """Merge objects into the first one; those that are selected by default."""
        if object_ids:
            self.object_section.merge_requested.emit(object_ids[0], object_ids[1:])
        else:
            self.object_section.merge.click()

    def split(self, object_id: int | None = None) -> None:
        """Split an object off from the frame in view on; the selected one by default."""
        if object_id is None:
            self.object_section.split.click()
        else:
            self.object_section.split_requested.emit(object_id)

    @property
    def object_actions(self) -> tuple[bool, bool, bool]:
        """Whether Delete, Merge and Split off can be pressed."""
        section = self.object_section
        return section.delete.isEnabled(), section.merge.isEnabled(), section.split.isEnabled()

    @property
    def names(self) -> dict[int, str]:
        """Names that were given to objects."""
        return dict(self._inside.work.user_state.names)

    # Propagation.

    def propagate(self, direction: str = "both") -> None:
        """Press the button "forward", "backward" or "both"."""
        buttons = {
            "forward": self.propagation_section.forward,
            "backward": self.propagation_section.backward,
            "both": self.propagation_section.both,
        }
        buttons[direction].click()

    @property
    def can_propagate(self) -> bool:
        """Whether these buttons can be pressed."""
        return self.propagation_section.both.isEnabled()

    @property
    def running(self) -> bool:
        """Whether a propagation is under way, held or not."""
        return self._inside.controller.running

    def cancel(self) -> None:
        """Press Cancel: the propagation stops within a frame."""
        self.propagation_section.cancel.click()

    def pause(self) -> None:
        """Press Pause, or Resume."""
        self.propagation_section.pause.click()

    @property
    def pause_text(self) -> str:
        """What that button says."""
        return self.propagation_section.pause.text()

    @property
    def frames_done(self) -> int:
        """How far the progress bar is."""
        return self.propagation_section.progress.value()

    @property
    def frames_to_do(self) -> int:
        """Where it ends."""
        return self.propagation_section.progress.maximum()

    @property
    def progress_text(self) -> str:
        """What it says."""
        return self.propagation_section.progress.format()

    @property
    def shows_progress(self) -> bool:
        """Whether the progress bar is there."""
        return self.propagation_section.progress.isVisibleTo(self.widget)

    def choose_range(self, first: int, last: int) -> None:
        """Choose first and last frame."""
        self.settings.first.value, self.settings.last.value = first, last

    def choose_range_from_here(self) -> None:
        """Press From here."""
        self.propagation_section.from_here.click()

    def choose_whole_range(self) -> None:
        """Press All."""
        self.propagation_section.whole.click()

    @property
    def range(self) -> tuple[int, int]:
        """First and last frame that are chosen."""
        return self.settings.first.value, self.settings.last.value

    def tick_only_current_object(self) -> None:
        """Carry no other object than the current one."""
        self.settings.only_current.native.click()

    def tick_recompute(self) -> None:
        """Compute also what is up to date."""
        self.settings.recompute.native.click()

    def choose_next_volume(self, way: Any) -> None:
        """Choose how to go on after a volume: a `Through`, or None."""
        _choose(self.settings.then, way)

    @property
    def next_volumes_offered(self) -> list[str]:
        """How one can go on after a volume; empty where that is not asked."""
        field = self.settings.then
        visible = field.native.isVisibleTo(self.propagation_section)
        return _texts(field) if visible else []

    @property
    def chosen_next_volume(self) -> Any:
        """Which of them is chosen."""
        return self.settings.then.value

    @contextmanager
    def cancelling_between_volumes(self) -> Iterator[None]:
        """Cancel each run right after a volume has been handed over to the next one."""
        controller, original = self._inside.annotation, self._inside.annotation.hand_over

        def hand_over(*arguments: Any) -> None:
            original(*arguments)
            self._inside.propagation.cancel()

        controller.hand_over = hand_over
        try:
            yield
        finally:
            del controller.hand_over

    # Review.

    def accept(self, what: str = "here") -> None:
        """Accept "here", "frame", "object" or "all", by the menu of the button."""
        titles = {
            "here": "This object in this frame",
            "frame": "All objects in this frame",
            "object": "This object in all frames",
            "all": "Everything",
        }
        (action,) = [a for a in self.review_section.menu.actions() if a.text() == titles[what]]
        action.trigger()

    @property
    def accepted(self) -> frozenset[Any]:
        """All that is accepted, as (stack, object, frame)."""
        return self._inside.work.user_state.accepted

    @property
    def timeline(self) -> ObjectSeries:
        """Scores, areas and marks of the current object, by frame."""
        self._inside.show_review()
        return self.review_section.timeline.series

    @property
    def timeline_widget(self) -> Timeline:
        """The widget that draws it, brought up to date."""
        self._inside.show_review()
        return self.review_section.timeline

    @property
    def summary(self) -> str:
        """What the panel says of the frame in view."""
        return self.review_section.summary.text()

    def go_to(self, frame: int) -> None:
        """Click a frame of the timeline."""
        self.review_section.timeline.frame_requested.emit(frame)

    @property
    def frame(self) -> int:
        """Frame of the stack that is in view."""
        return self._inside.work.here()[1]

    @property
    def stack_in_view(self) -> Any:
        """The stack that is in view, as pairs of axis and index of all other sliders."""
        return self._inside.work.here()[0]

    def records_of(self, object_id: int) -> dict[int, FrameRecord]:
        """Return what is known of an object in the stack in view, by frame."""
        records = self._inside.annotation.object_records.records(self.stack_in_view, object_id)
        return {record.frame: record for record in records}

    def frames_of(self, object_id: int) -> list[int]:
        """Return the frames of the stack in view that an object is known to be in."""
        return list(self._inside.annotation.object_records.frames(self.stack_in_view, object_id))

    def outdated_of(self, object_id: int) -> frozenset[int]:
        """Return the frames of an object whose masks are marked as out of date."""
        known = self._inside.annotation.object_records.outdated(self.stack_in_view)
        return known.get(object_id, frozenset())

    def put_records(self, *records: FrameRecord) -> None:
        """Have the panel know this of the stack in view, as if a session had found it."""
        self._inside.annotation.object_records.put(self.stack_in_view, records)

    # Undo and redo.

    def undo(self) -> None:
        """Press Undo."""
        self._inside.show_due()
        self._history.undo.click()

    def redo(self) -> None:
        """Press Redo."""
        self._inside.show_due()
        self._history.redo.click()

    @property
    def can_undo(self) -> bool:
        """Whether there is a step that can be undone."""
        self._inside.show_due()
        return self._history.undo.isEnabled()

    @property
    def can_redo(self) -> bool:
        """Whether there is a step that can be redone."""
        self._inside.show_due()
        return self._history.redo.isEnabled()

    @property
    def undo_text(self) -> str:
        """Tooltip of Undo: the step that it takes back."""
        self._inside.show_due()
        return self._history.undo.toolTip()

    @property
    def undo_texts(self) -> list[str]:
        """Titles of all steps that can be undone, oldest first."""
        return [step.title for step in self._inside.annotation.undo_stack._done]

    def limit_undo_of_worker(self, steps: int) -> None:
        """Have the worker remember no more than so many steps from now on."""
        self._inside.session_worker._history = History(steps, 2**20)

    # Adaptation of the model.

    def ask_for_adaptation(self) -> None:
        """Press Adapt…, which asks before it begins."""
        self._inside.show_due()
        self.adaptation_section.adapt.click()

    def begin_adaptation(self, minutes: float | None = None) -> None:
        """Press Adapt…, then Adapt; or adapt for so many minutes, also fewer than can be chosen."""
        if minutes is None:
            self.ask_for_adaptation()
            self.adaptation_section.begin.click()
        else:
            self.adaptation_section.adapt_requested.emit(minutes)

    def cancel_adaptation(self) -> None:
        """Press Cancel."""
        self.adaptation_section.cancel.click()

    @property
    def adapting(self) -> bool:
        """Whether the model is learning, or about to."""
        return self._inside.adapting.busy

    @property
    def offers_adaptation(self) -> bool:
        """Whether the button Adapt… is there."""
        return self.adaptation_section.adapt.isVisibleTo(self.adaptation_section)

    @property
    def adaptation_text(self) -> str:
        """What is said beside that button."""
        return self.adaptation_section.state.text()

    @property
    def adaptation_progress(self) -> str:
        """What its progress bar says."""
        return self.adaptation_section.progress.format()

    @property
    def can_adapt(self) -> bool:
        """Whether that button can be pressed."""
        self._inside.show_due()
        return self.adaptation_section.adapt.isEnabled()

    @property
    def adaptation_tooltip(self) -> str:
        """Tooltip of that button."""
        self._inside.show_due()
        return self.adaptation_section.adapt.toolTip()

    @property
    def adaptation_question(self) -> str:
        """What is asked before it begins; empty where nothing is asked."""
        label = self.adaptation_section.question
        return "" if label.isHidden() else label.text()

    @property
    def adaptation_minutes(self) -> float:
        """How long it may take."""
        return self.settings.minutes.value

    def refuse_adaptation(self) -> None:
        """Press Not now."""
        self.adaptation_section.leave.click()

    @property
    def adaptation_parts_done(self) -> int:
        """How far it is, in thousandths."""
        return self.adaptation_section.progress.value()

    @property
    def can_cancel_adaptation(self) -> bool:
        """Whether its Cancel can be pressed."""
        return self.adaptation_section.cancel.isEnabled()

    def pretend_official_model(self, monkeypatch: Any) -> None:
        """Have the chosen model taken for one of the official ones, which are not here."""
        monkeypatch.setattr(type(self._inside.models), "is_official", True)

    def take_scores_for_low_below(self, score: float, monkeypatch: Any) -> None:
        """Have scores below this count as low, so that adapting is proposed in the hint."""
        monkeypatch.setattr("napari_sam2.widgets.state.hints.LOW_SCORE", score)

    # Sessions and files.

    def resume(self) -> None:
        """Go on with the earlier work that is offered."""
        self._offer.resume.click()

    @property
    def offers_to_resume(self) -> bool:
        """Whether earlier work is offered."""
        return not self._offer.isHidden()

    @property
    def offer_text(self) -> str:
        """What is said of it."""
        return self._offer.text.text()

    def open_session(self, path: Path) -> None:
        """Open a session file."""
        self.widget.open_requested.emit(path)

    def keep_session_in(self, path: Path) -> None:
        """Keep the session in this file from now on."""
        self.save_section.session_requested.emit(path)

    def tick_autosave(self, ticked: bool) -> None:
        """Have the session kept at every change, or not."""
        self.settings.autosave.native.setChecked(ticked)

    def save_labels(self, path: Path) -> None:
        """Write the labels to this file."""
        self.save_section.labels_requested.emit(path)

    def press_save_labels(self) -> None:
        """Press Labels as…, which asks for a file."""
        self.save_section.labels.click()

    @property
    def can_save_labels(self) -> bool:
        """Whether that button can be pressed."""
        return self.save_section.labels.isEnabled()

    @property
    def saving_labels(self) -> bool:
        """Whether it is shown how far the labels are written."""
        inside = self.save_section.body.parentWidget()  # also where it is folded away
        return self.save_section.cancel.isVisibleTo(inside)

    def cancel_saving(self) -> None:
        """Press Cancel: write the labels no further."""
        self.save_section.cancel.click()

    @property
    def result_files(self) -> Any:
        """The buttons for tracks, measurements and movies."""
        return self.save_section.results

    def save_tracks(self, kind: Any, path: Path) -> None:
        """Write tracks to this file or folder."""
        self.result_files.tracks_requested.emit(kind, path)

    def save_measurements(self, path: Path) -> None:
        """Write the table of measurements to this file."""
        self.result_files.measurements_requested.emit(path)

    def save_movie(
        self, path: Path, *, names: bool = False, spotlight: bool = False, follow: bool = False
    ) -> None:
        """Tick what the movie is to show, and write it to this file."""
        self.result_files.names.setChecked(names)
        self.result_files.spotlight.setChecked(spotlight)
        self.result_files.follow.setChecked(follow)
        self.result_files.movie_requested.emit(path)

    def press_save_result(self, what: str) -> None:
        """Press "tracks", "measurements" or "movie", which asks for a file."""
        getattr(self.result_files, what).click()

    @property
    def saving_results(self) -> bool:
        """Whether it is shown how far a file of results is written."""
        return self.result_files.cancel.isVisibleTo(self.result_files)

    @property
    def results_section(self) -> Any:
        """The part with tracks, measurements and divisions."""
        return self.widget.results

    def tick_tracks(self, ticked: bool = True) -> None:
        """Have a Tracks layer, or no more."""
        self.results_section.tracks.setChecked(ticked)

    def tick_measuring(self, ticked: bool = True) -> None:
        """Have the features table and the plot filled, or no more."""
        self.results_section.measuring.setChecked(ticked)

    def divide(self) -> None:
        """Press Divides here."""
        self.results_section.divide.click()

    def undivide(self) -> None:
        """Press No division."""
        self.results_section.undivide.click()

    def find_divisions(self) -> None:
        """Press Find divisions."""
        self.results_section.search.click()

    def cancel_divisions(self) -> None:
        """Press the same button while divisions are looked for."""
        self.results_section.search.click()

    @property
    def divisions_button(self) -> str:
        """Text of that button."""
        return self.results_section.search.text()

    def answer_division(self, accepted: bool) -> None:
        """Press Accept, or Refuse, beside a proposed division."""
        section = self.results_section
        (section.accept if accepted else section.refuse).click()

    @property
    def proposed_division(self) -> str:
        """What is proposed; empty where nothing is."""
        return self.results_section.proposal.text()

    @property
    def divisions(self) -> tuple[Any, ...]:
        """Divisions in the stack in view."""
        return self._inside.annotation.annotations(self.stack_in_view).divisions

    def choose_plotted_column(self, name: str) -> None:
        """Choose what is plotted."""
        box = self.results_section.column
        box.setCurrentText(name)
        box.textActivated.emit(name)

    def cancel_results(self) -> None:
        """Press Cancel: write the file of results no further."""
        self.result_files.cancel.click()

    def unfold_save(self) -> None:
        """Show the part about files."""
        self.save_section.open(True)

    @property
    def session_text(self) -> str:
        """What is said of the file that the session is kept in."""
        return self.save_section.state.text().replace("\u200b", "")  # it may wrap there

    @property
    def session_path(self) -> str:
        """Path of that file, as its tooltip says."""
        return self.save_section.state.toolTip()

    @property
    def unsaved(self) -> str:
        """What would be asked about before napari is closed; empty where nothing would be."""
        return self._inside.keeping.unsaved

    @property
    def save_title(self) -> str:
        """Title of the part about files."""
        return self.save_section.title.text()

    @property
    def session_place(self) -> tuple[str, tuple[Path, ...]]:
        """Name of the image for its files, and the folders to try for them."""
        return self._inside.keeping.name_and_folders()

    def saved_sessions(self) -> dict[Any, Any]:
        """Return what would be written of each stack now, as session files."""
        works = self._inside.keeping._works(self._inside.work)
        return {place: session_file(work) for place, work in works.items()}

    def resumed_state(self, sessions: Mapping[Any, Any]) -> Any:
        """Return what the window would hold after resuming from these session files."""
        return resumed_state(self._inside.work, sessions)

    @property
    def annotations(self) -> Any:
        """What was decided besides points and shapes: masks, acceptance, names."""
        return self._inside.work.user_state

    @property
    def state(self) -> Any:
        """Points, shapes and annotations as one value."""
        return self._inside.work.state()

    @property
    def session(self) -> Any:
        """The session that the worker has open."""
        return self._inside.session_worker._handler.session

    # Details.

    def _channel_box(self, place: int) -> Any:
        fields = self.settings
        return (fields.channel, fields.channel_2, fields.channel_3)[place - 1]

    def _world(self, position: tuple[float, ...]) -> tuple[float, ...]:
        if self.started:
            return tuple(self._inside.work.drawn.to_world(position))
        return tuple(self._image_for_positions.data_to_world(position))

    @property
    def _image_for_positions(self) -> Image:
        image = self.image_layer if self.started else self.chosen_image
        assert image is not None, "there is no image"
        return image

    def _stroke(self, tool: str, path: tuple[tuple[float, ...], ...], size: int) -> None:
        self.choose_tool(tool)
        self.labels_layer.brush_size = size
        self.drag(self.labels_layer, *map(self._world, path))


_MOUSE = {
    "mouse_press": mouse_press_callbacks,
    "mouse_move": mouse_move_callbacks,
    "mouse_release": mouse_release_callbacks,
}


def _choose(field: Any, value: Any) -> None:
    """Choose an item of a combo box as the user does."""
    index = field.choices.index(value)
    field.native.setCurrentIndex(index)
    field.native.activated.emit(index)


def _texts(field: Any) -> list[str]:
    """Return the texts of a combo box."""
    box = field.native
    return [box.itemText(i) for i in range(box.count())]
