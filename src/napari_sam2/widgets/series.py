"""One object along the video axis, as the timeline shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from napari_sam2.labels import Doubt, FrameRecord, doubts
from napari_sam2.widgets.spec import Asked, Wanted


@dataclass(frozen=True, slots=True)
class Series:
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
    """

    n_frames: int = 1
    records: tuple[FrameRecord, ...] = ()
    prompted: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    doubtful: Mapping[int, tuple[Doubt, ...]] = field(default_factory=dict)

    def describe(self, frame: int) -> str:
        """Say what is known of a frame."""
        found = {record.frame: record for record in self.records}.get(frame)
        parts = [f"Frame {frame}"]
        if found is not None:
            parts.append(f"area {found.area} px" if found.area else "not there")
            if found.score is not None:
                parts.append(f"score {found.score:.2f}")
        parts += ["prompted"] if frame in self.prompted else []
        parts += ["accepted"] if frame in self.accepted else []
        parts += [str(doubt) for doubt in self.doubtful.get(frame, ())]
        return ", ".join(parts)


def series(object_id: int, n_frames: int, records: Iterable[FrameRecord], wanted: Wanted) -> Series:
    """Put together what is known of an object."""
    records, asked = tuple(records), wanted.by_object.get(object_id, Asked())
    prompted, accepted = asked.prompted, asked.accepted
    return Series(n_frames, records, prompted, accepted, doubts(records, prompted | accepted))


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
