"""`SegmentSummary`: what came of the segmentation of one stack, as JSON and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.types import Speed

if TYPE_CHECKING:
    from napari_sam2.prompts import PromptBook
    from napari_sam2.segmentation.session_runner import RunOutcome

_NAMED = 5  # number of skipped frames whose reasons are printed


@dataclass(frozen=True, slots=True)
class SegmentedObject:
    """Size and mean score of one object of a finished run.

    An object is ``tracked`` if it was found in other frames than its prompted ones, or, where there
    are no others, in these.
    """

    object_id: int
    frames: int
    pixels: int
    mean_score: float
    tracked: bool


@dataclass(frozen=True, slots=True)
class SkippedFrame:
    """A frame that could not be read, and why."""

    frame: int
    reason: str


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """The result of ``segment``, as ``--json`` prints it.

    ``shape`` and ``axes`` are those of the labels. ``video``, ``channels`` and ``at`` say what was
    seen of the image, by numbers of its axes. ``frames_done`` counts the frames with a result, of
    all volumes together; ``frame_results`` counts those twice that are passed in both directions.
    ``unlikely_left_out`` counts objects that searches left out, each as often as it was found,
    ``divisions`` those that are known of the objects.
    """

    stack: str
    shape: tuple[int, ...]
    region: tuple[int, int, int, int] | None
    axes: str
    series: int
    level: int
    video: int | None
    channels: tuple[int, ...]
    at: dict[int, int]
    frames: int
    volumes: int
    model: str
    device: str
    image_size: int
    speed: Speed
    approximations: tuple[str, ...]
    objects: tuple[SegmentedObject, ...]
    frames_done: int
    frame_results: int
    skipped: tuple[SkippedFrame, ...]
    unlikely_left_out: int
    divisions: int
    seconds: float
    complete: bool
    labels: str
    overlay: str | None
    session: str | None
    tracks: tuple[str, ...]
    table: str | None


def summarise_objects(
    object_ids: Sequence[int], labels: Any, outcome: RunOutcome, prompted: PromptBook
) -> tuple[SegmentedObject, ...]:
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
        SegmentedObject(
            object_id,
            frames[object_id],
            pixels[object_id],
            outcome.mean_scores.get(object_id, 0.0),
            frames[object_id] > min(len(prompted.frames(object_id)), max(outcome.frames, 1) - 1),
        )
        for object_id in object_ids
    )


def describe(summary: SegmentSummary) -> str:
    """Return the summary as a few lines."""
    found = sum(1 for one in summary.objects if one.tracked)
    lines = [
        f"{found} of {len(summary.objects)} objects in {_extent(summary)}, "
        f"{summary.seconds:.1f} s with {summary.model} at {summary.image_size} px "
        f"on {summary.device}",
        f"labels: {summary.labels}",
    ]
    lost = [one for one in summary.objects if not one.tracked]
    if lost:
        lines.append(f"not found beyond the prompted frames: {_numbers_of(lost)}")
    if summary.unlikely_left_out:
        lines.append(
            "left out as unlikely (noise, tiny, or dark among bright ones): "
            f"{summary.unlikely_left_out} (--min-size with an area keeps them)"
        )
    if summary.divisions:
        lines.append(f"divisions: {summary.divisions}")
    if summary.approximations:
        lines.append(f"{summary.speed}, approximated with {', '.join(summary.approximations)}")
    if summary.overlay:
        lines.append(f"overlay: {summary.overlay}")
    if summary.session:
        lines.append(f"session: {summary.session}")
    lines += [f"tracks: {path}" for path in summary.tracks]
    if summary.table:
        lines.append(f"measurements: {summary.table}")
    if summary.skipped:
        lines += _describe_skipped(summary.skipped)
    if not summary.complete:
        lines.append(
            "Stopped early: frames that were not reached are background. The same command with "
            "--resume goes on."
        )
    return "\n".join(lines)


def _extent(summary: SegmentSummary) -> str:
    frames = "1 frame" if summary.frames == 1 else f"{summary.frames} frames"
    everything = f"{summary.volumes} volumes of {frames}" if summary.volumes > 1 else frames
    if summary.frames_done == summary.frames * summary.volumes:
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


def _numbers_of(objects: Sequence[SegmentedObject]) -> str:
    few = ", ".join(str(one.object_id) for one in objects[:_NAMED])
    more = "" if len(objects) <= _NAMED else f" and {len(objects) - _NAMED} more"
    return f"{'object' if len(objects) == 1 else 'objects'} {few}{more}"
