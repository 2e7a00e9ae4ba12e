"""Ours beside the reference: same random weights, same frames, taking turns frame by frame.

    python benchmarks/against_reference.py --model sam2.1-tiny --objects 1 3 10 --frames 10
    python benchmarks/against_reference.py --speed exact balanced fastest --no-flops
    python benchmarks/against_reference.py --image-size 512 --threads 1 --clock cpu --json out.json

Every frame is computed by one and then by the other, so that a busy machine slows both; ratios are
medians over frames of theirs / ours. On a very busy machine take one thread and the CPU's clock.
Several speeds run beside one reference; their IoU to it, on random weights, is no measure of
quality. A frame costs more the more is remembered: from the eighth on all of them cost the same.
With --full-memory the second one costs that already: the memory of the first stands for those of
five more.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from busy import BUSY, busy
from figures import CLOCKS, read_options, write_figures
from reference import STAGE_METHODS, JpegFrames, ReferencePredictor, ReferenceSession, our_network

from napari_sam2.benchmarking import STAGES, DriftingDiscs, StageMeter, measured_peak, table
from napari_sam2.tracking import Model, Speed, TrackingSession, TrackingSettings
from napari_sam2.tracking.speed_presets import SPEED_PRESETS
from napari_sam2.types import FrameMasks

LIKE_REFERENCE = TrackingSettings.like_reference()
_FILLED = range(2, 7)  # frames that are not computed where memory is to be full at once
Click = tuple[int, int, tuple[float, float]]
Clicks = list[Click]


@dataclass(frozen=True)
class Comparison:
    """Seconds of both with one number of objects at one speed; stages are per frame."""

    objects: int
    speed: Speed
    approximations: tuple[str, ...]
    first_mask: tuple[float, float]
    frames: tuple[tuple[float, float], ...]
    corrected: tuple[tuple[float, float], ...]
    stages: dict[str, tuple[float, float]]
    gflop: dict[str, float]
    agreement: float

    def rows(self) -> Iterator[tuple[str, float, float, float]]:
        """Return what was timed, ours, theirs and the ratio."""
        yield "first mask", *self.first_mask, self.first_mask[1] / self.first_mask[0]
        yield "frame", *_paired(self.frames)
        if self.corrected:
            yield "corrected frame", *_paired(self.corrected)
        for stage, (ours, theirs) in self.stages.items():
            yield stage, ours, theirs, theirs / ours


class Ours:
    """Sessions at one speed, with their stopwatch and the times so far.

    Masks of random weights fill the frame, and so would all windows that follow them, and be one.
    Where windows follow objects, each object therefore has a session of its own: what they cost
    is not shared, as it would not be for real.
    """

    def __init__(self, contest: Contest, frames: JpegFrames, speed: Speed, clicks: Clicks) -> None:
        self._frames, self._clicks = frames, clicks
        self._contest, self._model, self._timed = contest, contest.model, contest.timed
        self.settings = replace(LIKE_REFERENCE, speed=speed)
        self.watch = StageMeter(self._model.device, clock=contest.clock)
        self.seconds: list[float] = []
        self.overlaps: list[float] = []
        first, self.first_mask = self._timed(lambda: self._open(clicks[:1]))
        apart = SPEED_PRESETS[speed].follows
        for object_id, frame, place in () if apart else clicks[1:]:
            first.add_points(object_id, frame, [place])
        self.sessions = [first, *(self._open([click]) for click in clicks[1:] if apart)]
        self._walks: list[Iterator[Any]] = []

    def correct(self, click: Click) -> None:
        """Click in a frame that was tracked."""
        object_id, frame, place = click
        self.sessions[0].add_points(object_id, frame, [place])

    def set_out(self, start: int) -> None:
        """Begin to propagate, and pass the frame if it is a prompted one."""
        self.seconds, self.overlaps = [], []
        self._walks = [session.propagate("forward", start=start) for session in self.sessions]
        for session, walk in zip(self.sessions, self._walks, strict=True):
            if any(start in track.conditioning for track in session._tracker.tracks.values()):
                next(walk, None)

    def fill_memory(self, frames: range) -> None:
        """Have what is remembered of the last frame stand for these frames too."""
        for session in self.sessions:
            for track in session._tracker.tracks.values():
                recent = track.recent(frames.start, 1)
                assert recent.latest is not None
                for frame in frames:
                    recent.append(replace(recent.latest, frame=frame))

    def step(self, theirs: np.ndarray, watched: bool) -> None:
        """Compute a frame that the reference has just computed."""
        meter = self.watch.metered(self._model.network) if watched else nullcontext()
        with meter:
            results, seconds = self._timed(self.go_on)
        self.seconds.append(seconds)
        masks = [result.masks for result in results if result is not None]
        found = np.concatenate(masks)
        self.overlaps.append(_iou(found, theirs[: len(found)]))

    def flops(self, start: int) -> dict[str, float]:
        """Count the operations of every stage, in GFLOP per frame that was timed.

        That is done on a run of its own over the same frames, with as much remembered.
        """
        twin = Ours(self._contest, self._frames, self.settings.speed, self._clicks)
        if self._contest.full_memory:
            twin.set_out(0)
            for _ in range(_FILLED.start - 1):
                twin.go_on()
            twin.fill_memory(_FILLED)
        twin.set_out(start)
        counter = StageMeter(self._model.device, count_flops=True)
        visited = 0
        with counter.metered(self._model.network):
            while any(result is not None for result in twin.go_on()):
                visited += 1
        return {stage: counter.totals[stage].flops / visited / 1e9 for stage in STAGES}

    def go_on(self) -> list[FrameMasks | None]:
        """Compute a frame in every session; None where there is none left."""
        return [next(walk, None) for walk in self._walks]

    def _open(self, clicks: Clicks) -> TrackingSession:
        session = TrackingSession(
            self._model, self._frames, settings=self.settings, contrast=(0, 255)
        )
        for object_id, frame, place in clicks:
            session.add_points(object_id, frame, [place])
        return session


class Contest:
    """Runs ours at several speeds, and the reference, with one number of objects."""

    def __init__(
        self,
        model: Model,
        predictor: ReferencePredictor,
        clock: Callable[[], float],
        speeds: Sequence[Speed],
        count_flops: bool,
        correct: bool,
        full_memory: bool,
    ) -> None:
        self.model = model
        self.predictor = predictor
        self.clock = clock
        self.speeds = speeds
        self.count_flops = count_flops
        self.correct = correct
        self.full_memory = full_memory

    def compare(self, frames: int, objects: int) -> list[Comparison]:
        """Click every object in the first frame, follow, correct one and follow again."""
        discs = DriftingDiscs(
            frames + 1 + (1 + len(_FILLED)) * self.full_memory, self.model.image_size, objects
        )
        with tempfile.TemporaryDirectory() as folder:
            return self._compare(discs, JpegFrames(Path(folder), discs))

    def _compare(self, discs: DriftingDiscs, frames: JpegFrames) -> list[Comparison]:
        clicks = [(index + 1, 0, discs.centre(index, 0)) for index in range(discs.objects)]
        ours = [Ours(self, frames, speed, clicks) for speed in self.speeds]
        theirs, their_first = self.timed(lambda: self._open_theirs(frames, clicks[0]))
        for object_id, frame, place in clicks[1:]:
            theirs.click(object_id, frame, place)
        watch = StageMeter(self.model.device, clock=self.clock)
        start = 0
        if self.full_memory:
            self._follow(ours, theirs, 0, stop=_FILLED.start)
            theirs.fill_memory(_FILLED)
            for each in ours:
                each.fill_memory(_FILLED)
            start = _FILLED.stop
        their_frames = self._follow(ours, theirs, start, watch)
        tracked = [(each.seconds, fmean(each.overlaps)) for each in ours]
        fixed = min(2 * discs.shape[0] // 3, discs.shape[0] - 2)
        their_corrected: list[float] = []
        for each in ours if self.correct else ():
            each.correct((1, fixed, discs.centre(0, fixed)))
        if self.correct:
            theirs.click(1, fixed, discs.centre(0, fixed))
            their_corrected = self._follow(ours, theirs, fixed)
        count = len(their_frames)
        return [
            Comparison(
                objects=discs.objects,
                speed=each.settings.speed,
                approximations=each.sessions[0].approximations,
                first_mask=(each.first_mask, their_first),
                frames=tuple(zip(seconds, their_frames, strict=True)),
                corrected=tuple(zip(each.seconds, their_corrected, strict=False)),
                stages={
                    stage: (
                        each.watch.totals[stage].seconds / count,
                        watch.totals[stage].seconds / count,
                    )
                    for stage in STAGES
                },
                gflop=each.flops(start) if self.count_flops else {},
                agreement=agreement,
            )
            for each, (seconds, agreement) in zip(ours, tracked, strict=True)
        ]

    def _open_theirs(self, frames: JpegFrames, click: Any) -> ReferenceSession:
        session = ReferenceSession(self.predictor, frames)
        session.click(*click)
        return session

    def _follow(
        self,
        ours: Sequence[Ours],
        theirs: ReferenceSession,
        start: int,
        watch: StageMeter | None = None,
        stop: int | None = None,
    ) -> list[float]:
        """Measure alternately; return the reference's seconds per frame behind the prompted one.

        `watch`: takes the reference's stages, and has ours take theirs.
        """
        other = theirs.propagate(start)
        if start in theirs.prompted:
            next(other)
        for each in ours:
            each.set_out(start)
        taken: list[float] = []
        network = self.predictor.network
        while True:
            meter = watch.metered(network, STAGE_METHODS) if watch else nullcontext()
            with meter:
                masks, seconds = self.timed(lambda: next(other, None))
            if masks is None:
                return taken
            taken.append(seconds)
            for each in ours:
                each.step(masks, watched=watch is not None)
            if stop is not None and start + len(taken) + 1 == stop:
                return taken

    def timed(self, call: Callable[[], Any]) -> tuple[Any, float]:
        """Return what a call returns, and how long it took."""
        start = self.clock()
        result = call()
        return result, self.clock() - start


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _paired(pairs: tuple[tuple[float, float], ...]) -> tuple[float, float, float]:
    ours, theirs = zip(*pairs, strict=True)
    return median(ours), median(theirs), median(b / a for a, b in pairs)


def format_comparison(comparison: Comparison, peak: float) -> str:
    """Return one table: seconds, ratio, and what part of the matrix product's rate ours reaches."""
    rows = [["", "ours, s", "reference, s", "ratio", "GFLOP", "of the limit"]]
    for name, ours, theirs, ratio in comparison.rows():
        gflop = comparison.gflop.get(name)
        share = "" if gflop is None else f"{1e9 * gflop / ours / peak:.0%}"
        work = "" if gflop is None else f"{gflop:.1f}"
        rows.append([name, f"{ours:.4f}", f"{theirs:.4f}", f"{ratio:.2f}", work, share])
    title = (
        f"{comparison.objects} objects, {comparison.speed}, mean IoU of the masks "
        f"{comparison.agreement:.5f}"
    )
    if comparison.approximations:
        title += f"\n({', '.join(comparison.approximations)})"
    return "\n".join([title, *table(rows), ""])


