"""What ``segment`` did, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.types import Speed

if TYPE_CHECKING:
    from napari_sam2.cli.runs import RunOutcome

_NAMED = 5  # skipped frames whose reason is told in full


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """One object of a finished run: its size, and how sure the model was."""

    object_id: int
    frames: int
    pixels: int
    mean_score: float


@dataclass(frozen=True, slots=True)
class SkippedFrame:
    """A frame that could not be read, and why."""

    frame: int
    reason: str


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """What ``segment`` did, as ``--json`` prints it.

    ``frames_done`` counts the frames with a result, of all volumes together; ``frame_results``
    counts those twice that are passed in both directions.
    """

    stack: str
    shape: tuple[int, ...]
    region: tuple[int, int, int, int] | None
    axes: str
    model: str
    device: str
    image_size: int
    speed: Speed
    approximations: tuple[str, ...]
    objects: tuple[ObjectSummary, ...]
    frames_done: int
    frame_results: int
    skipped: tuple[SkippedFrame, ...]
    seconds: float
    complete: bool
    labels: str
    overlay: str | None
    sessions: tuple[str, ...]


def summarise_objects(
    object_ids: Sequence[int], labels: Any, outcome: RunOutcome
) -> tuple[ObjectSummary, ...]:
    """Count the pixels and frames of every object in labels (..., Y, X)."""
    pixels: dict[int, int] = dict.fromkeys(object_ids, 0)
    frames: dict[int, int] = dict.fromkeys(object_ids, 0)
    for plane in labels.reshape(-1, *labels.shape[-2:]):
        ids, counts = np.unique(plane, return_counts=True)
        for object_id, count in zip(ids.tolist(), counts.tolist(), strict=True):
            if object_id in pixels:
                pixels[object_id] += count
                frames[object_id] += 1
    return tuple(
        ObjectSummary(
            object_id, frames[object_id], pixels[object_id], outcome.mean_scores.get(object_id, 0.0)
        )
        for object_id in object_ids
    )


def describe(summary: SegmentSummary) -> str:
    """Say it in a few lines."""
    found = sum(1 for one in summary.objects if one.pixels)
    lines = [
        f"{found} of {len(summary.objects)} objects in {_extent(summary)}, "
        f"{summary.seconds:.1f} s with {summary.model} at {summary.image_size} px "
        f"on {summary.device}",
        f"labels: {summary.labels}",
    ]
    if summary.approximations:
        lines.append(f"{summary.speed}, approximated with {', '.join(summary.approximations)}")
    if summary.overlay:
        lines.append(f"overlay: {summary.overlay}")
    lines += [f"session: {path}" for path in summary.sessions]
    if summary.skipped:
        lines += _describe_skipped(summary.skipped)
    if not summary.complete:
        lines.append(
            "Stopped early: frames that were not reached are background. The same command begins "
            "anew."
        )
    return "\n".join(lines)


def _extent(summary: SegmentSummary) -> str:
    *volumes, frames, _, _ = summary.shape
    everything = f"{volumes[0]} volumes of {frames} frames" if volumes else f"{frames} frames"
    if summary.frames_done == frames * (volumes[0] if volumes else 1):
        return everything
    return f"{summary.frames_done} of {everything}"


def _describe_skipped(skipped: tuple[SkippedFrame, ...]) -> list[str]:
    count = "1 frame was" if len(skipped) == 1 else f"{len(skipped)} frames were"
    lines = [f"{count} skipped; the labels there are empty:"]
    lines += [f"  {each.reason}" for each in skipped[:_NAMED]]
    if len(skipped) > _NAMED:
        numbers = ", ".join(str(each.frame) for each in skipped[_NAMED:])
        lines.append(f"  Likewise frames {numbers}.")
    return lines
