"""The speed of tracking: first mask, propagation, correction, and the stages of the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import torch

from napari_sam2.benchmarking.discs import DriftingDiscs
from napari_sam2.benchmarking.meter import STAGES, StageMeter, synchronise
from napari_sam2.benchmarking.report import BenchmarkReport, SpeedResult, StageCost
from napari_sam2.benchmarking.roofline import measured_peak
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings, approximations
from napari_sam2.types import Speed


@dataclass(frozen=True, slots=True)
class Workload:
    """Size of the stack that a benchmark tracks through.

    Attributes
    ----------
    frames : int
        Frames that objects are followed through; at least 2.
    frame_size : int
        Side of a frame in pixels.
    speed : Speed
        Level of speed.
    """

    frames: int
    frame_size: int
    speed: Speed = Speed.EXACT


def measure_model(
    model: Model,
    workload: Workload,
    objects: tuple[int, ...],
    progress: Callable[[int], None] = lambda _: None,
) -> BenchmarkReport:
    """Measure a model with each number of objects.

    Parameters
    ----------
    model : Model
    workload : Workload
    objects : tuple of int
        Numbers of objects to follow together.
    progress : callable
        Called with each number of objects before it is measured.

    Raises
    ------
    DeviceError
        The device has too little memory.
    """
    speeds = []
    for count in objects:
        progress(count)
        speeds.append(measure_speed(model, workload, count))
    return BenchmarkReport(
        model=model.name,
        device=str(model.device),
        image_size=model.image_size,
        speed=workload.speed,
        approximations=approximations(model, TrackingSettings(speed=workload.speed)),
        frame_size=workload.frame_size,
        frames=workload.frames,
        threads=torch.get_num_threads(),
        peak=measured_peak(model.device, torch.bfloat16 if model.half else torch.float32),
        speeds=tuple(speeds),
    )


def measure_speed(model: Model, workload: Workload, objects: int) -> SpeedResult:
    """Measure a model with one number of objects.

    A first run counts operations and warms up; the second is timed.
    """
    counter = StageMeter(model.device, count_flops=True)
    with counter.metered(model.network):
        for _ in _Run(model, workload, objects).propagate():
            pass
    run = _Run(model, workload, objects)
    watch = StageMeter(model.device)
    with watch.metered(model.network):
        frames = list(run.propagate())
    corrected = list(run.correct())
    return SpeedResult(
        objects=objects,
        first_mask=run.first_mask,
        next_click=run.next_click,
        frame=median(frames),
        correction=median(corrected),
        stages=tuple(
            StageCost(
                stage,
                watch.totals[stage].seconds / len(frames),
                counter.totals[stage].flops / len(frames),
            )
            for stage in STAGES
        ),
    )


class _Run:
    """One session from its first click on; yields the seconds that its frames take."""

    def __init__(self, model: Model, workload: Workload, objects: int) -> None:
        self._model = model
        self._discs = DriftingDiscs(workload.frames + 1, workload.frame_size, objects)
        self._session = TrackingSession(
            model, self._discs, settings=TrackingSettings(speed=workload.speed)
        )
        self.first_mask = self._click(0)
        self.next_click = self._click(0)
        for index in range(1, objects):
            self._click(0, index)

    def propagate(self) -> Iterator[float]:
        """Follow the objects from the prompted frame to the end."""
        masks = self._session.propagate("forward")
        next(masks)  # the prompted frame itself
        yield from _seconds(masks, self._model.device)

    def correct(self) -> Iterator[float]:
        """Correct the first object two thirds into the stack and follow it again."""
        frame = 2 * self._discs.shape[0] // 3
        self._click(frame)
        masks = self._session.propagate("forward", start=frame - 1)
        yield from _seconds(masks, self._model.device)

    def _click(self, frame: int, index: int = 0) -> float:
        start = time.perf_counter()
        self._session.add_points(index + 1, frame, [self._discs.centre(index, frame)])
        synchronise(self._model.device)
        return time.perf_counter() - start


def _seconds(results: Iterator[object], device: torch.device) -> Iterator[float]:
    start = time.perf_counter()
    for _ in results:
        synchronise(device)
        yield time.perf_counter() - start
        start = time.perf_counter()