def main() -> None:
    """Compare with every number of objects, and print and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sam2.1-tiny")
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--speed", type=Speed, nargs="+", default=[Speed.EXACT])
    parser.add_argument("--no-flops", action="store_true", help="do not count operations")
    parser.add_argument("--no-correction", action="store_true", help="only follow the objects")
    parser.add_argument("--full-memory", action="store_true", help="from the second frame on")
    parser.add_argument("--busy", choices=sorted(BUSY), help="what other processes do meanwhile")
    parser.add_argument("--processes", type=int, default=3, help="how many of them")
    options = read_options(parser)
    logging.getLogger().setLevel(logging.WARNING)
    network, size = our_network(options.model), options.image_size
    model = Model(network, options.model, torch.device("cpu"), size)
    contest = Contest(
        model,
        ReferencePredictor(options.model, size),
        CLOCKS[options.clock],
        options.speed,
        count_flops=not options.no_flops,
        correct=not options.no_correction,
        full_memory=options.full_memory,
    )
    found = []
    for objects in options.objects:
        with busy(options.busy, options.processes):
            compared = contest.compare(options.frames, objects)
        peak = measured_peak(model.device, clock=contest.clock)
        for each in compared:
            sys.stdout.write(format_comparison(each, peak) + "\n")
            sys.stdout.flush()
        found += compared
    write_figures(options, found)


if __name__ == "__main__":
    main()
