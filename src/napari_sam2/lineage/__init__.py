"""Lineage: objects through time, their divisions, and the files that other programs read.

No torch and no napari.
Functions run on the caller's thread.
"""

from __future__ import annotations

from napari_sam2.lineage.ctc import CtcSequence, CtcTrack, divisions_of, read_ctc, write_ctc
from napari_sam2.lineage.formats import (
    check_tracks_path,
    path_beside,
    title_of,
    write_tracks,
)
from napari_sam2.lineage.geff import write_geff
from napari_sam2.lineage.lineage import Lineage, TrackedObject
from napari_sam2.lineage.spots import SpotFinder, Spots
from napari_sam2.lineage.trackmate import write_trackmate
from napari_sam2.lineage.tracks import TracksData, scale_of_tracks, tracks_of
from napari_sam2.types import Division, TrackFormat

__all__ = [
    "CtcSequence",
    "CtcTrack",
    "Division",
    "Lineage",
    "SpotFinder",
    "Spots",
    "TrackFormat",
    "TrackedObject",
    "TracksData",
    "check_tracks_path",
    "divisions_of",
    "path_beside",
    "read_ctc",
    "scale_of_tracks",
    "title_of",
    "tracks_of",
    "write_ctc",
    "write_geff",
    "write_trackmate",
    "write_tracks",
]
