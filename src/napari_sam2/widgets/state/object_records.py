"""Records of all objects: summaries, rows of the table, series of the timeline.

Main thread only.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from napari_sam2.labels import Doubt, FrameRecord, doubts, is_known
from napari_sam2.labels.divisions import parents_of
from napari_sam2.types import ObjectFrame
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.session_spec import Annotations, ObjectAnnotations


@dataclass(frozen=True, slots=True)
class RecordSummary:
    """An object in short.

    Attributes
    ----------
    frames : int
        Frames that it is in.
    lowest : float or None
        Lowest score of these frames; None if none has a score.
    """

    frames: int = 0
    lowest: float | None = None


Doubts = Mapping[int, tuple[Doubt, ...]]
"""Doubtful frames of an object, ascending, with their reasons."""


class DoubtCounts(NamedTuple):
    """How many frames of each object are doubtful, and whether all counts are of now."""

    by_object: Mapping[int, int]
    complete: bool


class _StackRecords:
    """Records of one object by frame; its summary follows them at little cost."""

    def __init__(self) -> None:
        self.records: dict[int, FrameRecord] = {}
        self.doubts: Doubts = {}  # as of the last call of `search`
        self._searched: frozenset[int] | None = None  # decided frames then; None: no longer true
        self._frames = 0
        self.scores, self.total = 0, 0.0  # how many there are, and their sum
        self._lowest: float | None = None
        self._stale = False  # the lowest score is gone, and the next one not computed yet

    def put(self, record: FrameRecord) -> None:
        old = self.records.pop(record.frame, None)
        if old != record:
            self._searched = None
        if is_known(record):
            self.records[record.frame] = record
        # Scores count in frames that the object is in.
        gone = old.score if old is not None and old.area else None
        come = record.score if record.area else None
        self.scores += (come is not None) - (gone is not None)
        self.total += (come or 0.0) - (gone or 0.0)
        self._frames += bool(record.area) - bool(old is not None and old.area)
        if come is not None and (self._lowest is None or come <= self._lowest):
            self._lowest, self._stale = come, False
        elif gone is not None and gone == self._lowest:
            self._stale = True

    def summary(self) -> RecordSummary:
        if self._stale:
            known = self.records.values()
            scores = [each.score for each in known if each.area and each.score is not None]
            self._lowest = min(scores, default=None)
            self._stale = False
        return RecordSummary(self._frames, self._lowest)

    def is_searched(self, decided: frozenset[int]) -> bool:
        """Whether `doubts` are those of now."""
        return self._searched is decided or self._searched == decided

    def search(self, decided: frozenset[int]) -> Doubts:
        """Find the doubtful frames, if they are not known."""
        if not self.is_searched(decided):
            self.search_anew(decided)
        return self.doubts

    def search_anew(self, decided: frozenset[int]) -> None:
        self.doubts, self._searched = doubts(self.records.values(), decided), decided


class ObjectRecords:
    """Records by stack, object and frame."""

    def __init__(self) -> None:
        self._positions: dict[StackPosition, dict[int, _StackRecords]] = {}
        self._outdated: dict[StackPosition, dict[int, frozenset[int]]] = {}

    def outdated(self, position: StackPosition) -> Mapping[int, frozenset[int]]:
        """Return the frames of each object whose masks are older than its prompts."""
        return self._outdated.get(position, {})

    def set_outdated(self, position: StackPosition, outdated: Mapping[int, frozenset[int]]) -> None:
        """Take in which masks of a stack are out of date."""
        self._outdated[position] = dict(outdated)

    def renewed(self, position: StackPosition, frame: int, object_ids: Iterable[int]) -> None:
        """Take in that the masks of some objects in a frame are of now."""
        outdated = self._outdated.get(position, {})
        for number in object_ids:
            frames = outdated.get(number, frozenset())
            if frame in frames:
                outdated[number] = frames - {frame}
                if not outdated[number]:
                    del outdated[number]

    def put(self, position: StackPosition, records: Iterable[FrameRecord]) -> None:
        """Take new records of a stack in."""
        objects = self._positions.setdefault(position, {})
        for record in records:
            known = objects.get(record.object_id)
            if known is None:
                known = objects[record.object_id] = _StackRecords()
            known.put(record)
            if not known.records:
                del objects[record.object_id]

    def objects(self, position: StackPosition) -> tuple[int, ...]:
        """Return the objects of which there are records, ascending."""
        return tuple(sorted(self._positions.get(position, {})))

    def summaries(self, position: StackPosition) -> dict[int, RecordSummary]:
        """Return all objects of a stack in short."""
        return {
            number: each.summary() for number, each in self._positions.get(position, {}).items()
        }

    def follows(self, position: StackPosition, prompted: Mapping[int, int]) -> bool:
        """Tell whether all objects are in more frames of a stack than they have prompts in."""
        known = self._positions.get(position, {})
        return all(
            number in known and known[number].summary().frames > frames
            for number, frames in prompted.items()
        )

    def mean_score(self, position: StackPosition, object_id: int | None = None) -> float | None:
        """Return the mean score of an object, or of all, in all frames that it is in.

        None where there is no score.
        """
        known = self._positions.get(position, {})
        objects = [known[i] for i in (known if object_id is None else [object_id]) if i in known]
        count = sum(each.scores for each in objects)
        return sum(each.total for each in objects) / count if count else None

    def records(self, position: StackPosition, object_id: int) -> tuple[FrameRecord, ...]:
        """Return the records of an object, by frame."""
        known = self._positions.get(position, {}).get(object_id)
        found = {} if known is None else known.records
        return tuple(map(found.__getitem__, sorted(found)))

    def of_stack(self, position: StackPosition) -> tuple[FrameRecord, ...]:
        """Return the records of all objects of a stack, by object; frames in any order."""
        objects = self._positions.get(position, {})
        return tuple([record for each in objects.values() for record in each.records.values()])

    def record(self, position: StackPosition, object_id: int, frame: int) -> FrameRecord | None:
        """Return what is known of an object in a frame; None: nothing."""
        known = self._positions.get(position, {}).get(object_id)
        return None if known is None else known.records.get(frame)

    def doubts(
        self, position: StackPosition, object_id: int, decided: frozenset[int] = frozenset()
    ) -> Doubts:
        """Return the doubtful frames of an object; prompted and accepted frames are decided."""
        known = self._positions.get(position, {}).get(object_id)
        return {} if known is None else known.search(decided)

    def doubt_counts(
        self, position: StackPosition, annotations: Annotations, seconds: float
    ) -> DoubtCounts:
        """Count the doubtful frames of all objects of a stack.

        After so many seconds, counts of before stand for those that would have to be found anew:
        while many objects are propagated, all of them change with every frame.
        """
        objects, end = self._positions.get(position, {}), time.perf_counter() + seconds
        counts, complete = {}, True
        for number in sorted(objects):
            known, decided = objects[number], annotations.decided(number)
            if not known.is_searched(decided):
                if time.perf_counter() < end:
                    known.search_anew(decided)
                else:
                    complete = False
            counts[number] = len(known.doubts)
        return DoubtCounts(counts, complete)

    def has(self, position: StackPosition, object_id: int, frame: int) -> bool:
        """Whether an object is in a frame."""
        known = self._positions.get(position, {}).get(object_id)
        record = None if known is None else known.records.get(frame)
        return record is not None and record.area > 0

    def frames(self, position: StackPosition, object_id: int) -> tuple[int, ...]:
        """Return the frames that an object is in, ascending."""
        return tuple(r.frame for r in self.records(position, object_id) if r.area)

    def by_position(self) -> dict[StackPosition, tuple[FrameRecord, ...]]:
        """Return all records of every stack."""
        return {position: self.of_stack(position) for position in self._positions}

    def clear(self) -> None:
        """Forget everything."""
        self._positions.clear()
        self._outdated.clear()


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object of the stack in view.

    Attributes
    ----------
    object_id : int
    name : str
        As the user named it; empty if that was not done.
    prompts : int
        Points, boxes and masks.
    frames : int
        Frames that it is in.
    lowest : float or None
        Lowest score of these frames; None if none has a score.
    accepted : int
        Accepted frames.
    doubtful : int
        Doubtful frames.
    outdated : int
        Frames whose mask is older than the prompts that it follows from.
    hidden : bool
    found : bool
        It was found automatically, and nobody has looked at it.
    parent : int or None
        The object that it comes from.
    divides : bool
        Whether it ends by dividing.
    """

    object_id: int
    name: str = ""
    prompts: int = 0
    frames: int = 0
    lowest: float | None = None
    accepted: int = 0
    doubtful: int = 0
    outdated: int = 0
    hidden: bool = False
    found: bool = False
    parent: int | None = None
    divides: bool = False


