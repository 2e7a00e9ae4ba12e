"""Ours beside the reference: same random weights, same frames, taking turns frame by frame.

    python benchmarks/against_reference.py --model sam2.1-tiny --objects 1 3 10 --frames 10
    python benchmarks/against_reference.py --image-size 512 --threads 1 --clock cpu --json out.json

Every frame is computed by one and then by the other, so that a busy machine slows both; ratios are
medians over frames of theirs / ours. On a very busy machine take one thread and the CPU's clock.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from reference import STAGE_METHODS, JpegFrames, ReferencePredictor, ReferenceSession, our_network

from napari_sam2.benchmarking import STAGES, DriftingDiscs, StageMeter, measured_peak, table
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings

EXACT = TrackingSettings(
    overlap=True,
    max_hole=0,
    min_island=0,
    clicked_part=False,
    obey_clicks=False,
    max_conditioning=None,
)
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Comparison:
    """Seconds of both with one number of objects; stages are per frame."""

    objects: int
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
        yield "corrected frame", *_paired(self.corrected)
        for stage, (ours, theirs) in self.stages.items():
            yield stage, ours, theirs, theirs / ours


class Contest:
    """Runs both with one number of objects."""

    def __init__(
        self, model: Model, predictor: ReferencePredictor, clock: Callable[[], float]
    ) -> None:
        self.model = model
        self.predictor = predictor
        self.clock = clock

    def compare(self, frames: int, objects: int) -> Comparison:
        """Click every object in the first frame, follow, correct one and follow again."""
        discs = DriftingDiscs(frames + 1, self.model.image_size, objects)
        with tempfile.TemporaryDirectory() as folder:
            return self._compare(discs, JpegFrames(Path(folder), discs))

    def _compare(self, discs: DriftingDiscs, frames: JpegFrames) -> Comparison:
        clicks = [(index + 1, 0, discs.centre(index, 0)) for index in range(discs.objects)]
        ours, our_first = self.timed(lambda: self._open_ours(frames, clicks[0]))
        theirs, their_first = self.timed(lambda: self._open_theirs(frames, clicks[0]))
        for object_id, frame, place in clicks[1:]:
            ours.add_points(object_id, frame, [place])
            theirs.click(object_id, frame, place)
        our_watch, their_watch = (StageMeter(self.model.device, clock=self.clock) for _ in range(2))
        with (
            our_watch.metered(self.model.network),
            their_watch.metered(self.predictor.network, STAGE_METHODS),
        ):
            pairs, agreement = self._follow(ours, theirs, 0)
        fixed = 2 * discs.shape[0] // 3
        ours.add_points(1, fixed, [discs.centre(0, fixed)])
        theirs.click(1, fixed, discs.centre(0, fixed))
        corrected, _ = self._follow(ours, theirs, fixed)
        count = len(pairs)
        return Comparison(
            objects=discs.objects,
            first_mask=(our_first, their_first),
            frames=tuple(pairs),
            corrected=tuple(corrected),
            stages={
                stage: (
                    our_watch.totals[stage].seconds / count,
                    their_watch.totals[stage].seconds / count,
                )
                for stage in STAGES
            },
            gflop=self._count(frames, clicks),
            agreement=agreement,
        )

    def _count(self, frames: JpegFrames, clicks: list[Any]) -> dict[str, float]:
        counter = StageMeter(self.model.device, count_flops=True)
        session = TrackingSession(self.model, frames, settings=EXACT, contrast=(0, 255))
        for object_id, frame, place in clicks:
            session.add_points(object_id, frame, [place])
        with counter.metered(self.model.network):
            visited = sum(1 for _ in session.propagate("forward")) - 1
        return {stage: counter.totals[stage].flops / visited / 1e9 for stage in STAGES}

    def _open_ours(self, frames: JpegFrames, click: Any) -> TrackingSession:
        session = TrackingSession(self.model, frames, settings=EXACT, contrast=(0, 255))
        session.add_points(click[0], click[1], [click[2]])
        return session

    def _open_theirs(self, frames: JpegFrames, click: Any) -> ReferenceSession:
        session = ReferenceSession(self.predictor, frames)
        session.click(*click)
        return session

    def _follow(
        self, ours: TrackingSession, theirs: ReferenceSession, start: int
    ) -> tuple[list[tuple[float, float]], float]:
        """Take turns; return seconds per frame behind the prompted one, and the mean IoU."""
        mine, other = ours.propagate("forward", start=start), theirs.propagate(start)
        next(mine), next(other)
        pairs, overlaps = [], []
        while True:
            result, our_time = self.timed(lambda: next(mine, None))
            masks, their_time = self.timed(lambda: next(other, None))
            if result is None or masks is None:
                return pairs, fmean(overlaps)
            pairs.append((our_time, their_time))
            overlaps.append(_iou(result.masks, masks))

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
    title = f"{comparison.objects} objects, mean IoU of the masks {comparison.agreement:.5f}"
    return "\n".join([title, *table(rows), ""])


def main() -> None:
    """Compare with every number of objects, and print and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sam2.1-tiny")
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    logging.getLogger().setLevel(logging.WARNING)
    network, size = our_network(options.model), options.image_size
    model = Model(network, options.model, torch.device("cpu"), size)
    contest = Contest(model, ReferencePredictor(options.model, size), CLOCKS[options.clock])
    found = []
    for objects in options.objects:
        found.append(contest.compare(options.frames, objects))
        peak = measured_peak(model.device, clock=contest.clock)
        sys.stdout.write(format_comparison(found[-1], peak) + "\n")
        sys.stdout.flush()
    if options.json:
        setup = {key: str(value) for key, value in vars(options).items()}
        content = {"setup": setup, "comparisons": [asdict(each) for each in found]}
        options.json.write_text(json.dumps(content, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
