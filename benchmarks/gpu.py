"""The figures of a GPU for README and docs/measurements/speed.md, as a table with the card's name.

    python benchmarks/gpu.py --output gpu.md
    python benchmarks/gpu.py --minutes 3 --models bundled sam2.1-tiny

`tox run -e gpu` runs this after the GPU tests. Without CUDA or MPS nothing is measured, and that is
said. From a uint16 stack in host memory to labels in host memory: everything that users wait for is
in the figures. Official models have random weights unless their checkpoints were downloaded; their
masks then have any extent, and IoU between precisions is only told of trained weights. What there
is no time for any more is left out, and listed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from figures import read_options, write_figures

from napari_sam2.benchmarking import (
    STAGES,
    EndToEnd,
    Journey,
    SpeedResult,
    Workload,
    agreement,
    device_name,
    measure_end_to_end,
    measure_speed,
    measured_peak,
)
from napari_sam2.errors import CheckpointError
from napari_sam2.network import OFFICIAL_CONFIGS, Sam2
from napari_sam2.tracking import Model, TrackingSettings, available_devices, load_model
from napari_sam2.tracking.device import half_precision_pays, halved

_MEMORIES = 18  # frames until all memories are there
_STAGE_FRAMES = 12
_COMPARED_FRAMES = 20
_SECONDS = 12.0  # of propagation at most: slow devices get less far
_RANDOM = TrackingSettings(exclusive=False)  # masks of random weights coincide
_PRECISION = "IoU of bfloat16 to float32"


@dataclass(frozen=True)
class Subject:
    """A model to measure, and with how many objects in frames of what size.

    Attributes
    ----------
    name : str
    objects : tuple of int
    size : int
        Side of a frame in pixels.
    """

    name: str
    objects: tuple[int, ...]
    size: int


SUBJECTS = (
    Subject("bundled", (1, 10, 100), 512),
    Subject("sam2.1-tiny", (1, 10), 1024),
    Subject("sam2.1-large", (1, 10), 1024),
)


@dataclass(frozen=True)
class Row:
    """One model with one number of objects; `share` is that of the device's limit."""

    model: str
    weights: str
    precision: str
    objects: int
    first_mask_ms: float
    frames_per_second: float
    peak_mib: float | None
    share: float
    stages: SpeedResult


@dataclass(frozen=True)
class Precision:
    """How alike the labels of both precisions are."""

    model: str
    objects: int
    iou: float


@dataclass(frozen=True)
class Findings:
    """All that there was time for."""

    device: str
    software: str
    peaks: dict[str, float]
    rows: tuple[Row, ...]
    precisions: tuple[Precision, ...]
    left_out: tuple[str, ...]


def load(name: str, device: torch.device, precision: str = "auto") -> tuple[Model, str]:
    """Return a model and whether its weights are trained; random where there is no checkpoint."""
    try:
        return load_model(name, device, precision=precision), "trained"
    except CheckpointError:
        if name not in OFFICIAL_CONFIGS:
            raise
    with device:  # to draw 224 million parameters on the CPU takes seconds
        network = Sam2(OFFICIAL_CONFIGS[name])
    network = network.to(device).eval().requires_grad_(False)
    half = half_precision_pays(device) if precision == "auto" else precision == "bfloat16"
    size = network.config.image_size
    return Model(halved(network) if half else network, name, device, size, half), "random"


def measure(
    model: Model, weights: str, size: int, objects: int, peak: float, journey: Journey
) -> Row:
    """Measure one model with one number of objects."""
    settings = _RANDOM if weights == "random" else None
    journey = replace(journey, objects=objects, size=size)
    whole = measure_end_to_end(model, journey, settings)
    affordable = min(_STAGE_FRAMES, journey.seconds / whole.frame)
    frames = max(2, min(int(affordable), journey.frames))
    stages = measure_speed(model, Workload(frames=frames, frame_size=size), objects)
    flops = sum(cost.flops for cost in stages.stages)
    return Row(
        model.name,
        weights,
        _precision(model),
        objects,
        1e3 * whole.first_mask,
        whole.frames_per_second,
        whole.peak_mib,
        flops / whole.frame / peak,
        stages,
    )


def compare_precisions(
    name: str, device: torch.device, size: int, objects: int, journey: Journey
) -> Precision | None:
    """Follow discs in both precisions; None for random weights, whose masks say nothing."""
    # Both propagate through equally many frames, whatever time that takes.
    frames = min(journey.frames, _COMPARED_FRAMES)
    alike = Journey(objects, size, warm_up=0, frames=frames, clicks=1)
    runs: list[EndToEnd] = []
    for precision in ("float32", "bfloat16"):
        model, weights = load(name, device, precision)
        if weights == "random":
            return None
        runs.append(measure_end_to_end(model, alike))
    return Precision(name, objects, agreement(*(run.labels for run in runs)))