def object_rows(
    annotations: Annotations,
    summaries: Mapping[int, RecordSummary],
    names: Mapping[int, str],
    hidden: Collection[int],
    found: Collection[int] = (),
    doubtful: Mapping[int, int] = MappingProxyType({}),
    outdated: Mapping[int, frozenset[int]] = MappingProxyType({}),
    handed: Collection[ObjectFrame] = (),
) -> tuple[ObjectRow, ...]:
    """List all objects of a stack that are prompted, accepted or in the labels, by id.

    Parameters
    ----------
    annotations : Annotations
        Prompts and acceptance of the stack.
    summaries : mapping of int to RecordSummary
        What is known, by object.
    names : mapping of int to str
    hidden : collection of int
    found : collection of int
        Those that were found automatically and that nobody has looked at.
    doubtful : mapping of int to int
        How many doubtful frames each object has.
    outdated : mapping of int to frozenset of int
        Frames of each object whose masks are out of date.
    handed : collection of ObjectFrame
        Mask prompts that came from another volume: nobody gave them.
    """
    rows = []
    divisions = annotations.divisions
    parents = parents_of(divisions) if divisions else {}
    divided = {each.parent for each in divisions} if divisions else set()
    given = Counter([each.object_id for each in handed]) if handed else Counter[int]()
    for number in sorted(annotations.by_object.keys() | summaries.keys()):
        known, asked = (
            summaries.get(number, RecordSummary()),
            annotations.by_object.get(number, ObjectAnnotations()),
        )
        rows.append(
            ObjectRow(
                number,
                names.get(number, ""),
                asked.pieces - given[number],
                known.frames,
                known.lowest,
                len(asked.accepted),
                doubtful.get(number, 0),
                len(outdated.get(number, ())),
                number in hidden,
                number in found,
                parent=parents.get(number),
                divides=number in divided,
            )
        )
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class ObjectSeries:
    """Scores, areas and marks of one object.

    Attributes
    ----------
    n_frames : int
        Length of the stack.
    records : tuple of FrameRecord
        By frame.
    prompted, accepted : frozenset of int
        Frames.
    doubtful : mapping of int to tuple of Doubt
        Frames and reasons.
    found : frozenset of int
        Frames where it was found automatically, if nobody has looked at it.
    births : mapping of int to str
        Frames where the object divides or comes from a division, and a description of it.
    outdated : frozenset of int
        Frames whose mask is older than the prompts that it follows from.
    """

    n_frames: int = 1
    records: tuple[FrameRecord, ...] = ()
    prompted: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    doubtful: Mapping[int, tuple[Doubt, ...]] = field(default_factory=dict)
    found: frozenset[int] = frozenset()
    births: Mapping[int, str] = field(default_factory=dict)
    outdated: frozenset[int] = frozenset()

    def describe(self, frame: int) -> str:
        """Say what is known of a frame."""
        at = bisect_left(self.records, frame, key=attrgetter("frame"))
        found = self.records[at] if at < len(self.records) else None
        parts = [f"Frame {frame}"]
        if found is not None and found.frame == frame:
            parts.append(f"area {found.area} px" if found.area else "not there")
            if found.score is not None:
                parts.append(f"score {found.score:.2f}")
        if frame in self.found:
            parts.append("found, not looked at yet")
        elif frame in self.prompted:
            parts.append("prompted")
        parts += ["accepted"] if frame in self.accepted else []
        parts += [self.births[frame]] if frame in self.births else []
        parts += ["out of date: propagate again"] if frame in self.outdated else []
        parts += map(str, self.doubtful.get(frame, ()))
        return ", ".join(parts)


