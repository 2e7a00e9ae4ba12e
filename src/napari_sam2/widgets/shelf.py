"""The records of all stacks of an image, as the main thread knows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from napari_sam2.labels import FrameRecord, is_known
from napari_sam2.widgets.places import Place


@dataclass(frozen=True, slots=True)
class Summary:
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


class _Shelved:
    """Records of one object by frame; its summary costs nothing while frames are added."""

    def __init__(self) -> None:
        self.records: dict[int, FrameRecord] = {}
        self._summary: Summary | None = Summary()

    def put(self, record: FrameRecord) -> None:
        old = self.records.pop(record.frame, None)
        if is_known(record):
            self.records[record.frame] = record
        if old is not None or self._summary is None:
            self._summary = None
        elif record.area:
            lowest = self._summary.lowest
            scores = [each for each in (lowest, record.score) if each is not None]
            self._summary = Summary(self._summary.frames + 1, min(scores, default=None))

    def summary(self) -> Summary:
        if self._summary is None:
            present = [record for record in self.records.values() if record.area]
            scores = [record.score for record in present if record.score is not None]
            self._summary = Summary(len(present), min(scores, default=None))
        return self._summary


class Shelf:
    """Records by place, object and frame."""

    def __init__(self) -> None:
        self._places: dict[Place, dict[int, _Shelved]] = {}

    def put(self, place: Place, records: Iterable[FrameRecord]) -> None:
        """Take new records of a stack in."""
        objects = self._places.setdefault(place, {})
        for record in records:
            shelved = objects.setdefault(record.object_id, _Shelved())
            shelved.put(record)
            if not shelved.records:
                del objects[record.object_id]

    def objects(self, place: Place) -> tuple[int, ...]:
        """Return the objects of which there are records, ascending."""
        return tuple(sorted(self._places.get(place, {})))

    def summaries(self, place: Place) -> dict[int, Summary]:
        """Return all objects of a stack in short."""
        return {number: each.summary() for number, each in self._places.get(place, {}).items()}

    def records(self, place: Place, object_id: int) -> tuple[FrameRecord, ...]:
        """Return the records of an object, by frame."""
        shelved = self._places.get(place, {}).get(object_id)
        found = {} if shelved is None else shelved.records
        return tuple(found[frame] for frame in sorted(found))

    def frames(self, place: Place, object_id: int) -> tuple[int, ...]:
        """Return the frames that an object is in, ascending."""
        return tuple(r.frame for r in self.records(place, object_id) if r.area)

    def clear(self) -> None:
        """Forget everything."""
        self._places.clear()
