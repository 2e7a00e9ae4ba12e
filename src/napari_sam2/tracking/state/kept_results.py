"""The way of a session into its store and back: what it is about, and its results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_sam2.errors import FrameError, LineageError, StoreError
from napari_sam2.labels.divisions import checked_divisions
from napari_sam2.labels.store.journal import holds_commits
from napari_sam2.labels.store.result_store import STORE_SUFFIX, ResultStore, part_of
from napari_sam2.prompts import FramePrompt, kind_of
from napari_sam2.stack import FrameStack, StackKind
from napari_sam2.tracking.label_writer import LabelWriter
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.tracking.state.session_io import settings_of, settings_to_save
from napari_sam2.tracking.state.stored_state import StateReader, StoredTrack
from napari_sam2.tracking.tracker import Tracker
from napari_sam2.types import Division, ObjectFrame


@dataclass(frozen=True, slots=True, eq=False)
class RestoredResults:
    """What a store gave a session, besides labels, tracks and acceptance.

    Attributes
    ----------
    prompts : dict of ObjectFrame to FramePrompt
    handed_over : frozenset of ObjectFrame
    undecided : tuple of ObjectFrame
        Prompts whose frames must be decided again, since what came of them is damaged.
    damaged : tuple of int
        Frames whose labels are damaged and have to be tracked again.
    skipped : dict of int to FrameError, or None
        Frames that an interrupted propagation could not read; None: none was interrupted.
    propagated : bool
        Whether there was any propagation.
    found : frozenset of int
        Tentative objects: found by a search and not reviewed yet.
    divisions : tuple of Division
    """

    prompts: dict[ObjectFrame, FramePrompt]
    handed_over: frozenset[ObjectFrame] = frozenset()
    undecided: tuple[ObjectFrame, ...] = ()
    damaged: tuple[int, ...] = ()
    skipped: dict[int, FrameError] | None = None
    propagated: bool = False
    found: frozenset[int] = frozenset()
    divisions: tuple[Division, ...] = ()


@dataclass(slots=True, eq=False)
class _Damage:
    """Frames whose labels are damaged, and decisions that are."""

    frames: frozenset[int]
    undecided: list[ObjectFrame] = field(default_factory=list)


def store_beside(session_file: Path, at: Mapping[int, int]) -> Path:
    """Return where the results of a session are kept whose file and positions are given.

    That is a folder of its own for each of several stacks of an image.
    """
    name = session_file.name.removesuffix(".json").removesuffix(".sam2")
    folder = session_file.with_name(name + STORE_SUFFIX)
    part = part_of(folder, at)
    return part if holds_commits(part) else folder


def about_session(model: Model, stack: FrameStack, settings: TrackingSettings) -> dict[str, Any]:
    """Return what a store says of a session: its image, its part of it, model and settings.

    Reads three frames of the stack.
    """
    return {
        "fingerprint": list(stack.fingerprint()),
        "axis": stack.axis,
        "at": {str(axis): index for axis, index in stack.at.items()},
        "channels": list(stack.channels),
        "region": None if stack.region is None else list(astuple(stack.region)),
        "contrast": [[each.low, each.high] for each in stack.contrast],
        "weights": model.weights_digest,
        "image_size": model.image_size,
        "settings": settings_to_save(model.name, stack, settings),
    }


def kept_settings(about: Mapping[str, Any] | None) -> TrackingSettings:
    """Return the settings that a store was made with; the defaults without one."""
    values = {} if about is None else about.get("settings")
    return settings_of(values if isinstance(values, dict) else {})


def kept_kind(about: Mapping[str, Any] | None) -> StackKind:
    """Return what the frames are that a store was made for; unknown without one."""
    values = {} if about is None else about.get("settings")
    return kind_of(values) if isinstance(values, dict) else StackKind.UNKNOWN


def kept_contrast(about: Mapping[str, Any] | None) -> Any:
    """Return the contrast that a store was made with; None without one."""
    return None if about is None else about.get("contrast") or None


def check_same_image(kept: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Raise an error unless kept results were made for the same pixels.

    Raises
    ------
    StoreError
        The image, or the part of it, is another one.
    """
    if same_image(kept, now):
        return
    raise StoreError(
        f"The results in {path} were made for another image, or another part of it.",
        safe="They are unchanged.",
        remedy="Open the image that they were made for, or choose another place.",
    )


