"""The section of the model: model, device, precision, speed.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QLabel, QProgressBar

from napari_sam2.types import Speed
from napari_sam2.widgets.state.model_catalog import CHECKPOINT_SUFFIXES, ModelEntry
from napari_sam2.widgets.state.settings import AUTO, ModelUse
from napari_sam2.widgets.views.base import Choice, Fold, Section, button, row

SPEEDS = (
    ("exact", Speed.EXACT),
    ("balanced (approximate)", Speed.BALANCED),
    ("fastest (approximate)", Speed.FASTEST),
)
"""Levels of speed, each with a title."""

PRECISIONS = (
    ("automatic", AUTO),
    ("float32 (full)", "float32"),
    ("bfloat16 (half)", "bfloat16"),
)
"""What a model computes in, each with a title."""

_IN_GENERAL = {
    Speed.BALANCED: "a smaller input, where the model allows, and fewer memories",
    Speed.FASTEST: "a small input, windows around the objects and few memories",
}


class SpeedSection(Fold):
    """Chooses a level of speed and a precision."""

    def __init__(self) -> None:
        super().__init__("Speed and precision")
        self.speeds = Choice(
            "Exact computes what the model was trained to. Balanced makes its input smaller and "
            "remembers fewer frames; fastest sees small windows that follow the objects and "
            "remembers least. What is left out with this model is said below."
        )
        self.precisions = Choice(
            "Automatic takes bfloat16 on graphics cards that compute it natively, and float32 "
            "elsewhere. Masks may differ by a few pixels between the two."
        )
        self.speeds.offer(SPEEDS, Speed.EXACT)
        self.precisions.offer(PRECISIONS, AUTO)
        self.add_row("Speed", self.speeds)
        self.add_row("Precision", self.precisions)

    @property
    def speed(self) -> Speed:
        """The level that is shown."""
        return Speed(self.speeds.value)

    def show_use(self, use: ModelUse) -> None:
        """Show what is chosen."""
        self.speeds.choose(use.speed)
        self.precisions.choose(use.precision)

    def what_is_left_out(self, said: tuple[str, ...] | None) -> str:
        """Say what the level leaves out: as a session said, or in general; empty if exact."""
        speed = self.speed
        if speed is Speed.EXACT:
            return ""
        if said is None:
            return f"{speed.capitalize()}: approximated with {_IN_GENERAL[speed]}."
        if not said:
            return f"{speed.capitalize()}: with this model nothing is left out."
        return f"{speed.capitalize()}: approximated with {', '.join(said)}."


_DEVICE_TITLES = {
    "auto": "automatic",
    "cpu": "processor (cpu)",
    "cuda": "NVIDIA GPU (cuda)",
    "mps": "Apple GPU (mps)",
}
_MEGA = 1_000_000
_LARGE = 300 * _MEGA
_FROM_FILE = "\0file"


class ModelSection(Section):
    """Chooses a model and how it computes.

    Signals
    -------
    model_requested(str), device_requested(str), precision_requested(str), speed_requested(Speed)
        The user chose another one.
    file_requested(Path)
        The user chose a checkpoint of their own.
    unload_requested()
        The user wants the memory of the model freed.
    download_requested(str)
        The user wants this model fetched.
    download_cancel_requested()
        The user does not want it any more.
    """

    model_requested = Signal(str)
    device_requested = Signal(str)
    precision_requested = Signal(str)
    speed_requested = Signal(object)
    file_requested = Signal(object)
    unload_requested = Signal()
    download_requested = Signal(str)
    download_cancel_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Model")
        self.models = Choice(
            "The network that segments. The bundled one is part of the plugin and works offline; "
            "the official SAM 2 models are larger and are downloaded when you ask for it."
        )
        self.devices = Choice("Where to compute: automatic takes the best of this computer.")
        self.add_row("Model", self.models)
        self.unload = button(
            "Unload", "Free the memory of the model. The next prompt or run loads it again."
        )
        self.add_row("Device", self.devices, self.unload, stretch=(1,))
        self.pace = SpeedSection()
        self.approximate = QLabel()
        self.approximate.setWordWrap(True)
        self.approximate.setToolTip("What is given for speed. Choose exact to leave nothing out.")
        self.note = QLabel()
        self.note.setWordWrap(True)
        for part in (self.pace, self.approximate, self.note):
            self.body.addWidget(part)
        self.missing = QLabel()
        self.missing.setWordWrap(True)
        self.download = button("Download", "Fetch the model from its publisher, once.")
        self.progress = QProgressBar()
        self.progress.setToolTip("How much of the model has arrived.")
        self.cancel = button("Cancel", "Stop the download; it goes on from here next time.")
        self._asking = row(self.missing, self.download, stretch=(1,))
        self._fetching = row(self.progress, self.cancel, stretch=(1,))
        self.body.addWidget(self._asking)
        self.body.addWidget(self._fetching)
        self._downloading: str | None = None
        self._current = ""
        self._entries: dict[str, ModelEntry] = {}
        self._connect()
        self._show_rows()

    @property
    def downloading(self) -> bool:
        """Whether a download is shown."""
        return self._downloading is not None

    def show_models(self, entries: tuple[ModelEntry, ...], current: str) -> None:
        """Offer these models."""
        self._entries = {entry.name: entry for entry in entries}
        self._current = current
        items = [(_title(entry), entry.name) for entry in entries]
        self.models.offer([*items, ("From file…", _FROM_FILE)], current)
        for index, entry in enumerate(entries):
            self.models.setItemData(index, _tooltip(entry), 3)  # Qt.ToolTipRole
        self._show_rows()

    def show_use(self, use: ModelUse) -> None:
        """Show this as what is chosen."""
        self._current = use.model
        self.models.choose(use.model)
        self.devices.choose(use.device)
        self.pace.show_use(use)
        self.show_approximations(None)
        self._show_rows()

    def show_approximations(self, said: tuple[str, ...] | None) -> None:
        """Say what the chosen speed leaves out; None: not known before a session is open."""
        text = self.pace.what_is_left_out(said)
        self.approximate.setText(text)
        self.approximate.setVisible(bool(text))

    def show_devices(self, names: tuple[str, ...], current: str) -> None:
        """Offer these devices."""
        self.devices.offer(device_titles(names), current)

    def show_download(self, name: str | None, done: int = 0, total: int = 0) -> None:
        """Show how far the download of a model is; `name` None: there is none."""
        self._downloading = name
        # Qt counts in 32-bit integers: megabytes, not bytes.
        self.progress.setRange(0, total // _MEGA)
        self.progress.setValue(done // _MEGA)
        self.progress.setFormat(f"%v of %m MB of {name}" if total else f"{done // _MEGA} MB")
        self._show_rows()

    def _connect(self) -> None:
        self.models.activated.connect(lambda _: self._model_used())
        self.unload.clicked.connect(lambda _checked: self.unload_requested.emit())
        self.devices.activated.connect(lambda _: self.device_requested.emit(self.devices.value))
        pace = self.pace
        pace.speeds.activated.connect(lambda _: self.speed_requested.emit(pace.speeds.value))
        pace.precisions.activated.connect(
            lambda _: self.precision_requested.emit(pace.precisions.value)
        )
        self.download.clicked.connect(lambda: self.download_requested.emit(self.models.value))
        self.cancel.clicked.connect(self.download_cancel_requested)

    def _model_used(self) -> None:
        if self.models.value != _FROM_FILE:
            self.model_requested.emit(self.models.value)
            return
        self.models.choose(self._current)
        kinds = " ".join(f"*{suffix}" for suffix in CHECKPOINT_SUFFIXES)
        chosen, _ = QFileDialog.getOpenFileName(self, "Choose a model", "", f"Models ({kinds})")
        if chosen:
            self.file_requested.emit(Path(chosen))

    def _show_rows(self) -> None:
        entry = self._entries.get(self.models.value or "")
        large = entry is not None and (entry.size_bytes or 0) >= _LARGE
        self.note.setVisible(large)
        if entry is not None and large:
            self.note.setText(
                f"Large: {_size(entry)} of memory for its weights alone, and slow without a GPU."
            )
        absent = entry is not None and not entry.present
        if entry is not None and absent:
            self.missing.setText(f"Not on this computer ({_size(entry)}, {entry.licence}).")
        self._asking.setVisible(absent and self._downloading is None)
        self._fetching.setVisible(self._downloading is not None)


def device_titles(names: Iterable[str]) -> list[tuple[str, str]]:
    """Give each device a title."""
    return [(_DEVICE_TITLES.get(name, name), name) for name in names]


def _size(entry: ModelEntry) -> str:
    if entry.size_bytes is None:
        return "size not known"
    return f"{entry.size_bytes / _MEGA:.0f} MB"


def _title(entry: ModelEntry) -> str:
    if entry.present:
        return entry.title
    return f"{entry.title} · {_size(entry)}"


def _tooltip(entry: ModelEntry) -> str:
    return f"{entry.description} Licence: {entry.licence}."
