"""Snapshots of a session's prompts and conditioning frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.network import Sam2Config
from napari_sam2.prompts import PromptBook
from napari_sam2.tracking.decoding.prediction import Conditioning
from napari_sam2.tracking.memory.conditioning_frames import ConditioningFrames
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.types import Division, ObjectFrame


@dataclass(frozen=True, slots=True, eq=False)
class TrackState:
    """Conditioning frames of one object, and a bit per frame for computed and for written."""

    object_id: int
    conditioning: tuple[Conditioning, ...]
    done: NDArray[np.uint8]
    written: NDArray[np.uint8]

    @classmethod
    def of(cls, track: ObjectTrack) -> TrackState:
        """Keep what an object is now."""
        return cls(
            track.object_id,
            tuple(track.conditioning.values()),
            np.packbits(track.done),
            np.packbits(track.written),
        )

    def track(self, n_frames: int, config: Sam2Config) -> ObjectTrack:
        """Return a track with this state; memories of frames are encoded again when needed."""
        track = ObjectTrack(self.object_id, n_frames, config)
        track.conditioning = ConditioningFrames(self.conditioning)
        track.done = np.unpackbits(self.done, count=n_frames).astype(bool)
        track.written = np.unpackbits(self.written, count=n_frames).astype(bool)
        return track


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
