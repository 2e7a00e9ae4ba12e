"""Surveys and downloads models in a worker thread, and connects to servers.

`ModelFetcher` is made and called on the main thread; its signals bring what it has found.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.widgets.state.model_catalog import (
    ModelEntry,
    ReachedServer,
    ServerUse,
    device_names,
    fetch_model,
    model_entries,
    reach_server,
)
from napari_sam2.widgets.worker.thread import Worker, readable

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
        """Drop the answer of a server that was asked before."""
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
