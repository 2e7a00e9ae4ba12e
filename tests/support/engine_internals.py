"""Parts of a session's engine that tests inspect; only here its private attributes are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_sam2.tracking.decoding.prediction import (
    Conditioning,
    ObjectPrediction,
    decided_prediction,
)

if TYPE_CHECKING:
    from napari_sam2.labels import LabelsVolume
    from napari_sam2.tracking import TrackingSession
    from napari_sam2.tracking.decoding.prompted_frames import PromptedFramePredictor
    from napari_sam2.tracking.engine import Engine
    from napari_sam2.tracking.images.feature_cache import FeatureCache
    from napari_sam2.tracking.images.frame_reader import FrameReader
    from napari_sam2.tracking.label_writer import LabelWriter
    from napari_sam2.tracking.memory.object_track import ObjectTrack
    from napari_sam2.tracking.schedule import Schedule


def tracks_of(session: TrackingSession) -> dict[int, ObjectTrack]:
    """Return the tracks of all objects, by id."""
    return session._tracker.tracks


def track_of(session: TrackingSession, object_id: int) -> ObjectTrack:
    """Return the track of one object."""
    return session._tracker.track(object_id)


def cache_of(session: TrackingSession) -> FeatureCache:
    """Return the cache of encoded frames."""
    return session._tracker.engine.cache


def engine_of(session: TrackingSession) -> Engine:
    """Return what takes the steps, here or on a server."""
    return session._tracker.engine


def predictor_of(session: TrackingSession) -> PromptedFramePredictor:
    """Return what decides prompted frames."""
    return session._tracker.engine._decider


def reader_of(session: TrackingSession) -> FrameReader:
    """Return the reader of the frames."""
    return session._tracker.engine.reader


def writer_of(session: TrackingSession) -> LabelWriter:
    """Return the writer of the labels."""
    return session._label_writer


def volume_of(session: TrackingSession) -> LabelsVolume:
    """Return the labels with their protection."""
    return session._label_writer.volume


def clear_features(session: TrackingSession) -> None:
    """Empty the cache of encoded frames, and drop the frame that was read last."""
    session._tracker.engine.cache._kept.clear()
    session._tracker.engine.stop_background_work()


def identity_switches(
    session: TrackingSession, frame: int, predictions: Mapping[int, ObjectPrediction]
) -> set[int]:
    """Return which objects are found to follow another one in a frame."""
    tracker = session._tracker
    labels = volume_of(session).frame(frame)
    return tracker.engine.identity_switches(frame, predictions, tracker.tracks, labels)


def watch(
    session: TrackingSession, object_id: int, frame: int, present: bool, schedule: Schedule
) -> None:
    """Count an object as present in a frame of a pass, or as absent."""
    session._tracker._watch(track_of(session, object_id), frame, present, schedule)


def computed_prediction(session: TrackingSession, decided: Conditioning) -> ObjectPrediction:
    """Ask the network about a decided frame now."""
    engine = session._tracker.engine
    return engine.run(lambda: decided_prediction(engine._model, engine.cache, decided))
