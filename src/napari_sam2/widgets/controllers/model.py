"""The model controller: models, devices and downloads; long work runs in a worker thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
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
    device_names,
    fetch_model,
    file_entry,
    is_checkpoint,
    model_entries,
    reach_server,
)
from napari_sam2.widgets.state.settings import (
    AUTO,
    HERE,
    ModelUse,
    read_defaults,
    store_defaults,
)
from napari_sam2.widgets.views.notifications import show_problem
from napari_sam2.widgets.worker.thread import Worker, readable

if TYPE_CHECKING:
    from napari_sam2.widgets.views.model_section import ModelSection


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

    def __init__(self, section: ModelSection, choice: ModelFetcher) -> None:
        super().__init__()
        self._section, self._choice = section, choice
        self._entries: dict[str, ModelEntry] = {}
        self._closed = False
        self.use = read_defaults()
        section.model.changed.connect(self._choose_model)
        section.file_requested.connect(self._choose_file)
        section.compute_on.changed.connect(self._choose_computer)
        section.server_requested.connect(self._reach_typed)
        choice.server_reached.connect(self._show_server)
        choice.server_missed.connect(self._show_missed)
        section.device.changed.connect(lambda name: self._choose(device=name))
        section.precision.changed.connect(lambda name: self._choose(precision=name))
        section.speed.changed.connect(lambda speed: self._choose(speed=Speed(speed)))
        section.download_requested.connect(self._download)
        section.download_cancel_requested.connect(choice.cancel_download)
        choice.entries_found.connect(self._show_entries)
        choice.devices_found.connect(self._show_devices)
        choice.download_moved.connect(self._show_progress)
        choice.download_ended.connect(self._show_download_end)
        choice.file_found.connect(self._take_file)
        choice.failed.connect(self._show_failure)
        section.show_devices((AUTO,), AUTO)
        section.show_use(self.use)
        self._fetching: str | None = None  # name of the model that is being downloaded
        self._reached: ServerUse | None = None  # the server whose models are offered
        self.has_model = self.awaits_server = self.fetching = False
        self._judge()
        choice.survey()
        if self.use.server is not None:
            self._reach(self.use.server)

    @property
    def chosen(self) -> tuple[ModelUse, bool]:
        """What a session depends on: the use, and whether the model can be loaded."""
        return self.use, self.has_model

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
            self._choice.forget_server()
            self._reached = None
            self._choose(server=None)
            self._choice.survey()
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
        self._choice.reach(server)

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
        self._choice.download(name)
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


_NOT_YET = "Not connected: until then the network runs on this computer."
_REPORT_EVERY_S = 0.1


@dataclass(frozen=True)
class Sources:
    """Where the window learns about models; exchanged in tests.

    Attributes
    ----------
    entries : callable
        All models, and which are on this machine.
    devices : callable
        Devices that can be chosen here, besides "auto".
    fetch : callable
        ``fetch(name, progress, cancelled)`` downloads a model; returns False if it was cancelled.
    reach : callable
        Connects to a server and lists its models.
    """

    entries: Callable[[], tuple[ModelEntry, ...]] = model_entries
    devices: Callable[[], tuple[str, ...]] = device_names
    fetch: Callable[[str, Callable[[int, int | None], None], Callable[[], bool]], bool] = (
        fetch_model
    )
    reach: Callable[[ServerUse], ReachedServer] = reach_server


class ModelFetcher(QObject):
    """Surveys models and devices and downloads models, in a thread of its own.

    It has no parent: a download that cannot stop at once may outlive the window.

    Signals
    -------
    entries_found(tuple of ModelEntry)
        After each survey and each download.
    devices_found(tuple of str)
        Devices that can be chosen here.
    download_moved(int, int)
        Bytes so far and in all (0 where unknown).
    file_found(str)
        Path of a checkpoint that was asked for, and is there.
    download_ended(str)
        Name of the model, whether fetched, cancelled or failed.
    server_reached(ReachedServer)
        A server has answered.
    server_missed(Exception)
        Why one has not, or has refused.
    failed(Exception)
        What went wrong.
    """

    entries_found = Signal(object)
    devices_found = Signal(object)
    download_moved = Signal(object, object)
    file_found = Signal(str)
    download_ended = Signal(str)
    server_reached = Signal(object)
    server_missed = Signal(object)
    failed = Signal(object)

    def __init__(self, sources: Sources | None = None) -> None:
        super().__init__()
        self._sources = sources or Sources()
        self._stop_download = threading.Event()
        self._wanted: ServerUse | None = None
        self._worker = Worker("models", on_exit=self.close, on_end=self._stop_download.set)

    def survey(self) -> None:
        """Find out what there is."""
        self._worker.submit(lambda: self._guard(self._survey))

    def look_for(self, path: str) -> None:
        """Find out whether a checkpoint is there."""
        self._worker.submit(lambda: self._guard(lambda: self._look_for(path)))

    def download(self, name: str) -> None:
        """Fetch a model, then survey again."""
        self._stop_download.clear()
        self._worker.submit(lambda: self._guard(lambda: self._download(name)))

    def reach(self, server: ServerUse) -> None:
        """Connect to a server, and find out which models it offers."""
        self._wanted = server
        self._worker.submit(lambda: self._reach(server))

    def forget_server(self) -> None:
        """Have the answer of a server not told any more."""
        self._wanted = None

    def cancel_download(self) -> None:
        """Stop a download; what has arrived is kept for the next try."""
        self._stop_download.set()

    def close(self) -> None:
        """End the thread as soon as its current step is over."""
        self._worker.close()
        self._stop_download.set()

    # Below: worker thread only.

    def _survey(self) -> None:
        self._tell(self.entries_found, self._sources.entries())
        self._tell(self.devices_found, self._sources.devices())

    def _look_for(self, path: str) -> None:
        if Path(path).is_file():
            self._tell(self.file_found, path)

    def _reach(self, server: ServerUse) -> None:
        try:
            reached = self._sources.reach(server)
        except Exception as error:
            if self._wanted is server:
                self._tell(self.server_missed, readable(error))
        else:
            if self._wanted is server:
                self._tell(self.server_reached, reached)

    def _download(self, name: str) -> None:
        last = 0.0

        def progress(done: int, total: int | None) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > _REPORT_EVERY_S or done == total:
                last = now
                self._tell(self.download_moved, done, total or 0)

        try:
            self._sources.fetch(name, progress, self._stop_download.is_set)
        finally:
            self._tell(self.entries_found, self._sources.entries())
            self._tell(self.download_ended, name)

    def _guard(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self._tell(self.failed, readable(error))

    def _tell(self, signal: Any, *values: object) -> None:
        if not self._worker.closed:
            signal.emit(*values)
