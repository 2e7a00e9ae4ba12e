"""Which models and devices there are, and fetching a model: off the main thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.widgets.engine import THREAD_NAME, readable
from napari_sam2.widgets.opening import ModelEntry, device_names, fetch_model, model_entries

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
    """

    entries: Callable[[], tuple[ModelEntry, ...]] = model_entries
    devices: Callable[[], tuple[str, ...]] = device_names
    fetch: Callable[[str, Callable[[int, int | None], None], Callable[[], bool]], bool] = (
        fetch_model
    )


class ModelChoice(QObject):
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
    download_ended(str)
        Name of the model, whether fetched, cancelled or failed.
    failed(Exception)
        What went wrong.
    """

    entries_found = Signal(object)
    devices_found = Signal(object)
    download_moved = Signal(object, object)
    download_ended = Signal(str)
    failed = Signal(object)

    def __init__(self, sources: Sources | None = None) -> None:
        super().__init__()
        self._sources = sources or Sources()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"{THREAD_NAME}-models")
        self._closed = threading.Event()
        self._stop_download = threading.Event()

    def survey(self) -> None:
        """Find out what there is."""
        self._submit(self._survey)

    def download(self, name: str) -> None:
        """Fetch a model, then survey again."""
        self._stop_download.clear()
        self._submit(self._download, name)

    def cancel_download(self) -> None:
        """Stop a download; what has arrived is kept for the next try."""
        self._stop_download.set()

    def close(self) -> None:
        """End the thread as soon as its current step is over."""
        self._closed.set()
        self._stop_download.set()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _submit(self, job: Callable[..., None], *values: object) -> None:
        if not self._closed.is_set():
            self._executor.submit(self._guard, job, *values)

    # Below: worker thread only.

    def _survey(self) -> None:
        self._tell(self.entries_found, self._sources.entries())
        self._tell(self.devices_found, self._sources.devices())

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

    def _guard(self, job: Callable[..., None], *values: object) -> None:
        try:
            job(*values)
        except Exception as error:
            self._tell(self.failed, readable(error))

    def _tell(self, signal: Any, *values: object) -> None:
        if not self._closed.is_set():
            signal.emit(*values)
