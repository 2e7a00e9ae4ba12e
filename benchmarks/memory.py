"""Peak memory of a propagation over short and long stacks of the same frame size.

    python benchmarks/memory.py --frames 50 500 --size 512 --objects 2

Each length runs in a process of its own, so that one peak does not hide the other. The labels
grow with the stack and are reported apart; everything else should stay the same.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys

import numpy as np

from napari_sam2 import TrackingSession, load_model

MIB = 2**20


class DriftingDiscs:
    """A stack that is computed when read: bright discs that drift over noise."""

    dtype = np.dtype(np.uint8)

    def __init__(self, frames: int, size: int, objects: int) -> None:
        self.shape = (frames, size, size)
        self.objects = objects

    def centre(self, index: int, frame: int) -> tuple[float, float]:
        """Return where a disc is, in pixels."""
        size = self.shape[1]
        y = size * (index + 1) / (self.objects + 1)
        return y, size * (0.5 + 0.2 * np.sin(0.02 * frame + index))

    def __getitem__(self, item: object) -> np.ndarray:
        frame, *window = item if isinstance(item, tuple) else (item,)
        size = self.shape[1]
        image = np.random.default_rng(int(frame)).integers(20, 60, (size, size), dtype=np.uint8)
        yy, xx = np.ogrid[:size, :size]
        for index in range(self.objects):
            y, x = self.centre(index, int(frame))
            image[(yy - y) ** 2 + (xx - x) ** 2 < (size / 16) ** 2] += 120
        return image[tuple(window)]


def measure(frames: int, size: int, objects: int) -> dict[str, float]:
    """Propagate in this process and return its figures in MiB."""
    stack = DriftingDiscs(frames, size, objects)
    session = TrackingSession(load_model("bundled", device="cpu"), stack)
    middle = frames // 2
    for index in range(objects):
        session.add_points(index + 1, middle, [stack.centre(index, middle)])
    visited = sum(1 for _ in session.propagate())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "frames": visited,
        "peak": peak / (1024 if sys.platform == "linux" else MIB),
        "labels": session.labels.nbytes / MIB,
    }


def main() -> None:
    """Measure every length and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--objects", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        figures = measure(options.frames[0], options.size, options.objects)
        sys.stdout.write(json.dumps(figures))
        return
    first = None
    for frames in options.frames:
        command = [sys.executable, __file__, "--child", "--frames", str(frames)]
        command += ["--size", str(options.size), "--objects", str(options.objects)]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
        figures = json.loads(child.stdout)
        first = first or figures
        grown = figures["peak"] - first["peak"]
        beyond = grown - (figures["labels"] - first["labels"])
        sys.stdout.write(
            f"{frames:6d} frames: peak {figures['peak']:7.1f} MiB, labels {figures['labels']:6.1f}"
            f" MiB, grown beyond the labels {beyond:+6.1f} MiB\n"
        )


if __name__ == "__main__":
    main()