def series(
    object_id: int,
    n_frames: int,
    records: Iterable[FrameRecord],
    annotations: Annotations,
    found: frozenset[int] = frozenset(),
    outdated: frozenset[int] = frozenset(),
    doubtful: Doubts | None = None,
) -> ObjectSeries:
    """Put together what is known of an object.

    `found` are frames where it was found by itself, `outdated` those whose mask is out of date.
    Doubtful frames are searched for here if they are not given.
    """
    records, asked = tuple(records), annotations.by_object.get(object_id, ObjectAnnotations())
    prompted, accepted = asked.prompted, asked.accepted
    if doubtful is None:
        doubtful = doubts(records, asked.decided)
    births: dict[int, str] = {}
    for each in annotations.divisions:
        if object_id in each.children:
            births[each.frame] = f"born of object {each.parent}"
        if object_id == each.parent:
            births[each.frame] = f"divides into {' and '.join(map(str, each.children))}"
    return ObjectSeries(n_frames, records, prompted, accepted, doubtful, found, births, outdated)


def next_frame(frames: Iterable[int], frame: int, step: int) -> int | None:
    """Return the next of some frames, forwards (1) or backwards (-1), round the end of the stack.

    None if there is none; the current frame only if it is the only one.
    """
    ordered = sorted(frames)
    if not ordered:
        return None
    ahead = [each for each in ordered if (each - frame) * step > 0]
    if ahead:
        return ahead[0] if step > 0 else ahead[-1]
    return ordered[0] if step > 0 else ordered[-1]
