"""Handles the requests of the window on one session: annotations, edits, undo.

Worker thread only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import DetectionError, DeviceError, LineageError, Sam2Error
from napari_sam2.labels import (
    Edit,
    FrameRecord,
    PackedMask,
    PlaneChange,
    RecordBook,
    measure,
)
from napari_sam2.prompts import FramePrompt, SessionFile
from napari_sam2.types import Division, FrameMasks, ObjectFrame
from napari_sam2.widgets.state.object_edits import (
    AddFound,
    Choose,
    Delete,
    Discard,
    Divide,
    Merge,
    ObjectEdit,
    Split,
    Undivide,
)
from napari_sam2.widgets.state.search import SearchPlan, Sighting
from napari_sam2.widgets.state.session_spec import Annotations, PlacedPrompt, SessionFeedback
from napari_sam2.widgets.worker.session_protocol import Dividing, Keeping, Session


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What a `RequestHandler` knows before or after an edit, besides the labels."""

    owner: RequestHandler
    session: Any
    known: Mapping[ObjectFrame, FramePrompt]
    refused: Mapping[ObjectFrame, FramePrompt]
    accepted: frozenset[ObjectFrame]
    records: tuple[FrameRecord, ...] = ()

    @property
    def labels(self) -> NDArray[Any]:
        """The labels that the changes of the edit are of, perhaps of another part."""
        return self.owner.labels


@dataclass(frozen=True, slots=True, eq=False)
class _Proposed:
    """What a search has proposed, and the labels of its frame at that time."""

    number: int
    frame: int
    proposals: tuple[Any, ...]
    plane: NDArray[Any]