def same_image(kept: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether results were made for the same part of the same image."""
    parts = ("axis", "at", "channels", "region")
    if any(kept.get(part) != now.get(part) for part in parts):
        return False
    one, other = kept.get("fingerprint"), now.get("fingerprint")
    if not isinstance(one, list) or not isinstance(other, list) or len(one) != len(other):
        return False
    # A frame that cannot be read now may have been readable then.
    return all(a == b for a, b in zip(one, other, strict=True) if None not in (a, b))


def continues(store: ResultStore, now: Mapping[str, Any], labels: Any) -> bool:
    """Return whether a store has the results of this session: its labels are the same.

    Parameters
    ----------
    store : ResultStore
    now : mapping
        What the session is about.
    labels : array-like, shape (T, Y, X)
        What the session has for labels.
    """
    parts = ("weights", "image_size", "settings", "contrast")
    known = json.loads(json.dumps(now))
    if store.state is None or not same_image(store.about, known):
        return False
    if any(store.about.get(part) != known[part] for part in parts):
        return False
    empty = set(range(len(labels)))
    for frame, plane in store.frames():
        if plane is None or not np.array_equal(plane, np.asarray(labels[frame])):
            return False
        empty.discard(frame)
    return not any(np.asarray(labels[frame]).any() for frame in empty)


def restore_results(
    store: ResultStore, model: Model, tracker: Tracker, writer: LabelWriter, now: Mapping[str, Any]
) -> RestoredResults:
    """Restore the results of a store in tracker and labels.

    What another model computed is taken for drawn. A frame whose labels are damaged becomes empty
    and is marked as not tracked.

    Parameters
    ----------
    store : ResultStore
        With a state.
    model : Model
    tracker : Tracker
    writer : LabelWriter
    now : mapping
        What the session is about.

    Raises
    ------
    StoreError
        The state is one that this version does not know.
    """
    computed = all(store.about.get(key) == now[key] for key in ("weights", "image_size"))
    state = store.state or {}
    try:
        reader = StateReader(store, model, writer.volume.shape)
        prompts = reader.prompts()
        tracks = reader.tracks(prompts, computed=computed)
        accepted = {ObjectFrame(int(number), int(frame)) for number, frame in state["accepted"]}
        handed = {ObjectFrame(int(number), int(frame)) for number, frame in state["handed_over"]}
        skipped = _errors(state["skipped"]) if state["running"] else None
        propagated = bool(state["propagated"])
        found = frozenset(int(number) for number in state.get("found", ()))
        divisions = _divisions(state.get("divisions", ()), writer.volume.shape[0])
    except (KeyError, TypeError, ValueError, OverflowError, LineageError) as error:
        raise StoreError(
            f"The results in {store.path} are not as this version of napari-sam2 writes them.",
            safe="They are unchanged.",
            remedy="Update it: python -m pip install --upgrade napari-sam2.",
        ) from error
    damage = _Damage(_take_labels(store, writer))
    for stored in tracks:
        _take_track(stored, tracker, writer, prompts, damage)
    for pair in accepted:
        track = tracker.tracks.get(pair.object_id)
        if track is not None and pair.frame in track.conditioning:
            writer.accept(*pair)
    for pair in reader.lost:
        mask = writer.mask(*pair)
        if pair not in accepted and mask.any():
            prompts[pair] = FramePrompt(mask=mask)
    undecided = tuple(pair for pair in damage.undecided if pair in prompts)
    return RestoredResults(
        prompts,
        frozenset(handed),
        undecided,
        tuple(sorted(damage.frames)),
        skipped,
        propagated,
        found,
        divisions,
    )


def _take_labels(store: ResultStore, writer: LabelWriter) -> frozenset[int]:
    """Fill the labels; return the frames that are damaged."""
    damaged = []
    empty = np.zeros(writer.volume.shape[1:], writer.volume.dtype)
    for frame, labels in store.frames():
        writer.volume.put_frame(frame, empty if labels is None else labels)
        if labels is None:
            damaged.append(frame)
    return frozenset(damaged)


def _take_track(
    stored: StoredTrack,
    tracker: Tracker,
    writer: LabelWriter,
    prompts: Mapping[ObjectFrame, FramePrompt],
    damage: _Damage,
) -> None:
    number = stored.object_id
    track = tracker.new_track(number)
    track.done, track.written = stored.done.copy(), stored.written.copy()
    track.span = stored.span
    for frame, decided in stored.conditioning:
        pair = ObjectFrame(number, frame)
        if decided is not None:
            track.conditioning[frame] = decided
            if frame in damage.frames:
                writer.put(number, frame, decided.mask)
        elif frame in damage.frames:
            damage.undecided.append(pair)
        else:
            drawn = tracker.as_drawn(track, frame, writer.mask(number, frame))
            track.conditioning[frame] = replace(drawn, prompt=prompts.get(pair))
    for frame in damage.frames - track.conditioning.keys():
        track.done[frame] = False
    for step, memories in stored.memories.items():
        track.remember(step, memories)
    track.absent_run = stored.absent_run
    tracker.tracks[number] = track


def _divisions(values: Sequence[Sequence[Any]], n_frames: int) -> tuple[Division, ...]:
    given = [
        Division(int(parent), tuple(map(int, children)), int(frame))
        for parent, children, frame in values
    ]
    return checked_divisions(given, n_frames)


def _errors(values: Sequence[Sequence[Any]]) -> dict[int, FrameError]:
    return {
        int(frame): FrameError(str(happened), frame=int(frame), safe=str(safe), remedy=str(remedy))
        for frame, happened, safe, remedy in values
    }
