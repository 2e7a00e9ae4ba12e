"""Opening real sessions, and finding out what this machine offers: worker thread only.

Everything here imports torch on first use, which takes seconds: never call it from the main
thread.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2.errors import DeviceError
from napari_sam2.types import Speed
from napari_sam2.widgets.model_use import ModelUse
from napari_sam2.widgets.session_protocol import Session
from napari_sam2.widgets.spec import SessionSpec

if TYPE_CHECKING:
    from napari_sam2.tracking import Model

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".safetensors")
"""What files of models are called."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model as the window shows it.

    Attributes
    ----------
    name : str
        What `load_model` takes.
    title, description, licence : str
        For the user.
    size_bytes : int or None
        Size of its file, where known.
    present : bool
        Whether the file is on this machine.
    """

    name: str
    title: str
    description: str
    licence: str
    size_bytes: int | None
    present: bool


def model_entries() -> tuple[ModelEntry, ...]:
    """List all models, the bundled one first, and which of them are on this machine."""
    from napari_sam2.checkpoints import MODELS, find_model_file

    return tuple(
        ModelEntry(
            name=info.name,
            title=info.title,
            description=info.description,
            licence=info.licence,
            size_bytes=info.size_bytes,
            present=find_model_file(info.name) is not None,
        )
        for info in MODELS
    )


def is_checkpoint(name: str) -> bool:
    """Whether a model is given by the path of its file."""
    return Path(name).suffix.lower() in CHECKPOINT_SUFFIXES


def file_entry(path: str) -> ModelEntry:
    """Show a checkpoint of the user's own; whether it can be loaded is found out by loading it."""
    from napari_sam2.checkpoints import ADAPTED_SUFFIX

    name = Path(path).name
    if name.endswith(ADAPTED_SUFFIX):
        title = f"{name.removesuffix(ADAPTED_SUFFIX)} (adapted)"
        return ModelEntry(path, title, f"Learnt from your masks: {path}.", "as before", None, True)
    return ModelEntry(path, name, f"Your file {path}.", "as you know", None, True)


def fetch_model(
    name: str, progress: Callable[[int, int | None], None], cancelled: Callable[[], bool]
) -> bool:
    """Download a model to the cache folder; return False if that was cancelled."""
    from napari_sam2.checkpoints import DownloadCancelledError, download_model

    try:
        download_model(name, progress=progress, cancelled=cancelled)
    except DownloadCancelledError:
        return False
    return True


def device_names() -> tuple[str, ...]:
    """List the devices that can compute here, the best one first."""
    from napari_sam2.tracking import available_devices

    return tuple(available_devices())


class RealSessions:
    """Opens tracking sessions; keeps the last model loaded for the next one."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._loaded: ModelUse | None = None  # at whatever speed

    def __call__(self, spec: SessionSpec, tell: Callable[[str], None]) -> Session:
        """Open the session of `spec`, loading its model if it is not the last one."""
        tell("Loading the model…")
        model = self._load(spec.use)
        from napari_sam2.tracking import TrackingSession, TrackingSettings

        tell("Reading the stack…")
        settings = TrackingSettings(speed=spec.use.speed)
        return TrackingSession(model, spec.stack(), labels=spec.labels, settings=settings)

    def release(self) -> None:
        """Free the memory of the model."""
        device = None if self._model is None else self._model.device
        self._model, self._loaded = None, None
        gc.collect()  # the parts of a session refer to each other
        if device is not None:
            from napari_sam2.tracking.device import release_memory

            release_memory(device)

    def _load(self, use: ModelUse) -> Model:
        try:
            from napari_sam2.tracking import load_model
        except OSError as error:
            # Windows can fail to load torch's libraries after Qt's (pytorch issue 166628).
            raise DeviceError(
                f"PyTorch could not be loaded: {error}",
                remedy="Start napari with `python -c 'import torch, napari; napari.Viewer(); "
                "napari.run()'`, or install the Microsoft Visual C++ runtime.",
            ) from error
        wanted = replace(use, speed=Speed.EXACT)
        if self._model is None or self._loaded != wanted:
            # Two models at once may not fit: let go of the old one first.
            self._model, self._loaded = None, None
            self._model = load_model(use.model, use.device, precision=use.precision)
            self._loaded = wanted
        return self._model
