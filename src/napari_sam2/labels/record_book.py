"""The records of all objects of a stack, kept true to its labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from napari_sam2.labels.compose import Labels
from napari_sam2.labels.records import FrameRecord, measure
from napari_sam2.types import FrameMasks, ObjectFrame


class RecordBook:
    """What is known of every object in every frame: object and frame to `FrameRecord`."""

    def __init__(self) -> None:
        self._records: dict[ObjectFrame, FrameRecord] = {}
        self._forward: dict[ObjectFrame, bool] = {}  # direction of the pass that came last

    def __iter__(self) -> Iterator[FrameRecord]:
        return iter(self._records.values())

    def get(self, object_id: int, frame: int) -> FrameRecord:
        """Return what is known; an empty record if that is nothing."""
        return self._records.get(ObjectFrame(object_id, frame), FrameRecord(object_id, frame))

    def put(self, records: Iterable[FrameRecord]) -> None:
        """Take records in place of those of the same objects and frames."""
        for record in records:
            if is_known(record):
                self._records[record.key] = record
            else:
                self._records.pop(record.key, None)

    def look(self, frame: int, labels: Labels, before: Labels | None = None) -> list[FrameRecord]:
        """Return records of the objects of a frame whose place in its labels is another now.

        Nothing is kept: see `put`. An object that has lost all pixels has lost its scores too.

        Parameters
        ----------
        frame : int
        labels : ndarray of int, shape (Y, X)
            The frame now.
        before : ndarray of int, shape (Y, X), optional
            The frame as it was; background by default.
        """
        found = measure(labels)
        ids = found.keys() | (set() if before is None else measure(before).keys())
        changed = []
        for number in sorted(ids):
            old, extent = self.get(number, frame), found.get(number)
            if extent is None:
                # Scores that say that it is not there are still true.
                new = FrameRecord(number, frame) if old.area else old
            else:
                new = replace(old, area=extent.area, centre=extent.centre)
            if new != old:
                changed.append(new)
        return changed

    def judge(
        self, result: FrameMasks, labels: Labels, before: Labels, forward: bool | None = None
    ) -> list[FrameRecord]:
        """Return records of the objects of a result, with its scores.

        Parameters
        ----------
        result : FrameMasks
        labels, before : ndarray of int, shape (Y, X)
            The frame with the result in it, and before that.
        forward : bool, optional
            Which way the pass went that it comes from; None for a prompt.
        """
        found = measure(labels, result.object_ids)
        records = []
        for number, score, presence in zip(
            result.object_ids, result.scores, result.presence, strict=True
        ):
            key = ObjectFrame(number, result.frame)
            agreement = None
            if forward is not None and self._forward.get(key, forward) != forward:
                agreement = _iou(labels == number, before == number)
            if forward is not None:
                self._forward[key] = forward
            extent = found.get(number)
            records.append(
                FrameRecord(
                    number,
                    result.frame,
                    0 if extent is None else extent.area,
                    (0.0, 0.0) if extent is None else extent.centre,
                    float(score),
                    float(presence),
                    agreement,
                )
            )
        return records


def is_known(record: FrameRecord) -> bool:
    """Whether a record says anything."""
    return record.area > 0 or record.score is not None


def _iou(one: Labels, other: Labels) -> float:
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0
