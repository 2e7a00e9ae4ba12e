"""Snapshots of a session's prompts and conditioning frames."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam2.prompts import PromptBook
from napari_sam2.tracking.memory.object_track import TrackState
from napari_sam2.types import Division, ObjectFrame


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
