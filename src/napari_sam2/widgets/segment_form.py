"""The dock widget `SegmentForm`, magicgui's form of `segment_stack`, and its worker thread."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from magicgui.widgets import FunctionGui, Label, LiteralEvalLineEdit, ProgressBar, PushButton
from napari.layers import Labels
from qtpy.QtCore import QCoreApplication, QEvent, QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import Sam2Error
from napari_sam2.types import Direction
from napari_sam2.widgets.layers.image_axes import guess_video_axis, other_axes, video_axes
from napari_sam2.widgets.scripting.job import ScriptJob, read_job
from napari_sam2.widgets.scripting.run import ScriptResult, run_job
from napari_sam2.widgets.segment_stack import as_layer, segment_stack
from napari_sam2.widgets.state.model_catalog import ModelEntry, file_entry, is_checkpoint
from napari_sam2.widgets.state.settings import AUTO, ModelUse, read_defaults
from napari_sam2.widgets.views.base import end_with_python
from napari_sam2.widgets.views.fields import KINDS, PRECISIONS, SPEEDS, device_titles
from napari_sam2.widgets.views.notifications import show_problem, show_skipped
from napari_sam2.widgets.worker.model_fetcher import ModelFetcher, Sources
from napari_sam2.widgets.worker.session_factory import SessionFactory
from napari_sam2.widgets.worker.session_protocol import SessionOpener
from napari_sam2.widgets.worker.thread import Worker, readable

_REPORT_EVERY_S = 0.1


class ScriptWorker(QObject):
    """Does one job at a time, off the main thread.

    Parameters
    ----------
    open_session : callable
        See `SessionOpener`.

    Signals
    -------
    moved(int, int)
        So many frames of so many are done.
    ended(ScriptResult or Exception)
        The job is over.
    """

    moved = Signal(int, int)
    ended = Signal(object)

    def __init__(self, open_session: SessionOpener) -> None:
        super().__init__()
        self._open_session = open_session
        self._cancelled = threading.Event()
        self._closed = False

    def start(self, job: ScriptJob) -> None:
        """Begin with a job."""
        self._cancelled.clear()
        worker = Worker("script", on_exit=self.cancel, on_end=lambda: None)
        worker.submit(lambda: self._work(job, worker))

    def cancel(self) -> None:
        """Stop within one frame."""
        self._cancelled.set()

    def close(self) -> None:
        """Stop, and tell nothing any more."""
        self._closed = True
        self.cancel()

    # Below: worker thread only.

    def _work(self, job: ScriptJob, worker: Worker) -> None:
        last = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if not self._closed and now - last > _REPORT_EVERY_S:
                last = now
                self.moved.emit(done, total)

        outcome: object
        try:
            outcome = run_job(job, self._open_session, tell, self._cancelled.is_set)
        except Exception as error:  # nothing may get lost: all errors reach the user
            outcome = readable(error)
        worker.close()
        if not self._closed:
            self.ended.emit(outcome)


_DIRECTIONS = (
    ("both ways", Direction.BOTH),
    ("forward", Direction.FORWARD),
    ("backward", Direction.BACKWARD),
)


@dataclass
class _Offers:
    """What the lists of the form hold besides layers."""

    models: list[tuple[str, str]]
    devices: list[tuple[str, str]]
    axes: list[tuple[str, int | None]] = field(default_factory=list)
    ways_on: list[tuple[str, int]] = field(default_factory=list)


class SegmentForm(FunctionGui):
    """Fields for the parameters of `segment_stack`, and a button that has it done meanwhile.

    Calling the form does the same as its button: it returns None at once, and the layer comes
    with the signal ``called``. Docked in a viewer, the form adds it there.

    Parameters
    ----------
    open_session : callable, optional
        See `SessionOpener`; real sessions by default.
    sources : Sources, optional
        Where it learns about models.
    """

    def __init__(
        self, open_session: SessionOpener | None = None, sources: Sources | None = None
    ) -> None:
        defaults = read_defaults()
        offers = _Offers([_titled(defaults.model)], device_titles([defaults.device]))
        super().__init__(
            segment_stack, call_button="Segment", param_options=_fields(offers, defaults)
        )
        self._offers = offers
        self._job: ScriptJob | None = None
        self._bar = ProgressBar(name="progress", label="", visible=False, gui_only=True)
        self.cancel_button = PushButton(
            name="cancel_button", text="Cancel", visible=False, gui_only=True
        )
        self.cancel_button.tooltip = "Stop within one frame. The frames that are done are kept."
        self.extend([self._bar, self.cancel_button])
        note = Label(name="points_note", label="", value=_POINTS_NOTE, gui_only=True)
        note.tooltip = "What one point of the points layer means."
        self.insert(self.index(self["points"]) + 1, note)
        self.cancel_button.changed.connect(lambda _: self.cancel())
        self.axis.null_string = "guessed"
        self.kind.null_string = "as the axis is called"
        self.kind.reset_choices()
        for layers in (self["points"], self["shapes"], self["labels"]):
            layers.null_string = "none"
            layers.reset_choices()
        self.through.null_string = "no other axis"
        self.image.changed.connect(lambda _: self._offer_axes())
        self.axis.changed.connect(lambda _: self._offer_ways_on())
        self._offer_axes()
        self._worker = ScriptWorker(open_session or SessionFactory())
        self._worker.moved.connect(self._moved, Qt.ConnectionType.QueuedConnection)
        self._worker.ended.connect(self._ended, Qt.ConnectionType.QueuedConnection)
        self._fetcher = ModelFetcher(sources)
        self._fetcher.entries_found.connect(self._offer_models)
        self._fetcher.devices_found.connect(self._offer_devices)
        self._fetcher.failed.connect(show_problem)
        self._fetcher.survey()
        self._closed = False
        self._watch = _Watch(self)

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._job is not None

    @property
    def closed(self) -> bool:
        """Whether the form has left its window for good."""
        return self._closed

    def __call__(self, *args: Any, **values: Any) -> None:
        """Segment what is chosen, or what is given instead; returns at once."""
        if self.busy:
            return
        bound = self.__signature__.bind(*args, **values)
        bound.apply_defaults()
        try:
            self._job = read_job(**bound.arguments)
        except Sam2Error as error:
            show_problem(error)
            return
        self._show_running(True)
        self._worker.start(self._job)

    def cancel(self) -> None:
        """Stop within one frame; what is done becomes a layer all the same."""
        self.cancel_button.enabled = False
        self._worker.cancel()

    def close_down(self) -> None:
        """Stop for good: the form is leaving its window."""
        self._closed = True
        self._worker.close()
        self._fetcher.close()

    def _moved(self, done: int, total: int) -> None:
        if not self._closed:
            self._bar.max, self._bar.value = total, done

    def _ended(self, outcome: ScriptResult | Exception) -> None:
        job, self._job = self._job, None
        if self._closed or job is None:
            return
        self._show_running(False)
        if isinstance(outcome, Exception):
            show_problem(outcome)
            return
        for error in outcome.refused[:1]:
            show_problem(error)
        if outcome.skipped:
            show_skipped(outcome.skipped)
        if outcome.complete or outcome.labels.any():
            self._hand_out(as_layer(job, outcome))

    def _hand_out(self, layer: Labels) -> None:
        """Do what magicgui does with the value of a function: napari adds the layer."""
        for callback in self._type_map.type2callback(Labels):
            callback(self, layer, Labels)
        self.called.emit(layer)

    def _show_running(self, running: bool) -> None:
        self._bar.max, self._bar.value = 0, 0  # a bar without a total
        self._bar.visible = self.cancel_button.visible = running
        self.cancel_button.enabled = True
        if self.call_button is not None:
            self.call_button.visible = not running

    def _offer_axes(self) -> None:
        image = self.image.value
        self._offers.axes = [] if image is None or image.ndim < 3 else video_axes(image)
        self.axis.reset_choices()
        self._offer_ways_on()

    def _offer_ways_on(self) -> None:
        image, axis = self.image.value, self.axis.value
        if image is not None and axis is None:
            axis = guess_video_axis(image)
        self._offers.ways_on = [] if image is None else other_axes(image, axis)
        self.through.reset_choices()

    def _offer_models(self, entries: tuple[ModelEntry, ...]) -> None:
        if not self._closed:
            models = [(each.title, each.name) for each in entries if each.present]
            chosen = self.model.value
            self._offers.models = models + [_titled(chosen)] * is_checkpoint(chosen)
            self.model.reset_choices()

    def _offer_devices(self, names: tuple[str, ...]) -> None:
        if not self._closed:
            self._offers.devices = device_titles([AUTO, *names])
            self.device.reset_choices()


def _fields(offers: _Offers, defaults: ModelUse) -> dict[str, dict[str, Any]]:
    """Say how each parameter is shown; the lists are those of `offers` at the time."""
    texts = {
        "image": "Image",
        "points": "Points",
        "shapes": "Shapes",
        "labels": "Labels",
        "model": "Model",
        "device": "Device",
        "axis": "Video axis",
        "kind": "Frames are",
        "direction": "Direction",
        "through": "Then go on along",
        "speed": "Speed",
        "precision": "Precision",
    }
    options: dict[str, dict[str, Any]] = {
        "model": {"choices": lambda _: offers.models, "value": defaults.model},
        "device": {"choices": lambda _: offers.devices, "value": defaults.device},
        "axis": {"choices": lambda _: offers.axes},
        "kind": {"choices": KINDS},
        "direction": {"choices": _DIRECTIONS},
        "through": {"choices": lambda _: offers.ways_on},
        "speed": {"choices": SPEEDS, "value": defaults.speed},
        "precision": {"choices": PRECISIONS, "value": defaults.precision},
        # For calls only: lists of layers and numbers make no calm fields.
        "channels": {"widget_type": LiteralEvalLineEdit, "bind": (), "visible": False},
        "region": {"widget_type": LiteralEvalLineEdit, "bind": None, "visible": False},
    }
    return {
        name: {"label": texts[name]} | options.get(name, {}) if name in texts else options[name]
        for name in (*texts, *(each for each in options if each not in texts))
    }


_POINTS_NOTE = "Each point is an object, unless the layer\nhas a feature “object” with its number."


def _titled(model: str) -> tuple[str, str]:
    return (file_entry(model).title if is_checkpoint(model) else model), model


class _Watch(QObject):
    """Ends the work of a form when its dock lets go of it, or napari or Python ends."""

    def __init__(self, form: SegmentForm) -> None:
        super().__init__()
        self._form, self._docked = form, False
        form.native.installEventFilter(self)
        form.native.destroyed.connect(form.close_down)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(form.close_down)
        end_with_python(form.native, form.close_down)

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:
        """See the form come and go."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            parent = self._form.native.parent()
            if self._docked and parent is None:
                self._form.close_down()
            self._docked = parent is not None
        return False
