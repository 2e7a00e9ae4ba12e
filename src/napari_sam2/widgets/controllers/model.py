"""The model controller: the chosen model, device and server, and downloads.

Main thread only.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.checkpoints import BUNDLED
from napari_sam2.errors import SessionError
from napari_sam2.types import Speed
from napari_sam2.widgets.state.model_catalog import (
    ModelEntry,
    ReachedServer,
    ServerUse,
    file_entry,
    is_checkpoint,
)
from napari_sam2.widgets.state.settings import (
    AUTO,
    HERE,
    ModelUse,
    read_defaults,
    store_defaults,
)
from napari_sam2.widgets.views.notifications import show_problem

if TYPE_CHECKING:
    from napari_sam2.widgets.views.model_section import ModelSection
    from napari_sam2.widgets.worker.model_fetcher import ModelFetcher

_NOT_YET = "Not connected: until then the network runs on this computer."


class ModelController(QObject):
    """Knows which model is chosen, and how it is to compute.

    Signals
    -------
    changed()
        Something of `use` is another than before, or something happened to the model's file.

    Attributes
    ----------
    use : ModelUse
    has_model : bool
        Whether the chosen model can be loaded, as far as is known by now.
    awaits_server : bool
        Whether the chosen server has not answered yet.
    fetching : bool
        Whether the chosen model is being downloaded.
    """

    changed = Signal()

    def __init__(self, section: ModelSection, fetcher: ModelFetcher) -> None:
        super().__init__()
        self._section, self._fetcher = section, fetcher
        self._entries: dict[str, ModelEntry] = {}
        self._closed = False
        self.use = read_defaults()
        section.model.changed.connect(self._choose_model)
        section.file_requested.connect(self._choose_file)
        section.compute_on.changed.connect(self._choose_computer)
        section.server_requested.connect(self._reach_typed)
        fetcher.server_reached.connect(self._show_server)
        fetcher.server_missed.connect(self._show_missed)
        section.device.changed.connect(lambda name: self._choose(device=name))
        section.precision.changed.connect(lambda name: self._choose(precision=name))
        section.speed.changed.connect(lambda speed: self._choose(speed=Speed(speed)))
        section.download_requested.connect(self._download)
        section.download_cancel_requested.connect(fetcher.cancel_download)
        fetcher.entries_found.connect(self._show_entries)
        fetcher.devices_found.connect(self._show_devices)
        fetcher.download_moved.connect(self._show_progress)
        fetcher.download_ended.connect(self._show_download_end)
        fetcher.file_found.connect(self._take_file)
        fetcher.failed.connect(self._show_failure)
        section.show_devices((AUTO,), AUTO)
        section.show_use(self.use)
        self._fetching: str | None = None  # name of the model that is being downloaded
        self._reached: ServerUse | None = None  # the server whose models are offered
        self.has_model = self.awaits_server = self.fetching = False
        self._judge()
        fetcher.survey()
        if self.use.server is not None:
            self._reach(self.use.server)

    @property
    def chosen(self) -> tuple[ModelUse, bool]:
        """What a session depends on: the use, and whether the model can be loaded."""
        return self.use, self.has_model

    def close(self) -> None:
        """Listen no longer, and end the thread."""
        self._closed = True
        self._fetcher.close()

    def choose(self, name: str, speed: str) -> None:
        """Take a model, if it is on this machine, and a speed for now; no setting is changed.

        A checkpoint that is not known yet is taken as soon as it is found.
        """
        entry = self._entries.get(name)
        if entry is None and is_checkpoint(name):
            self._fetcher.look_for(name)
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
        self._section.show_models(tuple(self._entries.values()), self.use.model)

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
            self._section.show_use(use)
            self._judge()
            self.changed.emit()

    def _judge(self) -> bool:
        """Note whether the chosen model can be loaded; return whether that is another answer."""
        before = self.has_model, self.awaits_server, self.fetching
        entry = self._entries.get(self.use.model)
        self.awaits_server = self.use.server is not None and self._reached is None
        self.has_model = not self.awaits_server and (entry is None or entry.present)
        self.fetching = self._fetching == self.use.model
        return before != (self.has_model, self.awaits_server, self.fetching)

    def _choose_model(self, name: str | None) -> None:
        if name is None or name == self.use.model:
            return
        if is_checkpoint(name) and name not in self._entries:
            self._entries[name] = file_entry(name)
            self._section.show_models(tuple(self._entries.values()), name)
        self._choose(model=name)

    def _choose_computer(self, computer: str) -> None:
        if computer == HERE:
            self._section.show_server("")
            self._fetcher.forget_server()
            self._reached = None
            self._choose(server=None)
            self._fetcher.survey()
        elif self._section.server.value.strip():
            self._reach_typed()
        else:
            self._section.show_server(_NOT_YET)

    def _reach_typed(self) -> None:
        self._reach(
            ServerUse(self._section.server.value.strip(), self._section.token.value.strip())
        )

    def _reach(self, server: ServerUse) -> None:
        self._section.show_server(f"Connecting to {server.url}…")
        self._fetcher.reach(server)

    def _show_server(self, reached: ReachedServer) -> None:
        if self._closed or self._section.compute_on.value == HERE:
            return
        self._reached = reached.server
        self._entries = {entry.name: entry for entry in reached.entries}
        model = self.use.model if self.use.model in self._entries else reached.entries[0].name
        self._section.show_models(reached.entries, model)
        again = " In the next window the token will be asked for again."
        kept = "" if reached.keeps_token else again
        self._section.show_server(f"Connected: the network runs on {reached.server.url}.{kept}")
        self._choose(server=reached.server, model=model)
        if self._judge():
            self.changed.emit()

    def _show_missed(self, error: Exception) -> None:
        if not self._closed and self._section.compute_on.value != HERE:
            still = "" if self.use.server is not None else f" {_NOT_YET}"
            self._section.show_server(f"{error}{still}")

    def _choose_file(self, path: Path) -> None:
        if self.use.server is not None:
            show_problem(
                SessionError(
                    f"{path.name} is on this computer, and the network runs on a server.",
                    remedy="Choose Compute on: this computer, or a model of the server.",
                )
            )
            return
        self.add_file(path)
        self._choose(model=str(path))

    def _take_file(self, path: str) -> None:
        if not self._closed:
            self.add_file(Path(path))
            self._take(replace(self.use, model=path))

    def _download(self, name: str) -> None:
        self._fetching = name
        self._section.show_download(name)
        self._fetcher.download(name)
        self._judge()
        self.changed.emit()

    def _show_entries(self, entries: tuple[ModelEntry, ...]) -> None:
        if self._closed or self.use.server is not None:
            return  # only the server knows its models
        self._entries = {entry.name: entry for entry in entries}
        model = self.use.model
        if model not in self._entries:
            if is_checkpoint(model):
                self._entries[model] = file_entry(model)
            else:
                self.use = replace(self.use, model=entries[0].name)
        self._section.show_models(tuple(self._entries.values()), self.use.model)
        if self._judge():
            self.changed.emit()

    def _show_devices(self, names: tuple[str, ...]) -> None:
        if self._closed:
            return
        if self.use.device not in names:
            # A stored choice from another machine; or automatic.
            self.use = replace(self.use, device=AUTO)
        self._section.show_devices((AUTO, *names), self.use.device)
        self._section.device.titles = None  # from now on it is known which devices there are

    def _show_progress(self, done: int, total: int) -> None:
        if not self._closed:
            self._section.show_download(self._fetching, done, total)

    def _show_download_end(self, _name: str) -> None:
        self._fetching = None
        self._judge()
        if not self._closed:
            self._section.show_download(None)
            self.changed.emit()

    def _show_failure(self, error: Exception) -> None:
        if not self._closed:
            show_problem(error)
