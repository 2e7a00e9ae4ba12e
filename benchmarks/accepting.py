"""Accept everything: the seconds that it takes, and the memory that accepted frames hold.

    python benchmarks/accepting.py
    python benchmarks/accepting.py --frames 2000 --size 2048 --objects 1

Objects lie in the labels already, as after a propagation or from another program, and are accepted
in every frame. Then one frame is tracked between accepted ones: the first that needs what a few of
them look like.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import psutil

from napari_sam2 import TrackingSession, load_model
from napari_sam2.benchmarking import DriftingDiscs


def discs(stack: DriftingDiscs) -> np.ndarray:
    """Draw the labels of all discs, (T, Y, X)."""
    frames, size, _ = stack.shape
    labels = np.zeros(stack.shape, np.uint16)
    yy, xx = np.ogrid[:size, :size]
    for frame in range(frames):
        for index in range(stack.objects):
            y, x = stack.centre(index, frame)
            labels[frame, (yy - y) ** 2 + (xx - x) ** 2 < stack.radius**2] = index + 1
    return labels


def resident() -> int:
    """Return the memory that this process holds, in bytes."""
    return int(psutil.Process().memory_info().rss)


def main() -> None:
    """Accept all frames of all objects, then track one frame anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--size", type=int, default=512, help="side of a frame in pixels")
    options = parser.parse_args()
    stack = DriftingDiscs(options.frames, options.size, options.objects)
    labels = discs(stack)
    session = TrackingSession(load_model("bundled", device="cpu"), stack, labels=labels)
    numbers = range(1, options.objects + 1)
    for number in numbers:  # what is only needed once is there before memory is measured
        session.accept(number, 0)
    before, start = resident(), time.perf_counter()
    for frame in range(1, options.frames):
        for number in numbers:
            session.accept(number, frame)
    seconds, grown = time.perf_counter() - start, resident() - before
    count = (options.frames - 1) * options.objects
    session.unaccept(1, options.frames // 2)
    session.labels[options.frames // 2][labels[options.frames // 2] == 1] = 0
    start = time.perf_counter()
    results = session.propagate(object_ids=[1], recompute=True)
    tracked = sum(result.frame == options.frames // 2 for result in results)
    sys.stdout.write(
        f"accepted {count} masks in {seconds:.2f} s, {grown / count:.0f} bytes each; "
        f"{tracked} frame tracked between them in {time.perf_counter() - start:.2f} s\n"
    )


if __name__ == "__main__":
    main()
