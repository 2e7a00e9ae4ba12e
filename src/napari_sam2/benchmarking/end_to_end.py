"""Time of the whole path from a uint16 stack to labels in host memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from statistics import median

import numpy as np
from numpy.typing import NDArray

from napari_sam2.benchmarking.discs import DriftingDiscs
from napari_sam2.benchmarking.machine import PeakMemory
from napari_sam2.benchmarking.meter import synchronise
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings

_COUNTS_PER_GREY = 200  # 0..255 become most of what 16 bits hold


@dataclass(frozen=True, slots=True)
class Journey:
    """The stack and the objects of an end-to-end measurement.

    Attributes
    ----------
    objects : int
    size : int
        Side of a frame in pixels.
    warm_up, frames : int
        Frames followed before the clock runs, until all memories are there, and while it runs.
    clicks : int
        First clicks that are timed, each in a frame that was not seen before.
    seconds : float
        Either part of the way ends after so many seconds, however many frames are left.
    """

    objects: int
    size: int
    warm_up: int = 18
    frames: int = 40
    clicks: int = 7
    seconds: float = float("inf")


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """Times and memory of an end-to-end measurement.

    Attributes
    ----------
    objects : int
    first_mask : float
        Seconds from a click in a frame never seen to its mask in the labels, median.
    frame : float
        Seconds per frame of following, reading and writing included: mean over all that is timed.
    peak_mib : float or None
        Of the device's memory while objects were followed; None where the device tells nothing.
    labels : ndarray of uint16, shape (T, Y, X)
        Labels of the whole stack.
    """

    objects: int
    first_mask: float
    frame: float
    peak_mib: float | None
    labels: NDArray[np.uint16]

    @property
    def frames_per_second(self) -> float:
        """Number of frames that are tracked per second."""
        return 1 / self.frame


def measure_end_to_end(
    model: Model,
    journey: Journey,
    settings: TrackingSettings | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> EndToEnd:
    """Click discs in the first frame of a uint16 stack and follow them through it.

    Parameters
    ----------
    model : Model
    journey : Journey
    settings : TrackingSettings, optional
    clock : callable
        Returns seconds.

    Raises
    ------
    DeviceError
        The device has too little memory.
    """
    discs = DriftingDiscs(1 + journey.warm_up + journey.frames, journey.size, journey.objects)
    stack = uint16_stack(discs)

    def opened() -> TrackingSession:
        return TrackingSession(
            model, stack, contrast=(0, 255 * _COUNTS_PER_GREY), settings=settings
        )

    first_mask = _first_mask(opened(), discs, journey.clicks, clock)
    session = opened()
    for index in range(journey.objects):
        session.add_points(index + 1, 0, [discs.centre(index, 0)])
    walk = session.propagate("forward")
    with PeakMemory(model.device) as memory:
        _seconds_per_frame(islice(walk, 1 + journey.warm_up), model, journey, memory, clock)
        frame = _seconds_per_frame(walk, model, journey, memory, clock)
    return EndToEnd(journey.objects, first_mask, frame, memory.mib, session.labels)


def uint16_stack(discs: DriftingDiscs) -> NDArray[np.uint16]:
    """Return all frames of computed discs in memory, as a camera of 16 bits gives them."""
    frames = [discs.frame(index).astype(np.uint16) for index in range(discs.shape[0])]
    return np.stack(frames) * np.uint16(_COUNTS_PER_GREY)


def agreement(labels: NDArray[np.uint16], others: NDArray[np.uint16]) -> float:
    """Return the IoU of objects in two labels of a stack, averaged over the objects of either."""
    ids = (set(np.unique(labels).tolist()) | set(np.unique(others).tolist())) - {0}
    if not ids:
        return 1.0
    ious = [
        ((labels == i) & (others == i)).sum() / ((labels == i) | (others == i)).sum() for i in ids
    ]
    return float(np.mean(ious))


def _seconds_per_frame(
    results: Iterable[object],
    model: Model,
    journey: Journey,
    memory: PeakMemory,
    clock: Callable[[], float],
) -> float:
    synchronise(model.device)
    start, frames = clock(), 0
    for _ in results:
        frames += 1
        memory.look()
        if clock() - start > journey.seconds:
            break
    synchronise(model.device)
    return (clock() - start) / max(1, frames)


def _first_mask(
    session: TrackingSession, discs: DriftingDiscs, clicks: int, clock: Callable[[], float]
) -> float:
    """Click in one frame after the other, beginning with the last; the first click warms up."""
    seconds = []
    last = discs.shape[0] - 1
    for frame in range(last, max(last - clicks - 1, -1), -1):
        start = clock()
        session.add_points(1, frame, [discs.centre(0, frame)])
        seconds.append(clock() - start)
    return median(seconds[1:] or seconds)
