"""Keeps the model box in line with the models and devices there are, and with the settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.checkpoints import BUNDLED
from napari_sam2.types import Speed
from napari_sam2.widgets.model_use import AUTO, ModelUse
from napari_sam2.widgets.notices import show_problem
from napari_sam2.widgets.opening import ModelEntry, file_entry, is_checkpoint
from napari_sam2.widgets.settings import read_defaults, store_defaults

if TYPE_CHECKING:
    from napari_sam2.widgets.model_box import ModelBox
    from napari_sam2.widgets.model_choice import ModelChoice


class ModelPicker(QObject):
    """Knows which model is chosen, and how it is to compute.

    Signals
    -------
    changed()
        Something of `use` is another than before, or something happened to the model's file.

    Attributes
    ----------
    use : ModelUse
    """

    changed = Signal()

    def __init__(self, box: ModelBox, choice: ModelChoice) -> None:
        super().__init__()
        self._box, self._choice = box, choice
        self._entries: dict[str, ModelEntry] = {}
        self._closed = False
        self.use = read_defaults()
        box.model_requested.connect(lambda name: self._choose(model=name))
        box.file_requested.connect(self._choose_file)
        box.device_requested.connect(lambda name: self._choose(device=name))
        box.precision_requested.connect(lambda name: self._choose(precision=name))
        box.speed_requested.connect(lambda speed: self._choose(speed=speed))
        box.download_requested.connect(self._download)
        box.download_cancel_requested.connect(choice.cancel_download)
        choice.entries_found.connect(self._show_entries)
        choice.devices_found.connect(self._show_devices)
        choice.download_moved.connect(self._show_progress)
        choice.download_ended.connect(self._show_download_end)
        choice.file_found.connect(self._take_file)
        choice.failed.connect(self._show_failure)
        box.show_devices((AUTO,), AUTO)
        box.show_use(self.use)
        self._fetching: str | None = None
        choice.survey()

    @property
    def has_model(self) -> bool:
        """Whether the chosen model can be loaded, as far as is known by now."""
        entry = self._entries.get(self.use.model)
        return entry is None or entry.present

    @property
    def chosen(self) -> tuple[ModelUse, bool]:
        """What a session depends on: the use, and whether the model can be loaded."""
        return self.use, self.has_model

    @property
    def fetching(self) -> bool:
        """Whether the chosen model is being downloaded."""
        return self._fetching == self.use.model

    def close(self) -> None:
        """Listen no longer, and end the thread."""
        self._closed = True
        self._choice.close()

    def choose(self, name: str, speed: str) -> None:
        """Take a model, if it is on this machine, and a speed for now; no setting is changed.

        A checkpoint that is not known yet is taken as soon as it is found.
        """
        entry = self._entries.get(name)
        if entry is None and is_checkpoint(name):
            self._choice.look_for(name)
        model = name if entry is not None and entry.present else self.use.model
        known = Speed(speed) if speed in list(Speed) else self.use.speed
        self._take(replace(self.use, model=model, speed=known))

    @property
    def title(self) -> str:
        """What the chosen model is called."""
        entry = self._entries.get(self.use.model)
        return self.use.model if entry is None else entry.title

    @property
    def is_official(self) -> bool:
        """Whether it is one of the published models, as far as its name tells."""
        return self.use.model != BUNDLED and not is_checkpoint(self.use.model)

    def add_file(self, path: Path) -> None:
        """Offer a checkpoint of the user's own."""
        entry = file_entry(str(path))
        self._entries[entry.name] = entry
        self._box.show_models(tuple(self._entries.values()), self.use.model)

    def take(self, model: str) -> None:
        """Choose a model as the user would: the next stack begins with it too."""
        self._choose(model=model)

    def _choose(self, **choice: Any) -> None:
        use = replace(self.use, **choice)
        if use != self.use:
            # What a session file has brought for now is no setting.
            store_defaults(replace(read_defaults(), **choice))
            self._take(use)

    def _take(self, use: ModelUse) -> None:
        if use != self.use:
            self.use = use
            self._box.show_use(use)
            self.changed.emit()

    def _choose_file(self, path: Path) -> None:
        self.add_file(path)
        self._choose(model=str(path))

    def _take_file(self, path: str) -> None:
        if not self._closed:
            self.add_file(Path(path))
            self._take(replace(self.use, model=path))

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
        model = self.use.model
        if model not in self._entries:
            if is_checkpoint(model):
                self._entries[model] = file_entry(model)
            else:
                self.use = replace(self.use, model=entries[0].name)
        self._box.show_models(tuple(self._entries.values()), self.use.model)
        if self.has_model != had_model:
            self.changed.emit()

    def _show_devices(self, names: tuple[str, ...]) -> None:
        if self._closed:
            return
        if self.use.device not in names:
            # A stored choice from another machine; or automatic.
            self.use = replace(self.use, device=AUTO)
        self._box.show_devices((AUTO, *names), self.use.device)

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