def find(
    device: torch.device,
    subjects: Sequence[Subject],
    minutes: float,
    journey: Journey,
    clock: Callable[[], float] = time.monotonic,
) -> Findings:
    """Measure the cases that there is time for, the smallest first.

    Parameters
    ----------
    device : torch.device
    subjects : sequence of Subject
    minutes : float
        Nothing is begun later than that.
    journey : Journey
        How far objects are followed; its objects and size are those of the subjects.
    clock : callable
        Returns seconds.
    """
    end = clock() + 60 * minutes
    peaks = {
        str(dtype).removeprefix("torch."): measured_peak(device, dtype)
        for dtype in (torch.float32, torch.bfloat16)
    }
    rows: list[Row] = []
    precisions: list[Precision] = []
    left_out: list[str] = []
    for subject in subjects:
        loaded: tuple[Model, str] | None = None
        for objects in subject.objects:
            if clock() > end:
                left_out.append(f"{subject.name} with {objects} objects")
                continue
            loaded = loaded or load(subject.name, device)
            peak = peaks[_precision(loaded[0])]
            rows.append(measure(*loaded, subject.size, objects, peak, journey))
        loaded = None  # one model at a time
        if clock() > end:
            left_out.append(f"{_PRECISION}, {subject.name}")
            continue
        compared = compare_precisions(
            subject.name, device, subject.size, min(10, subject.objects[-1]), journey
        )
        precisions += [compared] if compared else []
        left_out += [] if compared else [f"{_PRECISION}, {subject.name}: its weights are random"]
    return Findings(
        device_name(device), _software(), peaks, tuple(rows), tuple(precisions), tuple(left_out)
    )


def as_markdown(found: Findings) -> str:
    """Return the findings as they go into the documentation."""
    rates = ", ".join(f"{name} {rate / 1e12:.3g} TFLOP/s" for name, rate in found.peaks.items())
    return "\n".join(_lines(found, rates)) + "\n"


def _lines(found: Findings, rates: str) -> Iterator[str]:
    yield f"### {found.device}"
    yield ""
    yield f"{found.software}. Large matrix products: {rates}."
    yield ""
    yield from _table(
        "model | weights | precision | objects | first mask, ms | frames/s | peak memory, MiB "
        "| share of the limit",
        (
            (
                f"`{row.model}`",
                row.weights,
                row.precision,
                str(row.objects),
                f"{row.first_mask_ms:.1f}",
                f"{row.frames_per_second:.1f}",
                "not told" if row.peak_mib is None else f"{row.peak_mib:.0f}",
                f"{row.share:.0%}",
            )
            for row in found.rows
        ),
    )
    yield ""
    yield from _table(
        "model | objects | " + " | ".join(f"{stage}, ms" for stage in STAGES),
        (
            (
                f"`{row.model}`",
                str(row.objects),
                *(
                    f"{1e3 * cost.seconds:.2f} "
                    f"({cost.flops / cost.seconds / found.peaks[row.precision]:.0%})"
                    for cost in row.stages.stages
                ),
            )
            for row in found.rows
        ),
    )
    if found.precisions:
        yield ""
        yield from _table(
            f"model | objects | {_PRECISION}",
            (
                (f"`{each.model}`", str(each.objects), f"{each.iou:.3f}")
                for each in found.precisions
            ),
        )
    if found.left_out:
        yield ""
        yield f"Left out: {'; '.join(found.left_out)}."


def _table(titles: str, rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {titles} |"
    yield "|---" * (titles.count("|") + 1) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _precision(model: Model) -> str:
    return "bfloat16" if model.half else "float32"


def _software() -> str:
    cuda = f", CUDA {torch.version.cuda}" if torch.version.cuda else ""
    return f"torch {torch.__version__}{cuda}, Python {platform.python_version()}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=[subject.name for subject in SUBJECTS])
    parser.add_argument("--minutes", type=float, default=4.0, help="nothing is begun later")
    parser.add_argument("--frames", type=int, default=40, help="timed, after a warm-up")
    parser.add_argument("--output", type=Path, help="also write the tables here, as Markdown")
    options = read_options(parser, arguments)
    kind = available_devices()[0]
    if kind == "cpu":
        sys.stdout.write("Neither CUDA nor MPS is here: nothing was measured.\n")
        return
    subjects = [each for each in SUBJECTS if not options.models or each.name in options.models]
    journey = Journey(1, 512, warm_up=_MEMORIES, frames=options.frames, seconds=_SECONDS)
    device = torch.device(kind, 0) if kind == "cuda" else torch.device(kind)
    found = find(device, subjects, options.minutes, journey)
    tables = as_markdown(found)
    sys.stdout.write(tables)
    if options.output:
        options.output.write_text(tables, encoding="utf-8")
    write_figures(options, [found])


if __name__ == "__main__":
    main()
