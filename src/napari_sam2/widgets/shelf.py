"""The records of all stacks of an image, as the main thread knows them."""

from __future__ import annotations

from collections.abc import Iterable

from napari_sam2.labels import FrameRecord, is_known
from napari_sam2.widgets.places import Place


class Shelf:
    """Records by place, object and frame."""

    def __init__(self) -> None:
        self._records: dict[Place, dict[int, dict[int, FrameRecord]]] = {}

    def put(self, place: Place, records: Iterable[FrameRecord]) -> None:
        """Take new records of a stack in."""
        objects = self._records.setdefault(place, {})
        for record in records:
            frames = objects.setdefault(record.object_id, {})
            if is_known(record):
                frames[record.frame] = record
            else:
                frames.pop(record.frame, None)
                if not frames:
                    del objects[record.object_id]

    def objects(self, place: Place) -> tuple[int, ...]:
        """Return the objects of which there are records, ascending."""
        return tuple(sorted(self._records.get(place, {})))

    def records(self, place: Place, object_id: int) -> tuple[FrameRecord, ...]:
        """Return the records of an object, by frame."""
        frames = self._records.get(place, {}).get(object_id, {})
        return tuple(frames[frame] for frame in sorted(frames))

    def frames(self, place: Place, object_id: int) -> tuple[int, ...]:
        """Return the frames that an object is in, ascending."""
        return tuple(r.frame for r in self.records(place, object_id) if r.area)

    def clear(self) -> None:
        """Forget everything."""
        self._records.clear()