class RequestHandler:
    """Applies annotations and edits to one session, and records what they change.

    The window states all annotations that there are; the handler finds the difference and asks the
    session for no more than that. Worker thread only.

    Parameters
    ----------
    session : Session
        A fresh session.
    labels : ndarray, shape (T, Y, X)
        The labels that the session fills.
    records : RecordBook, optional
        Records of the objects in these labels.
    on_progress : callable, optional
        Called as ``on_progress(done, total)`` while frames are accepted.

    Attributes
    ----------
    session : Session
    keeping : Keeping or None
        The session, if it can keep its results on disk.
    """

    def __init__(
        self,
        session: Session,
        labels: NDArray[Any],
        records: RecordBook | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.session = session
        self.keeping: Keeping | None = session if isinstance(session, Keeping) else None
        self._divides: Dividing | None = session if isinstance(session, Dividing) else None
        self._labels = labels
        self._records = RecordBook() if records is None else records
        self._on_progress = on_progress
        self._known: dict[ObjectFrame, FramePrompt] = {}
        self._refused: dict[ObjectFrame, FramePrompt] = {}
        self._accepted: set[ObjectFrame] = set()
        self._accepted_then: frozenset[ObjectFrame] = frozenset()  # as of the last snapshot
        self._refused_divisions: tuple[Division, ...] | None = None
        self._changes: list[PlaneChange] = []
        self._before: dict[int, NDArray[Any]] = {}  # planes that were written, as they were
        self._old: dict[ObjectFrame, FrameRecord] = {}
        self._new: dict[ObjectFrame, FrameRecord] = {}
        self._start: Snapshot | None = None
        self._now: Snapshot | None = None  # as `end` has left it, until anything is done
        self._proposed: _Proposed | None = None
        session.watch_labels(self._written)

    @property
    def labels(self) -> NDArray[Any]:
        """The labels, (T, Y, X), that the session fills."""
        return self._labels

    @property
    def n_changes(self) -> int:
        """How often a plane of labels has changed since `begin`."""
        return len(self._changes)

    def begin(self) -> None:
        """Start to write down an edit."""
        self._changes, self._old = [], {}
        self._start = self._now or self._snapshot()

    def end(self, number: int) -> Edit[Snapshot]:
        """Return the edit that was made since `begin`."""
        self._settle()
        start = self._start or self._snapshot()
        before = replace(start, records=tuple(self._old.values()))
        after = self._snapshot(tuple([self._records.get(*key) for key in self._old]))
        edit = Edit(number, before, after, tuple(self._changes))
        self._changes, self._old, self._start, self._now = [], {}, after, after
        return edit

    def apply(
        self, annotations: Annotations, strokes: Iterable[PlaneChange] = ()
    ) -> list[Sam2Error]:
        """Make these prompts the session's prompts, and these frames its accepted ones.

        A prompt that the session refuses is not offered again with every later click; all
        others are taken in.

        Parameters
        ----------
        annotations : Annotations
            All prompts and acceptance that there are to be.
        strokes : iterable of PlaneChange
            What the user has painted into the labels.

        Returns
        -------
        list of Sam2Error
            Why prompts were refused.

        Raises
        ------
        DeviceError
            Nothing more can be computed.
        """
        self._now = None
        for stroke in strokes:
            # It is in the labels, unless a frame was written while the user was painting.
            before = self._labels[stroke.frame].copy()
            stroke.undo(before)
            stroke.redo(self._labels[stroke.frame])
            self._written(stroke.frame, before, self._labels[stroke.frame].copy())
            self._changed_here(stroke.frame)
        if annotations.unsure:
            annotations = self._sure(annotations)
        prompts = {placed.object_frame: placed.prompt for placed in annotations.prompts}
        errors: list[Sam2Error] = []
        # A session that was opened since lacks the prompts of accepted frames.
        lifted = self._accepted - annotations.accepted
        untold = {each for each in lifted if self.session.prompts.get(*each) is None}
        self._known = {k: prompt for k, prompt in self._known.items() if k not in untold}
        # What is new comes first: an object whose only decision moves to another frame is not lost.
        for object_frame, prompt in prompts.items():
            known = self._known.get(object_frame)
            if prompt in (known, self._refused.get(object_frame)):
                continue
            if known is not None and prompt.is_nearly(known):
                self._known[object_frame] = prompt  # the same, in the form of the window
                continue
            if object_frame in annotations.accepted:
                # The mask that came of it is accepted: it must not be computed anew.
                self._known[object_frame] = prompt
            elif not self._attempt(errors, self._set, object_frame, prompt):
                self._refused[object_frame] = prompt
        # Frame by frame, so that each is encoded once for all its objects.
        new = sorted(annotations.accepted - self._accepted, key=ObjectFrame.by_frame)
        for done, object_frame in enumerate(new):
            if self._on_progress is not None:
                self._on_progress(done, len(new))
            self._attempt(errors, self._accept, object_frame)
        for object_frame in sorted(self._accepted - annotations.accepted):
            self._attempt(errors, self._unaccept, object_frame)
        for object_frame in sorted(self._known.keys() - prompts.keys()):
            self._remove(object_frame)
        if annotations.divisions != self._divisions():
            self._attempt(errors, self._set_divisions, annotations.divisions)
        return errors

    def replay(self, saved: SessionFile, annotations: Annotations) -> Iterator[int]:
        """Take a session file in instead of all that was known; gives how many steps are left.

        `annotations` is what the file holds in the form of the window, so that nothing of it is
        sent again.
        """
        self.apply(Annotations())
        if self.keeping is not None:
            self._records.put(self.keeping.kept_records())
            self.mark_all_new()
        self._now = None
        for step in self.session.replay(saved):
            if step.masks is not None:
                self._judge(step.masks)
            yield step.left
        self._known = {
            placed.object_frame: placed.prompt
            for placed in annotations.prompts
            if self.session.prompts.get(*placed.object_frame) is not None
        }
        self._accepted = set(self.session.accepted)
        self._refused.clear()

    def feedback(self) -> SessionFeedback:
        """Return what the session has made of the prompts."""
        session = self.session
        return SessionFeedback(
            session.prompts.copy(),
            dict(self._refused),
            session.corrected_masks(),
            session.spans(),
        )

    def outdated(self) -> dict[int, frozenset[int]]:
        """Return the frames whose masks are older than the prompts that they follow from."""
        found = self.session.outdated_frames()
        return dict(zip(found, map(frozenset, found.values()), strict=True))

    def search(
        self,
        plan: SearchPlan,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> tuple[Sighting, ...]:
        """Look for objects in a frame; an `AddFound` edit adds those that are wanted.

        Parameters
        ----------
        plan : SearchPlan
        progress : callable
            Called with the share that is done, in 0..1.
        cancelled : callable
            Called often; True ends the search, and nothing is found.
        """
        self._proposed = None
        proposals = self.session.propose_objects(
            plan.frame,
            like=plan.like,
            region=plan.region,
            also_searched=plan.also_searched,
            progress=progress,
            cancelled=cancelled,
            min_size=plan.min_size,
            max_size=plan.max_size,
        )
        if proposals and not cancelled():
            plane = self._labels[plan.frame].copy()
            self._proposed = _Proposed(plan.number, plan.frame, proposals, plane)
        return tuple(
            Sighting(each.mask, each.similarity, each.continues, each.unlikely)
            for each in proposals
        )

    def forget_search(self) -> None:
        """Let go of what was found and not added."""
        self._proposed = None

    def edit(self, edit: ObjectEdit) -> Annotations:
        """Change objects; return what is left of prompts and acceptance."""
        self._now = None
        known = self.session.object_ids
        match edit:
            case Delete(object_id):
                self._remove_objects({object_id})
                self._relabel(object_id, 0)
            case Discard(object_ids):
                self._remove_objects(object_ids)
                self._erase(object_ids)
            case AddFound():
                self._add_found(edit)
            case Merge(object_id, other):
                if object_id in known and other in known:
                    self.session.merge(object_id, other)
                self._relabel(other, object_id)
            case Split(object_id, frame, new_id):
                if object_id in known:
                    self.session.split(object_id, frame, new_id)
                self._relabel(object_id, new_id, first=frame)
            case Divide():
                self._divide(edit)
            case Undivide(parents):
                self._undivide(parents)
            case Choose(object_id, frame, rank):
                self._judge(self.session.choose(object_id, frame, rank))
        return self.learn()

    def _remove_objects(self, object_ids: Collection[int]) -> None:
        known = set(object_ids) & set(self.session.object_ids)
        if known:
            self.session.remove_objects(known)

    def _undivide(self, parents: Iterable[int]) -> None:
        dividing = self._dividing()
        for parent in parents:
            dividing.remove_division(parent)

    def take_back(self, edit: Edit[Snapshot], *, again: bool) -> bool:
        """Undo an edit, or make it again; return whether session and prompts came along."""
        self._now = None
        moment = edit.after if again else edit.before
        came_along = moment is not None and self._restore(moment)
        self.rewrite(edit, again=again)
        return came_along

    def rewrite(self, edit: Edit[Snapshot], *, again: bool) -> None:
        """Undo what an edit has changed of labels and records, or do it again; nothing else."""
        self._now = None
        moment = edit.after if again else edit.before
        labels = self._labels if moment is None else moment.labels
        elsewhere = not _share_memory(labels, self._labels)
        planes = {f: self._labels[f].copy() for f in edit.frames()} if elsewhere else {}
        (edit.redo if again else edit.undo)(labels)
        for frame in edit.frames():
            self._changed_here(frame)
        if elsewhere:
            # Its records are those of another part of the frames.
            for frame, before in planes.items():
                self._keep(self._records.changed_records(frame, self._labels[frame], before))
        elif moment is not None:
            self._records.put(moment.records)
            self._new |= {each.key: each for each in moment.records}
            if self.keeping is not None:
                self.keeping.record(moment.records)

    def frame_done(self, result: FrameMasks) -> tuple[FrameRecord, ...]:
        """Write down the scores of a tracked frame; return the records that are new."""
        self._now = None
        self._judge(result)
        return self.take_new_records()

    def keep_records(self) -> None:
        """Have all records kept on disk, if the session keeps anything there."""
        if self.keeping is not None:
            self.keeping.record(list(self._records))

    def survey(self) -> None:
        """Measure all objects of the labels."""
        known: defaultdict[int, list[int]] = defaultdict(list)
        for record in self._records:
            known[record.frame].append(record.object_id)
        for frame, plane in enumerate(self._labels):
            if plane.any() or frame in known:
                # What is known of an object counts only as long as its mask is the same.
                found = measure(plane)
                gone = [FrameRecord(i, frame) for i in known[frame] if i not in found]
                self._keep(each for each in gone if self._records.get(*each.key).area)
                self._keep(self._records.changed_records(frame, plane))

    def mark_all_new(self) -> None:
        """Count all records as new: they may never have been sent."""
        self._new |= {record.key: record for record in self._records}

    def take_new_records(self) -> tuple[FrameRecord, ...]:
        """Return all records that are others than when this was last asked."""
        if self._before:
            self._settle()
        new, self._new = tuple(self._new.values()), {}
        return new

    def _snapshot(self, records: tuple[FrameRecord, ...] = ()) -> Snapshot:
        session = self.session.snapshot()
        known, refused = dict(self._known), dict(self._refused)
        if self._accepted_then != self._accepted:  # else all snapshots share it
            self._accepted_then = frozenset(self._accepted)
        return Snapshot(self, session, known, refused, self._accepted_then, records)

    def _restore(self, snapshot: Snapshot) -> bool:
        """Return to a snapshot, unless it is one of another session: then return False."""
        if snapshot.owner is not self:
            return False
        self.session.restore(snapshot.session)
        self._known, self._refused = dict(snapshot.known), dict(snapshot.refused)
        self._accepted = set(snapshot.accepted)
        return True

    def take_over(self) -> None:
        """Take over what a session knows that continues from its results on disk."""
        self.learn()
        known = next(iter(self._records), None)
        if self.keeping is not None and known is None:
            self._records.put(self.keeping.kept_records())
            self.mark_all_new()

    def learn(self) -> Annotations:
        """Take over what the session has made of prompts and acceptance by itself."""
        self._now = None
        self._known = {ObjectFrame(i, frame): prompt for i, frame, prompt in self.session.prompts}
        self._accepted = set(self.session.accepted)
        return self._as_it_is()

    def _as_it_is(self) -> Annotations:
        prompts = tuple(
            PlacedPrompt(*object_frame, prompt) for object_frame, prompt in self._known.items()
        )
        return Annotations(prompts, frozenset(self._accepted), divisions=self._divisions())

    def _divisions(self) -> tuple[Division, ...]:
        return () if self._divides is None else self._divides.divisions

    def _dividing(self) -> Dividing:
        if self._divides is not None:
            return self._divides
        raise LineageError("Objects of this session do not divide.", safe="Nothing has changed.")

    def _set_divisions(self, wanted: tuple[Division, ...]) -> None:
        """Have these divisions; what is refused is not offered again with every later click."""
        if wanted == self._refused_divisions:
            return
        self._refused_divisions = wanted
        self._dividing().set_divisions(wanted)
        self._refused_divisions = None

    def _divide(self, edit: Divide) -> None:
        """Have an object divide; where it goes on as a child, it is split first."""
        session, new_id, children = self._dividing(), edit.new_id, edit.children
        with self._whole_or_not():
            if new_id is not None:
                at = self._first_from(edit.parent, edit.frame)
                if at is None:
                    children = tuple(each for each in children if each != new_id)
                else:
                    self.session.split(edit.parent, at, new_id)
                    self._relabel(edit.parent, new_id, first=at)
            session.add_division(edit.parent, children, edit.frame)

    @contextmanager
    def _whole_or_not(self) -> Iterator[None]:
        """Take an edit back that fails half-way."""
        try:
            yield
        except Sam2Error:
            self.take_back(self.end(0), again=False)
            self.begin()
            raise

    def _first_from(self, object_id: int, frame: int) -> int | None:
        """Return the first frame, from this one on, that an object is in."""
        for later in range(frame, len(self._labels)):
            if (self._labels[later] == object_id).any():
                return later
        return None

    def _sure(self, annotations: Annotations) -> Annotations:
        """Leave the objects as they are of which the window is not sure."""
        unsure = annotations.unsure
        now = self._as_it_is()
        prompts = (
            *(placed for placed in annotations.prompts if placed.object_id not in unsure),
            *(placed for placed in now.prompts if placed.object_id in unsure),
        )
        accepted = {each for each in annotations.accepted if each.object_id not in unsure}
        accepted |= {each for each in now.accepted if each.object_id in unsure}
        divisions = {each for each in annotations.divisions if not unsure & _objects(each)}
        divisions |= {each for each in now.divisions if unsure & _objects(each)}
        in_order = sorted(divisions, key=lambda each: (each.frame, each.parent))
        return Annotations(prompts, frozenset(accepted), divisions=tuple(in_order))

    def _attempt(self, errors: list[Sam2Error], step: Callable[..., None], *values: object) -> bool:
        try:
            step(*values)
        except DeviceError:
            raise
        except Sam2Error as error:
            errors.append(error)
            return False
        return True

    def _accept(self, object_frame: ObjectFrame) -> None:
        self._accepted.add(object_frame)  # even if it is refused: it is not offered again
        self.session.accept(*object_frame)

    def _unaccept(self, object_frame: ObjectFrame) -> None:
        self._accepted.discard(object_frame)
        if object_frame in self.session.accepted:
            self.session.unaccept(*object_frame)

    def _remove(self, object_frame: ObjectFrame) -> None:
        if self.session.prompts.get(*object_frame) is not None:
            self.session.remove_prompts(*object_frame)
        del self._known[object_frame]

    def _set(self, object_frame: ObjectFrame, prompt: FramePrompt) -> None:
        """Have one prompt replaced by another; clicks that were only added refine the old one."""
        known, own = self._known.get(object_frame), self.session.prompts.get(*object_frame)
        added = None if known is None else prompt.clicks_since(known, nearly=True)
        new = prompt
        if added:
            # Positions of the session's own prompt may differ by what rounding has left.
            clicks = prompt.points[-added:], prompt.positive[-added:]
            new = FramePrompt(*clicks) if own is None else own.with_clicks_of(prompt, added)
        self._accepted.discard(object_frame)  # a prompt lifts acceptance
        if added != 0:  # else only the rounds differ, which the window has not
            self._judge(self.session.set_prompt(*object_frame, new))
        self._known[object_frame] = prompt

    def _settle(self) -> None:
        """Measure what has been written."""
        for frame, before in self._before.items():
            self._keep(self._records.changed_records(frame, self._labels[frame], before))
        self._before.clear()

    def _written(self, frame: int, old: NDArray[Any], new: NDArray[Any]) -> None:
        change = PlaneChange.between(frame, old, new)
        if change is not None:
            self._changes.append(change)
            self._before.setdefault(frame, old)

    def _changed_here(self, frame: int) -> None:
        """Tell the session of labels that it has not written itself."""
        if self.keeping is not None:
            self.keeping.labels_changed(frame)

    def _judge(self, result: FrameMasks) -> None:
        now = self._labels[result.frame]
        before = self._before.get(result.frame, now)
        self._keep(self._records.result_records(result, now, before))

    def _keep(self, records: Iterable[FrameRecord]) -> None:
        kept: list[FrameRecord] = []
        for record in records:
            key = record.key
            if key not in self._old:
                self._old[key] = self._records.get(*key)
            self._records.put([record])
            self._new[key] = record
            kept.append(record)
        if kept and self.keeping is not None:
            self.keeping.record(kept)

    def _add_found(self, edit: AddFound) -> None:
        """Add what a search has proposed, where nothing else is by now."""
        proposed, self._proposed = self._proposed, None
        if proposed is None or proposed.number != edit.search:
            raise DetectionError(
                "The objects that were found are not known any more.",
                safe="Nothing was added.",
                remedy="Look for them again.",
            )
        frame, before = proposed.frame, self._labels[proposed.frame].copy()
        chosen = [
            (object_id, proposed.proposals[number])
            for object_id, number in zip(edit.object_ids, edit.chosen, strict=True)
        ]
        drawn = before != proposed.plane
        if drawn.any():
            drawn &= before != 0
            chosen = _whole([each for each in chosen if not _meets(each[1].mask, drawn)])
        if not chosen:
            raise DetectionError(
                "Other objects lie where objects were found.",
                safe="Nothing was added.",
                remedy="Look for objects again.",
            )
        # Those that are left out leave no gap between the new ids.
        new = iter(
            object_id
            for object_id, number in zip(edit.object_ids, edit.chosen, strict=True)
            if object_id != proposed.proposals[number].continues
        )
        chosen = [
            (object_id if object_id == each.continues else next(new), each)
            for object_id, each in chosen
        ]

        def elsewhere(at: int, old: NDArray[Any], new: NDArray[Any]) -> None:
            if at != frame:  # there it is one change, not one for every object
                self._written(at, old, new)

        numbers, proposals = zip(*chosen, strict=True)
        with self._whole_or_not():
            self.session.watch_labels(elsewhere)
            try:
                ids = self.session.add_proposals(proposals, numbers)
            finally:
                self.session.watch_labels(self._written)
                self._written(frame, before, self._labels[frame].copy())
        self._settle()
        measured = [self._records.get(object_id, frame) for object_id in ids]
        self._keep(
            replace(record, score=float(each.score))
            for record, (_, each) in zip(measured, chosen, strict=True)
        )

    def _erase(self, object_ids: Sequence[int]) -> None:
        """Take all pixels of some objects out of the labels."""
        for frame, plane in enumerate(self._labels):
            mask = np.isin(plane, object_ids)
            if mask.any():
                before = plane.copy()
                np.copyto(plane, plane.dtype.type(0), where=mask)
                self._written(frame, before, plane.copy())
                self._changed_here(frame)

    def _relabel(self, object_id: int, new_id: int, first: int = 0) -> None:
        """Change the id of pixels that the session knows nothing of."""
        for frame in range(first, len(self._labels)):
            plane = self._labels[frame]
            mask = plane == object_id
            if mask.any():
                before = plane.copy()
                np.copyto(plane, plane.dtype.type(new_id), where=mask)
                self._written(frame, before, plane.copy())
                self._changed_here(frame)


def _share_memory(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Tell whether two label arrays are views of the same pixels in memory."""
    if one is other:
        return True
    pointers = [each.__array_interface__["data"][0] for each in (one, other)]
    return one.shape == other.shape and one.strides == other.strides and len(set(pointers)) == 1


def _whole(chosen: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Leave out what has become of an object, where only one of two daughters is chosen."""
    origins = Counter(each.origin for _, each in chosen)
    return [(i, each) for i, each in chosen if each.origin is None or origins[each.origin] == 2]


def _meets(mask: PackedMask, drawn: NDArray[np.bool_]) -> bool:
    box, part = mask.part()
    return bool((part & drawn[box]).any())


def _objects(division: Division) -> frozenset[int]:
    return frozenset((division.parent, *division.children))


def joined(edits: Sequence[Edit[Snapshot]]) -> Edit[Snapshot]:
    """Make one edit, with the number of the last one, of several that were made in this order."""
    old: dict[ObjectFrame, FrameRecord] = {}
    new: dict[ObjectFrame, FrameRecord] = {}
    for edit in edits:
        for record in edit.before.records if edit.before else ():
            old.setdefault(record.key, record)
        new |= {record.key: record for record in (edit.after.records if edit.after else ())}
    before, after = edits[0].before, edits[-1].after
    return Edit(
        edits[-1].number,
        None if before is None else replace(before, records=tuple(old.values())),
        None if after is None else replace(after, records=tuple(new.values())),
        tuple(change for edit in edits for change in edit.changes),
    )
