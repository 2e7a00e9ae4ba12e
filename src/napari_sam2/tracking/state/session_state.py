"""Sessions as frozen values: a snapshot to return to, and a template that opens one like it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from napari_sam2.network import Sam2
from napari_sam2.prompts import PromptBook
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.memory.object_track import TrackState
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.types import Division, ObjectFrame, Unreadable


@dataclass(frozen=True, slots=True, eq=False)
class SessionState:
    """Prompts, acceptance, divisions and progress of all objects; the labels are not part of it.

    Cheap: predictions are shared with the session, and per frame and object there are two bits.
    """

    prompts: PromptBook
    accepted: frozenset[ObjectFrame]
    handed_over: frozenset[ObjectFrame]
    found: frozenset[int]
    tracks: tuple[TrackState, ...]
    divisions: tuple[Division, ...] = ()
    refused: frozenset[tuple[int, frozenset[int]]] = frozenset()


@dataclass(frozen=True, slots=True)
class SessionTemplate:
    """Opens sessions that compute as another one does; can be sent to another process.

    Attributes
    ----------
    kind : callable
        The class of the session.
    name : str
        Name of the model.
    device : str
    image_size : int
        Side of the model input.
    half : bool
        Whether it computes in bfloat16.
    follows : bool
        Whether the model sees windows that follow objects.
    settings : TrackingSettings
    """

    kind: Callable[..., Any]
    name: str
    device: str
    image_size: int
    half: bool
    follows: bool
    settings: TrackingSettings

    def open(self, network: Sam2, stack: FrameStack) -> Any:
        """Open a session on a stack, in which every object is segmented for itself.

        Parameters
        ----------
        network : Sam2
            In evaluation mode, on the device.
        stack : FrameStack

        Returns
        -------
        TrackingSession
        """
        model = Model(network, self.name, torch.device(self.device), self.image_size, self.half)
        settings = replace(self.settings, overlap=True, unreadable=Unreadable.STOP)
        return self.kind(model, stack, settings=settings)
