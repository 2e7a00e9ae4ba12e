"""One stack under work: its session, and a record of all that happens to its labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import Sam2Error
from napari_sam2.labels import Edit, FrameRecord, PlaneChange, RecordBook
from napari_sam2.types import FrameMasks, ObjectFrame
from napari_sam2.widgets.edits import Choose, Delete, Merge, ObjectEdit, Split
from napari_sam2.widgets.live_session import LiveSession, LiveState
from napari_sam2.widgets.session_protocol import Session
from napari_sam2.widgets.spec import Wanted


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What was so before or after an edit, besides the labels."""

    state: LiveState
    records: tuple[FrameRecord, ...]


class Work:
    """Does things to a session, and writes down what they change. Worker thread only.

    Parameters
    ----------
    session : Session
        A fresh session.
    labels : ndarray, shape (T, Y, X)
        What it fills.
    records : RecordBook
        What is known of the objects in these labels.
    on_progress : callable, optional
        See `LiveSession`.
    """

    def __init__(
        self,
        session: Session,
        labels: NDArray[Any],
        records: RecordBook,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.session = session
        self.live = LiveSession(session, self._judge, on_progress)
        self._labels, self._records = labels, records
        self._changes: list[PlaneChange] = []
        self._before: dict[int, NDArray[Any]] = {}  # planes that were written, as they were
        self._old: dict[ObjectFrame, FrameRecord] = {}
        self._new: dict[ObjectFrame, FrameRecord] = {}
        self._start: LiveState | None = None
        session.watch_labels(self._written)

    @property
    def n_changes(self) -> int:
        """How often a plane of labels has changed since `begin`."""
        return len(self._changes)

    def begin(self) -> None:
        """Start to write down an edit."""
        self._changes, self._old = [], {}
        self._start = self.live.state()

    def end(self, number: int) -> Edit[Moment]:
        """Return the edit that was made since `begin`."""
        self._settle()
        start = self._start or self.live.state()
        after = tuple(self._records.get(*key) for key in self._old)
        edit = Edit(
            number,
            Moment(start, tuple(self._old.values())),
            Moment(self.live.state(), after),
            tuple(self._changes),
        )
        self.begin()
        return edit

    def bring_up_to(self, wanted: Wanted, strokes: Iterable[PlaneChange] = ()) -> list[Sam2Error]:
        """Take strokes, prompts and acceptance in; see `LiveSession.bring_up_to`."""
        for stroke in strokes:
            # It is in the labels, unless a frame was written while the user was painting.
            before = self._labels[stroke.frame].copy()
            stroke.undo(before)
            stroke.redo(self._labels[stroke.frame])
            self._written(stroke.frame, before, self._labels[stroke.frame].copy())
        return self.live.bring_up_to(wanted)

    def edit(self, edit: ObjectEdit) -> Wanted:
        """Change objects; return what is left of prompts and acceptance."""
        known = self.session.object_ids
        match edit:
            case Delete(object_id):
                if object_id in known:
                    self.session.remove_prompts(object_id)
                self._relabel(object_id, 0)
            case Merge(object_id, other):
                if object_id in known and other in known:
                    self.session.merge(object_id, other)
                self._relabel(other, object_id)
            case Split(object_id, frame, new_id):
                if object_id in known:
                    self.session.split(object_id, frame, new_id)
                self._relabel(object_id, new_id, first=frame)
            case Choose(object_id, frame, rank):
                self._judge(self.session.choose(object_id, frame, rank))
        return self.live.learn()

    def take_back(self, edit: Edit[Moment], *, again: bool) -> bool:
        """Undo an edit, or make it again; return whether session and prompts came along."""
        moment = edit.after if again else edit.before
        came_along = moment is not None and self.live.restore(moment.state)
        (edit.redo if again else edit.undo)(self._labels)
        if moment is not None:
            self._records.put(moment.records)
            self._new |= {each.key: each for each in moment.records}
        return came_along

    def frame_done(self, result: FrameMasks, *, forward: bool) -> tuple[FrameRecord, ...]:
        """Write down the scores of a tracked frame; return the records that are new."""
        self._judge(result, forward)
        return self.news()

    def survey(self) -> None:
        """Measure all objects of the labels."""
        for frame, plane in enumerate(self._labels):
            if plane.any():
                self._keep(self._records.look(frame, plane))

    def retell(self) -> None:
        """Take all records for new: nobody may have heard of them."""
        self._new |= {record.key: record for record in self._records}

    def news(self) -> tuple[FrameRecord, ...]:
        """Return all records that are others than when this was last asked."""
        self._settle()
        news, self._new = tuple(self._new.values()), {}
        return news

    def _settle(self) -> None:
        """Measure what has been written."""
        for frame, before in self._before.items():
            self._keep(self._records.look(frame, self._labels[frame], before))
        self._before.clear()

    def _written(self, frame: int, old: NDArray[Any], new: NDArray[Any]) -> None:
        change = PlaneChange.between(frame, old, new)
        if change is not None:
            self._changes.append(change)
            self._before.setdefault(frame, old)

    def _judge(self, result: FrameMasks, forward: bool | None = None) -> None:
        now = self._labels[result.frame]
        before = self._before.get(result.frame, now)
        self._keep(self._records.judge(result, now, before, forward))

    def _keep(self, records: Iterable[FrameRecord]) -> None:
        for record in records:
            key = record.key
            self._old.setdefault(key, self._records.get(*key))
            self._records.put([record])
            self._new[key] = record

    def _relabel(self, object_id: int, new_id: int, first: int = 0) -> None:
        """Change the id of pixels that the session knows nothing of."""
        for frame in range(first, len(self._labels)):
            plane = self._labels[frame]
            mask = plane == object_id
            if mask.any():
                before = plane.copy()
                np.copyto(plane, plane.dtype.type(new_id), where=mask)
                self._written(frame, before, plane.copy())
