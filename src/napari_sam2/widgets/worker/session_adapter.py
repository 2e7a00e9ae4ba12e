"""Applies annotations to a `TrackingSession` and collects what changed.

Worker thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import DeviceError, Sam2Error
from napari_sam2.labels import Edit, FrameRecord, PlaneChange, RecordBook
from napari_sam2.prompts import FramePrompt, SessionFile
from napari_sam2.types import FrameMasks, ObjectFrame
from napari_sam2.widgets.state.object_edits import Choose, Delete, Merge, ObjectEdit, Split
from napari_sam2.widgets.state.session_spec import Annotations, PlacedPrompt, SessionFeedback
from napari_sam2.widgets.worker.session_protocol import Session


@dataclass(frozen=True, slots=True, eq=False)
class AdapterState:
    """What a `SessionAdapter` knew at one moment."""

    owner: SessionAdapter
    session: Any
    known: Mapping[ObjectFrame, FramePrompt]
    refused: Mapping[ObjectFrame, FramePrompt]
    accepted: frozenset[ObjectFrame]


class SessionAdapter:
    """Keeps a session in line with the prompts of the window.

    The window states what there is, not what has changed; this class finds the difference and
    asks the session for no more than that.

    Parameters
    ----------
    session : Session
        A fresh session.
    on_result : callable, optional
        Told the masks that each prompt gives.
    on_progress : callable, optional
        Told how many of how many frames have been accepted.
    """

    def __init__(
        self,
        session: Session,
        on_result: Callable[[FrameMasks], None] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.session = session
        self._on_result = on_result or (lambda _result: None)
        self._on_progress = on_progress or (lambda _done, _total: None)
        self._known: dict[ObjectFrame, FramePrompt] = {}
        self._refused: dict[ObjectFrame, FramePrompt] = {}
        self._accepted: set[ObjectFrame] = set()

    def bring_up_to(self, annotations: Annotations) -> list[Sam2Error]:
        """Make these prompts the session's prompts, and these frames its accepted ones.

        A prompt that the session refuses is not offered again with every later click; all
        others are taken in.

        Parameters
        ----------
        wanted : Annotations
            All prompts and acceptance that there are to be.

        Returns
        -------
        list of Sam2Error
            Why prompts were refused.

        Raises
        ------
        DeviceError
            Nothing more can be computed.
        """
        annotations = self._sure(annotations)
        prompts = {placed.position: placed.prompt for placed in annotations.prompts}
        errors: list[Sam2Error] = []
        for position in sorted(self._accepted - annotations.accepted):
            self._attempt(errors, self._unaccept, position)
        # New prompts first: an object whose only click moves to another frame is not lost.
        for position, prompt in prompts.items():
            if prompt in (self._known.get(position), self._refused.get(position)):
                continue
            if position in annotations.accepted:
                # The mask that came of it is accepted: it must not be computed anew.
                self._known[position] = prompt
            elif not self._attempt(errors, self._set, position, prompt):
                self._refused[position] = prompt
        # Frame by frame, so that each is encoded once for all its objects.
        new = sorted(annotations.accepted - self._accepted, key=ObjectFrame.by_frame)
        for done, position in enumerate(new):
            self._on_progress(done, len(new))
            self._attempt(errors, self._accept, position)
        for position in sorted(self._known.keys() - prompts.keys()):
            self._remove(position)
        return errors

    def replay(self, saved: SessionFile, annotations: Annotations) -> Iterator[int]:
        """Take a session file in instead of all that was known; gives how many steps are left.

        `annotations` says in the words of the window what the file holds, so that nothing of it is
        told again.
        """
        self.bring_up_to(Annotations())
        for step in self.session.replay(saved):
            if step.masks is not None:
                self._on_result(step.masks)
            yield step.left
        self._known = {
            placed.position: placed.prompt
            for placed in annotations.prompts
            if self.session.prompts.get(*placed.position) is not None
        }
        self._accepted = set(self.session.accepted)
        self._refused.clear()

    def feedback(self) -> SessionFeedback:
        """Return what the session has made of the prompts."""
        session = self.session
        return SessionFeedback(
            session.prompts.copy(), dict(self._refused), session.corrected_masks()
        )

    def state(self) -> AdapterState:
        """Return what is known now; for `restore`."""
        return AdapterState(
            self,
            self.session.snapshot(),
            dict(self._known),
            dict(self._refused),
            frozenset(self._accepted),
        )

    def restore(self, state: AdapterState) -> bool:
        """Come back to a state, unless it is that of another session: then return False."""
        if state.owner is not self:
            return False
        self.session.restore(state.session)
        self._known, self._refused = dict(state.known), dict(state.refused)
        self._accepted = set(state.accepted)
        return True

    def learn(self) -> Annotations:
        """Take over what the session has made of prompts and acceptance by itself."""
        self._known = {ObjectFrame(i, frame): prompt for i, frame, prompt in self.session.prompts}
        self._accepted = set(self.session.accepted)
        return self._as_it_is()

    def _as_it_is(self) -> Annotations:
        prompts = tuple(PlacedPrompt(*position, prompt) for position, prompt in self._known.items())
        return Annotations(prompts, frozenset(self._accepted))

    def _sure(self, annotations: Annotations) -> Annotations:
        """Leave the objects as they are of which the window is not sure."""
        unsure, now = annotations.unsure, self._as_it_is()
        if not unsure:
            return annotations
        prompts = (
            *(placed for placed in annotations.prompts if placed.object_id not in unsure),
            *(placed for placed in now.prompts if placed.object_id in unsure),
        )
        accepted = {each for each in annotations.accepted if each.object_id not in unsure}
        accepted |= {each for each in now.accepted if each.object_id in unsure}
        return Annotations(prompts, frozenset(accepted))

    def _attempt(self, errors: list[Sam2Error], step: Callable[..., None], *values: object) -> bool:
        try:
            step(*values)
        except DeviceError:
            raise
        except Sam2Error as error:
            errors.append(error)
            return False
        return True

    def _accept(self, position: ObjectFrame) -> None:
        self._accepted.add(position)  # even if it is refused: it is not offered again
        self.session.accept(*position)

    def _unaccept(self, position: ObjectFrame) -> None:
        self._accepted.discard(position)
        if position in self.session.accepted:
            self.session.unaccept(*position)

    def _remove(self, position: ObjectFrame) -> None:
        if self.session.prompts.get(*position) is not None:
            self.session.remove_prompts(*position)
        del self._known[position]

    def _set(self, position: ObjectFrame, prompt: FramePrompt) -> None:
        """Have one prompt replaced by another; clicks that were only added refine the old one."""
        known, own = self._known.get(position), self.session.prompts.get(*position)
        added = None if known is None else prompt.clicks_since(known)
        new = prompt
        if added:
            # Positions of the session's own prompt may differ by what rounding has left.
            clicks = prompt.points[-added:], prompt.positive[-added:]
            new = FramePrompt(*clicks) if own is None else own.with_clicks(*clicks)
        self._accepted.discard(position)  # a prompt lifts acceptance
        if added != 0:  # else the window only knows of no rounds
            self._on_result(self.session.set_prompt(*position, new))
        self._known[position] = prompt


@dataclass(frozen=True, slots=True, eq=False)
class WorkSnapshot:
    """What was so before or after an edit, besides the labels."""

    state: AdapterState
    records: tuple[FrameRecord, ...]


class StackWork:
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
        See `SessionAdapter`.
    """

    def __init__(
        self,
        session: Session,
        labels: NDArray[Any],
        records: RecordBook,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.session = session
        self.live = SessionAdapter(session, self._judge, on_progress)
        self._labels, self._records = labels, records
        self._changes: list[PlaneChange] = []
        self._before: dict[int, NDArray[Any]] = {}  # planes that were written, as they were
        self._old: dict[ObjectFrame, FrameRecord] = {}
        self._new: dict[ObjectFrame, FrameRecord] = {}
        self._start: AdapterState | None = None
        session.watch_labels(self._written)

    @property
    def n_changes(self) -> int:
        """How often a plane of labels has changed since `begin`."""
        return len(self._changes)

    def begin(self) -> None:
        """Start to write down an edit."""
        self._changes, self._old = [], {}
        self._start = self.live.state()

    def end(self, number: int) -> Edit[WorkSnapshot]:
        """Return the edit that was made since `begin`."""
        self._settle()
        start = self._start or self.live.state()
        after = tuple(self._records.get(*key) for key in self._old)
        edit = Edit(
            number,
            WorkSnapshot(start, tuple(self._old.values())),
            WorkSnapshot(self.live.state(), after),
            tuple(self._changes),
        )
        self.begin()
        return edit

    def bring_up_to(
        self, annotations: Annotations, strokes: Iterable[PlaneChange] = ()
    ) -> list[Sam2Error]:
        """Take strokes, prompts and acceptance in; see `SessionAdapter.bring_up_to`."""
        for stroke in strokes:
            # It is in the labels, unless a frame was written while the user was painting.
            before = self._labels[stroke.frame].copy()
            stroke.undo(before)
            stroke.redo(self._labels[stroke.frame])
            self._written(stroke.frame, before, self._labels[stroke.frame].copy())
        return self.live.bring_up_to(annotations)

    def edit(self, edit: ObjectEdit) -> Annotations:
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

    def take_back(self, edit: Edit[WorkSnapshot], *, again: bool) -> bool:
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
