"""The section of the model: model, device, precision, speed.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QLabel, QProgressBar

from napari_sam2.types import Speed
from napari_sam2.widgets.state.model_catalog import CHECKPOINT_SUFFIXES, ModelEntry
from napari_sam2.widgets.state.settings import ON_SERVER, ModelUse
from napari_sam2.widgets.views.base import Fold, Section, button, captioned, row
from napari_sam2.widgets.views.fields import PanelFields, device_titles

_IN_GENERAL = {
    Speed.BALANCED: "a smaller input, where the model allows, and fewer memories",
    Speed.FASTEST: "a small input, windows around the objects and few memories",
}


class SpeedSection(Fold):
    """Shows the fields of speed and precision.

    Parameters
    ----------
    fields : PanelFields
    """

    def __init__(self, fields: PanelFields) -> None:
        super().__init__("Speed and precision")
        self._speed = fields.speed
        self.add_row("Speed", fields.speed.native)
        self.add_row("Precision", fields.precision.native)

    @property
    def speed(self) -> Speed:
        """The level that is shown."""
        return Speed(self._speed.value)

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


_MEGA = 1_000_000
_LARGE = 300 * _MEGA


class ModelSection(Section):
    """Shows the fields of the model, and the download of one that is not on this computer.

    Parameters
    ----------
    fields : PanelFields

    Signals
    -------
    file_requested(Path)
        The user chose a checkpoint of their own.
    unload_requested()
        The user wants the memory of the model freed.
    download_requested(str)
        The user wants this model fetched.
    download_cancel_requested()
        The user does not want it any more.
    server_requested()
        The user wants to compute on the server whose address is in the field.
    """

    file_requested = Signal(object)
    unload_requested = Signal()
    download_requested = Signal(str)
    download_cancel_requested = Signal()
    server_requested = Signal()

    def __init__(self, fields: PanelFields) -> None:
        super().__init__("Model")
        self.model, self.device = fields.model, fields.device
        self.precision, self.speed = fields.precision, fields.speed
        self.compute_on, self.server, self.token = fields.compute_on, fields.server, fields.token
        self.add_row("Compute on", self.compute_on.native)
        self.server.native.setPlaceholderText("http://127.0.0.1:1528")
        self.connect_button = button(
            "Connect", "Ask the server for its models, and compute there from now on."
        )
        self.server_note = QLabel()
        self.server_note.setWordWrap(True)
        self._server_rows = (
            captioned("Address", self.server.native),
            captioned("Token", self.token.native, self.connect_button, stretch=(1,)),
            self.server_note,
        )
        for part in self._server_rows:
            self.body.addWidget(part)
        self.add_row("Model", self.model.native)
        self.unload = button(
            "Unload", "Free the memory of the model. The next prompt or run loads it again."
        )
        self._device_row = captioned("Device", self.device.native, self.unload, stretch=(1,))
        self.body.addWidget(self._device_row)
        self.pace = SpeedSection(fields)
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
        self.model.offer(_titled(entries), current)
        for index, entry in enumerate(entries):
            self.model.native.setItemData(index, _tooltip(entry), Qt.ItemDataRole.ToolTipRole)
        self._show_rows()

    def show_use(self, use: ModelUse) -> None:
        """Show this as what is chosen."""
        if use.server is not None:
            self.compute_on.value, self.server.value = ON_SERVER, use.server.url
        self.model.value, self.device.value = use.model, use.device
        self.precision.value, self.speed.value = use.precision, use.speed
        self.show_approximations(None)
        self._show_rows()

    def show_approximations(self, said: tuple[str, ...] | None) -> None:
        """Say what the chosen speed leaves out; None: not known before a session is open."""
        text = self.pace.what_is_left_out(said)
        self.approximate.setText(text)
        self.approximate.setVisible(bool(text))

    def show_devices(self, names: tuple[str, ...], current: str) -> None:
        """Offer these devices."""
        self.device.offer(device_titles(names), current)

    def show_server(self, text: str) -> None:
        """Say how it stands with the server."""
        self.server_note.setText(text)

    def show_download(self, name: str | None, done: int = 0, total: int = 0) -> None:
        """Show how far the download of a model is; `name` None: there is none."""
        self._downloading = name
        # Qt counts in 32-bit integers: megabytes, not bytes.
        self.progress.setRange(0, total // _MEGA)
        self.progress.setValue(done // _MEGA)
        self.progress.setFormat(f"%v of %m MB of {name}" if total else f"{done // _MEGA} MB")
        self._show_rows()

    def _connect(self) -> None:
        self.model.ask_for_file = self._ask_for_file
        self.compute_on.changed.connect(lambda _value: self._show_rows())
        self.connect_button.clicked.connect(lambda _checked: self.server_requested.emit())
        self.token.native.returnPressed.connect(self.server_requested)
        self.unload.clicked.connect(lambda _checked: self.unload_requested.emit())
        self.download.clicked.connect(lambda: self.download_requested.emit(self.model.value))
        self.cancel.clicked.connect(self.download_cancel_requested)

    def _ask_for_file(self) -> None:
        kinds = " ".join(f"*{suffix}" for suffix in CHECKPOINT_SUFFIXES)
        chosen, _ = QFileDialog.getOpenFileName(self, "Choose a model", "", f"Models ({kinds})")
        if chosen:
            self.file_requested.emit(Path(chosen))

    def _show_rows(self) -> None:
        there = self.compute_on.value == ON_SERVER
        for part in self._server_rows:
            part.setVisible(there)
        self._device_row.setVisible(not there)
        entry = self._entries.get(self.model.value or "")
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


def _size(entry: ModelEntry) -> str:
    if entry.size_bytes is None:
        return "size not known"
    return f"{entry.size_bytes / _MEGA:.0f} MB"


def _title(entry: ModelEntry) -> str:
    if entry.present:
        return entry.title
    return f"{entry.title} · {_size(entry)}"


def _titled(entries: Iterable[ModelEntry]) -> list[tuple[str, str]]:
    """Give each model a title of its own; files of one name are told apart by their folders."""
    titled: dict[str, str] = {}
    for entry in entries:
        title = _title(entry)
        if title in titled:
            title = f"{title} · {Path(entry.name).parent}"
        titled[title] = entry.name
    return list(titled.items())


def _tooltip(entry: ModelEntry) -> str:
    return f"{entry.description} Licence: {entry.licence}."
