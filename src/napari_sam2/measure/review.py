"""`Review`: scores and decisions of a session about the measured masks."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from napari_sam2.labels.frame_records import Doubt, FrameRecord, Limits, doubts
from napari_sam2.types import ObjectFrame


@dataclass(frozen=True, slots=True, eq=False)
class Review:
    """Scores and decisions per object and frame.

    Attributes
    ----------
    scores : mapping of ObjectFrame to float
        Presence times predicted IoU, in 0..1.
    prompted, accepted : frozenset of ObjectFrame
    doubtful : mapping of ObjectFrame to tuple of Doubt, optional
        None: scores and doubts are not known.
    """

    scores: Mapping[ObjectFrame, float] = field(default_factory=dict)
    prompted: frozenset[ObjectFrame] = frozenset()
    accepted: frozenset[ObjectFrame] = frozenset()
    doubtful: Mapping[ObjectFrame, tuple[Doubt, ...]] | None = None

    @classmethod
    def of(
        cls,
        records: Iterable[FrameRecord],
        prompted: Collection[ObjectFrame] = (),
        accepted: Collection[ObjectFrame] = (),
        limits: Limits | None = None,
    ) -> Review:
        """Return the review of frame records; doubtful frames are found by `labels.doubts`."""
        series: dict[int, list[FrameRecord]] = defaultdict(list)
        for record in records:
            series[record.object_id].append(record)
        # By object: with all frames accepted, there are as many decisions as records.
        decided: dict[int, set[int]] = defaultdict(set)
        for number, frame in itertools.chain(prompted, accepted):
            decided[number].add(frame)
        found = {
            ObjectFrame(number, frame): reasons
            for number, known in series.items()
            for frame, reasons in doubts(known, decided[number], limits).items()
        }
        scores = {each.key: each.score for known in series.values() for each in known if each.score}
        return cls(scores, frozenset(prompted), frozenset(accepted), found)
