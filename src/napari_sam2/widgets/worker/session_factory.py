"""Opens sessions on a model that is kept loaded, and hands objects to the next volume.

Worker thread only.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam2.errors import DeviceError
from napari_sam2.prompts import FramePrompt
from napari_sam2.types import Speed
from napari_sam2.widgets.state.model_catalog import token_of
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.session_spec import PlacedPrompt, Prompts, SessionSpec
from napari_sam2.widgets.state.settings import ModelUse
from napari_sam2.widgets.worker.session_protocol import Session, SessionOpener

if TYPE_CHECKING:
    from napari_sam2.remote import Connection
    from napari_sam2.tracking import Model


def hand_over_objects(
    spec: SessionSpec,
    there: StackPosition,
    object_ids: Collection[int],
    open_session: SessionOpener,
    stopped: Callable[[], bool],
    frames: tuple[int | None, int | None] = (None, None),
) -> Prompts:
    """Find objects of a volume in the next one; see `napari_sam2.tracking.volume_series.hand_over`.

    Parameters
    ----------
    spec : SessionSpec
        The volume, with its labels.
    there : StackPosition
        The next volume: the neighbour along one axis.
    object_ids : collection of int
    open_session : callable
    stopped : callable
        Asked before every frame whether to give up.
    frames : (start, stop)
        Only these frames of the volume.

    Returns
    -------
    tuple of PlacedPrompt
        A mask for every object that was found.
    """
    from napari_sam2.tracking.volume_series import VolumeHandover, hand_over

    ((axis, here, to),) = [
        (axis, before, after)
        for (axis, before), (_, after) in zip(spec.at, there, strict=True)
        if before != after
    ]
    first = frames[0] or 0

    def follow(frame: int) -> Session:
        return open_session(spec.across(axis, first + frame), lambda _text: None)

    handover = VolumeHandover(here, to, follow, stopped)
    return tuple(
        PlacedPrompt(seed.object_id, first + seed.frame, FramePrompt(mask=seed.mask))
        for seed in hand_over(spec.labels[first : frames[1]], object_ids, handover)
    )


class SessionFactory:
    """Opens tracking sessions; keeps the last model loaded for the next one."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._loaded: ModelUse | None = None  # at whatever speed
        self._connection: Connection | None = None

    def __call__(self, spec: SessionSpec, tell: Callable[[str], None]) -> Session:
        """Open the session of `spec`, loading its model if it is not the last one."""
        tell("Loading the model…")
        model = self._load(spec.use)
        from napari_sam2.tracking import TrackingSession, TrackingSettings

        tell("Reading the stack…")
        settings = TrackingSettings(speed=spec.use.speed)
        return TrackingSession(
            model, spec.stack(), labels=spec.labels, settings=settings, store=spec.results
        )

    def release(self) -> None:
        """Free the memory of the model."""
        device = None if self._model is None else self._model.device
        self._forget()
        gc.collect()  # the parts of a session refer to each other
        if device is not None:
            from napari_sam2.tracking.device import release_memory

            release_memory(device)

    def _forget(self) -> None:
        self._model, self._loaded = None, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _load(self, use: ModelUse) -> Model:
        """Return the model, here or on a server; the last one is kept."""
        try:
            from napari_sam2.remote import connect
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
            self._forget()
            if use.server is None:
                self._model = load_model(use.model, use.device, precision=use.precision)
            else:
                self._connection = connect(use.server.url, token_of(use.server))
                self._model = self._connection.model(use.model, precision=use.precision)
            self._loaded = wanted
        return self._model
