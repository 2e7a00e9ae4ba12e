"""Opens tracking sessions on a model that is kept loaded; on the session worker's thread.

torch is imported on first use, which takes seconds: never call it from the main thread.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam2.errors import DeviceError
from napari_sam2.types import Speed
from napari_sam2.widgets.model_use import ModelUse
from napari_sam2.widgets.session_protocol import Session
from napari_sam2.widgets.spec import SessionSpec

if TYPE_CHECKING:
    from napari_sam2.tracking import Model


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
