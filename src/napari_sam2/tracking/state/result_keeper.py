"""`ResultKeeper`: writes what changes in a session to its store, about once per second.

Less often where that takes long, as with many thousands of accepted masks: a quarter of the time at
most goes to it. The session's lock guards it. A timer's thread writes what nothing else has written
by then.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import FrameError, StoreError
from napari_sam2.labels import FrameRecord, LabelsVolume
from napari_sam2.labels.frame_records import extent_of
from napari_sam2.labels.masks import Box, spanning
from napari_sam2.labels.store.result_store import ChangedFrame, ResultStore
from napari_sam2.prompts import PromptBook
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.tracking.state.stored_state import StateWriter
from napari_sam2.types import Division, FrameMasks, ObjectFrame

_INTERVAL_S = 0.8  # between two commits while results arrive
_DELAY_S = 1.2  # from a change to its commit if no other result arrives
_REST = 3  # so many times as long as a commit takes, nothing is written


@dataclass(frozen=True, slots=True, eq=False)
class SessionParts:
    """The parts of a session that are kept besides its labels.

    Attributes
    ----------
    prompts : PromptBook
    tracks : mapping of int to ObjectTrack
    accepted, handed_over : set of ObjectFrame
    found : set of int
        Tentative objects: found by a search and not reviewed yet.
    divisions : tuple of Division
    skipped : mapping of int to FrameError
        Frames that the last propagation could not read.
    running : bool
        Whether that propagation is not at its end.
    propagated : bool
        Whether there has been any.
    """

    prompts: PromptBook
    tracks: Mapping[int, ObjectTrack]
    accepted: Set[ObjectFrame]
    handed_over: Set[ObjectFrame]
    found: Set[int]
    divisions: tuple[Division, ...]
    skipped: Mapping[int, FrameError]
    running: bool
    propagated: bool

    def describe(self) -> dict[str, Any]:
        """Return what is neither prompts nor tracks, as JSON values."""
        return {
            "accepted": sorted(self.accepted),
            "handed_over": sorted(self.handed_over),
            "found": sorted(self.found),
            "divisions": [
                [each.parent, list(each.children), each.frame] for each in self.divisions
            ],
            "skipped": [
                [frame, error.happened, error.safe, error.remedy]
                for frame, error in sorted(self.skipped.items())
            ],
            "running": self.running,
            "propagated": self.propagated,
        }


class ResultKeeper:
    """Collects what changes in a session, and commits it to a store.

    Parameters
    ----------
    store : ResultStore
    volume : LabelsVolume
        Its changes are noted from now on.
    parts : callable
        Gives the parts of the session as they are.

    Attributes
    ----------
    store : ResultStore
    trouble : StoreError or None
        Why the last changes could not be written; None if they were, or were not due.
    measures : bool
        Whether the session is to `note` its results; False where the caller gives records itself.
        Such a caller also reads `trouble` itself, and is not warned.
    """

    def __init__(
        self, store: ResultStore, volume: LabelsVolume, parts: Callable[[], SessionParts]
    ) -> None:
        self.store = store
        self.trouble: StoreError | None = None
        self.measures = True
        self._volume = volume
        self._parts = parts
        self._writer = StateWriter()
        self._frames: dict[int, Box | None] = {}
        self._records: dict[ObjectFrame, FrameRecord] = {}
        self._lost: set[ObjectFrame] = set()  # objects that lost pixels, and where
        self._last = -np.inf
        self._took = 0.0  # seconds of the last commit
        self._timer: threading.Timer | None = None
        volume.on_patch = self.changed

    def changed(self, frame: int, box: Box | None = None, lost: Collection[int] = ()) -> None:
        """Record the box of a frame where labels changed, and which objects lost pixels."""
        self._lost.update([ObjectFrame(object_id, frame) for object_id in lost])
        if box is None or (frame in self._frames and self._frames[frame] is None):
            self._frames[frame] = None
        else:
            self._frames[frame] = spanning((self._frames.get(frame), box))

    def note(self, result: FrameMasks) -> None:
        """Measure the masks of a result, and note them with their scores."""
        for number, mask, score, presence in zip(
            result.object_ids,
            result.masks,
            result.scores.tolist(),
            result.presence.tolist(),
            strict=True,
        ):
            record = FrameRecord(
                number,
                result.frame,
                score=score,
                presence=presence,
                filling=number in result.filling,
            )
            self.record([_measured(record, mask)])

    def record(self, records: Iterable[FrameRecord]) -> None:
        """Keep records; they replace those of the same objects and frames."""
        for record in records:
            self._records[record.key] = record
            self._lost.discard(record.key)

    @property
    def due(self) -> bool:
        """Whether the last commit was long enough ago."""
        return time.monotonic() - self._last >= max(_INTERVAL_S, _REST * self._took)

    def schedule(self, write: Callable[[], None]) -> None:
        """Call `write` in a timer thread, unless `commit` comes first.

        That is about a second from now, or after the rest that follows a slow commit.
        """
        if self._timer is None:
            self._timer = threading.Timer(max(_DELAY_S, _REST * self._took), write)
            self._timer.daemon = True
            self._timer.start()

    def commit(self) -> None:
        """Write everything that has changed; a failure is noted and does not stop the work."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.store.closed:
            return
        began = time.monotonic()
        try:
            self._commit()
        except StoreError as error:
            if self.trouble is None and self.measures:
                warnings.warn(str(error), stacklevel=2)
            # The first failure until a commit succeeds: the reason is the same.
            self.trouble = self.trouble or error
        else:
            self.trouble = None
        self._last = time.monotonic()
        self._took = self._last - began

    def close(self) -> None:
        """Write everything, and let other sessions write to the store."""
        try:
            self.commit()
        finally:
            self._volume.on_patch = None
            self.store.close()

    def _commit(self) -> None:
        if self.measures:
            self._measure_again()
        parts, labels = self._parts(), self._volume.array
        pieces, state = self._writer.pieces(parts.prompts, list(parts.tracks.values()))
        self.store.commit(
            lambda: {**state(), **parts.describe()},
            pieces,
            [ChangedFrame(f, np.asarray(labels[f]), box) for f, box in self._frames.items()],
            self._records.values(),
        )
        self._frames.clear()
        self._records.clear()
        self._lost.clear()

    def _measure_again(self) -> None:
        """Measure the masks that lost pixels to other objects; scores stay as long as they do."""
        lost: dict[int, set[int]] = {}
        for object_id, frame in self._lost:
            lost.setdefault(frame, set()).add(object_id)
        for frame, object_ids in lost.items():
            labels = np.asarray(self._volume.array[frame])
            known = {each.object_id: each for each in self.store.frame_records(frame)}
            for object_id in object_ids:
                record = self._records.get(ObjectFrame(object_id, frame), known.get(object_id))
                if record is None or not record.area:
                    continue
                smaller = _measured(record, labels == object_id)
                gone = FrameRecord(object_id, frame)
                self.record([smaller if smaller.area else gone])


def _measured(record: FrameRecord, mask: NDArray[np.bool_]) -> FrameRecord:
    """Return a record with the area and the centre of a mask, bool (Y, X)."""
    extent = extent_of(mask)
    area, centre = (0, (0.0, 0.0)) if extent is None else (extent.area, extent.centre)
    return replace(record, area=area, centre=centre)
