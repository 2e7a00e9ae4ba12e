"""Keeps the model box in line with the models and devices there are, and with the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.widgets.notices import show_problem
from napari_sam2.widgets.opening import ModelEntry, file_entry, is_checkpoint
from napari_sam2.widgets.settings import Defaults, read_defaults, store_defaults

if TYPE_CHECKING:
    from napari_sam2.widgets.model_box import ModelBox
    from napari_sam2.widgets.model_choice import ModelChoice

AUTO = "auto"


class ModelPicker(QObject):
    """Knows which model and device are chosen.

    Signals
    -------
    changed()
        Model or device are others than before, or something happened to the model's file.
    """

    changed = Signal()

    def __init__(self, box: ModelBox, choice: ModelChoice) -> None:
        super().__init__()
        self._box, self._choice = box, choice
        self._entries: dict[str, ModelEntry] = {}
        self._closed = False
        stored = read_defaults()
        self.model, self.device = stored.model, stored.device
        box.model_requested.connect(self._choose_model)
        box.file_requested.connect(self._choose_file)
        box.device_requested.connect(self._choose_device)
        box.download_requested.connect(self._download)
        box.download_cancel_requested.connect(choice.cancel_download)
        choice.entries_found.connect(self._show_entries)
        choice.devices_found.connect(self._show_devices)
        choice.download_moved.connect(self._show_progress)
        choice.download_ended.connect(self._show_download_end)
        choice.failed.connect(self._show_failure)
        box.show_devices((AUTO,), AUTO)
        self._fetching: str | None = None
        choice.survey()

    @property
    def has_model(self) -> bool:
        """Whether the chosen model can be loaded, as far as is known by now."""
        entry = self._entries.get(self.model)
        return entry is None or entry.present

    @property
    def chosen(self) -> tuple[str, str, bool]:
        """Model and device, and whether the model can be loaded: what a session depends on."""
        return self.model, self.device, self.has_model

    @property
    def fetching(self) -> bool:
        """Whether the chosen model is being downloaded."""
        return self._fetching == self.model

    def close(self) -> None:
        """Listen no longer, and end the thread."""
        self._closed = True
        self._choice.close()

    def choose(self, name: str) -> None:
        """Take a model for now, if it is on this machine; the settings stay as they are."""
        entry = self._entries.get(name)
        if entry is not None and entry.present and name != self.model:
            self.model = name
            self._box.show_model(name)
            self.changed.emit()

    def _choose_model(self, name: str) -> None:
        if name != self.model:
            self.model = name
            self._box.show_model(name)
            self._store()

    def _choose_file(self, path: Path) -> None:
        entries = tuple(self._entries.values())
        self.model = str(path)
        self._show_entries(entries)
        self._store()

    def _choose_device(self, name: str) -> None:
        if name != self.device:
            self.device = name
            self._store()

    def _store(self) -> None:
        store_defaults(Defaults(model=self.model, device=self.device))
        self.changed.emit()

    def _download(self, name: str) -> None:
        self._fetching = name
        self._box.show_download(name)
        self._choice.download(name)
        self.changed.emit()

    def _show_entries(self, entries: tuple[ModelEntry, ...]) -> None:
        if self._closed:
            return
        had_model = self.has_model
        self._entries = {entry.name: entry for entry in entries}
        if self.model not in self._entries:
            if is_checkpoint(self.model):
                self._entries[self.model] = file_entry(self.model)
            else:
                self.model = entries[0].name
        self._box.show_models(tuple(self._entries.values()), self.model)
        if self.has_model != had_model:
            self.changed.emit()

    def _show_devices(self, names: tuple[str, ...]) -> None:
        if self._closed:
            return
        if self.device not in names:
            # A stored choice from another machine; or automatic.
            self.device = AUTO
        self._box.show_devices((AUTO, *names), self.device)

    def _show_progress(self, done: int, total: int) -> None:
        if not self._closed:
            self._box.show_download(self._fetching, done, total)

    def _show_download_end(self, _name: str) -> None:
        self._fetching = None
        if not self._closed:
            self._box.show_download(None)
            self.changed.emit()

    def _show_failure(self, error: Exception) -> None:
        if not self._closed:
            show_problem(error)
