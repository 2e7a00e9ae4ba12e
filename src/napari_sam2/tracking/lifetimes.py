"""Divisions of a session: the frames in which each object can exist, and changes of divisions.

Pure functions of values, but for `apply_lifetimes`; the session's lock guards that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from napari_sam2.errors import SessionError
from napari_sam2.labels.divisions import lifetimes_of
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.types import Division

Divisions = tuple[Division, ...]


def apply_lifetimes(tracks: Mapping[int, ObjectTrack], divisions: Divisions) -> None:
    """Limit every track to the frames in which divisions say that its object exists."""
    lifetimes = lifetimes_of(divisions)
    for object_id, track in tracks.items():
        begin, end = lifetimes.get(object_id, (0, None))
        track.lifetime = begin, len(track.done) if end is None else end


def check_alive(divisions: Divisions, object_id: int, frame: int) -> None:
    """Raise a `SessionError` if the divisions say that an object does not exist in a frame."""
    begin, end = lifetimes_of(divisions).get(object_id, (0, None))
    if frame < begin:
        raise SessionError(
            f"Object {object_id} is born in frame {begin} and cannot be in frame {frame}.",
            remedy="Go to a later frame, or remove the division that it comes from.",
        )
    if end is not None and frame >= end:
        raise SessionError(
            f"Object {object_id} divides in frame {end} and cannot be in frame {frame}.",
            remedy="Choose one of its children, or remove the division.",
        )


def check_decided(track: ObjectTrack, begin: int, end: int) -> None:
    """Raise a `SessionError` if the user decided that an object is in a frame outside of these."""
    for frame, decided in track.conditioning.items():
        if not begin <= frame < end and decided.pixels.any():
            raise SessionError(
                f"Object {track.object_id} is prompted or accepted in frame {frame}, "
                f"{'before it is born' if frame < begin else 'after it divides'}.",
                safe="Nothing was changed.",
                remedy="Split the object, or remove that prompt or acceptance first.",
            )


def without_object(divisions: Iterable[Division], object_id: int) -> Divisions:
    """Return divisions in which an object does not take part any more."""
    kept = []
    for each in divisions:
        children = tuple(child for child in each.children if child != object_id)
        if each.parent != object_id and children:
            kept.append(replace(each, children=children))
    return tuple(kept)


def after_split(divisions: Divisions, object_id: int, new_id: int) -> Divisions:
    """Return divisions after the later part of an object became another one, which divides."""
    return tuple(
        replace(each, parent=new_id) if each.parent == object_id else each for each in divisions
    )


def after_merge(divisions: Divisions, into: int, other: int, merged: ObjectTrack) -> Divisions:
    """Return divisions after an object took another one in; what contradicts it is left out."""
    kept = without_object(divisions, other)
    begin, end = lifetimes_of(kept).get(into, (0, None))
    last = len(merged.done) if end is None else end
    outside = any(not begin <= frame < last for frame in merged.conditioning)
    return without_object(kept, into) if outside else kept
