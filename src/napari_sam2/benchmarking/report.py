"""Results of a benchmark: frozen figures, and their text as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from napari_sam2._text_table import table_lines


@dataclass(frozen=True, slots=True)
class StageCost:
    """Cost of one stage per frame.

    Attributes
    ----------
    stage : str
        encode, attend, decode or remember.
    seconds : float
        Per frame, mean.
    flops : float
        Floating-point operations per frame, mean.
    """

    stage: str
    seconds: float
    flops: float


@dataclass(frozen=True, slots=True)
class SpeedResult:
    """The speed with one number of objects.

    Attributes
    ----------
    objects : int
    first_mask : float
        Seconds from the first click on a frame never seen to its mask.
    next_click : float
        Seconds from a further click on that frame to its mask.
    frame : float
        Seconds per frame of propagation, median.
    correction : float
        Seconds per frame of propagating again after a correction, median; features that are still
        kept are not encoded again.
    stages : tuple of StageCost
        Stages of propagation.
    """

    objects: int
    first_mask: float
    next_click: float
    frame: float
    correction: float
    stages: tuple[StageCost, ...]


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """Results of a benchmark, and the model and machine that it ran on.

    Attributes
    ----------
    model, device : str
    image_size, frame_size : int
        Sides of the model input and of the frames, in pixels.
    speed : str
        Level of speed; the stages say what the smaller input costs.
    approximations : tuple of str
        Approximations of this level with this model.
    frames, threads : int
        Frames propagated, and threads of the CPU.
    peak : float
        FLOP per second of the device's matrix product.
    speeds : tuple of SpeedResult
        One per number of objects.
    """

    model: str
    device: str
    image_size: int
    speed: str
    approximations: tuple[str, ...]
    frame_size: int
    frames: int
    threads: int
    peak: float
    speeds: tuple[SpeedResult, ...]


def report_to_json(report: BenchmarkReport) -> str:
    """Return the figures as JSON text; seconds, FLOP and FLOP per second."""
    return json.dumps(asdict(report), indent=2)


def format_report(report: BenchmarkReport) -> str:
    """Return the figures as tables for a terminal."""
    title = (
        f"{report.model} on {report.device} ({report.threads} threads), input {report.image_size}, "
        f"{report.frames} frames of {report.frame_size} x {report.frame_size}"
    )
    if report.approximations:
        title += f"\n{report.speed}, approximated with {', '.join(report.approximations)}"
    limit = f"matrix product: {report.peak / 1e9:.0f} GFLOP/s"
    speeds = [["objects", "first mask", "next click", "s/frame", "frames/s", "corrected s/frame"]]
    speeds += [
        [
            str(speed.objects),
            f"{speed.first_mask:.3f}",
            f"{speed.next_click:.3f}",
            f"{speed.frame:.3f}",
            f"{1 / speed.frame:.2f}",
            f"{speed.correction:.3f}",
        ]
        for speed in report.speeds
    ]
    stages = [["objects", "stage", "s/frame", "GFLOP", "GFLOP/s", "of the limit"]]
    stages += [
        _stage_row(speed.objects, cost, report.peak)
        for speed in report.speeds
        for cost in speed.stages
    ]
    return "\n".join([title, limit, "", *table(speeds), "", *table(stages)])


def _stage_row(objects: int, cost: StageCost, peak: float) -> list[str]:
    rate = cost.flops / cost.seconds
    return [
        str(objects),
        cost.stage,
        f"{cost.seconds:.4f}",
        f"{cost.flops / 1e9:.2f}",
        f"{rate / 1e9:.1f}",
        f"{rate / peak:.0%}",
    ]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines of text, aligned right; the first row holds the titles."""
    titles, *others = rows
    return table_lines(titles, others)
