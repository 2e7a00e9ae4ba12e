"""What it costs to keep results on disk while a stack is propagated, and how large they are.

    python benchmarks/keeping.py
    python benchmarks/keeping.py --frames 100 --size 1024 --objects 10

The same propagation runs with and without a store, by turns. The table has the seconds of wall time
and of processor time of each, the ratio of the sums, and the bytes of the store afterwards.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch

from napari_sam2 import Model, TrackingSession, load_model
from napari_sam2.benchmarking import DriftingDiscs


def seconds(model: Model, stack: DriftingDiscs, store: Path | None) -> tuple[float, float]:
    """Propagate and return wall time and processor time of the propagation."""
    session = TrackingSession(model, stack, store=store)
    for index in range(stack.objects):
        y, x = stack.centre(index, 0)
        session.add_points(index + 1, 0, [(y, x)])
    session.keep()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in session.propagate():
        pass
    session.close()
    return time.perf_counter() - wall, time.process_time() - processor


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    model = load_model(given.model, device=given.device)
    stack = DriftingDiscs(frames=given.frames, size=given.size, objects=given.objects)
    folder = Path(tempfile.mkdtemp(prefix="napari-sam2-keeping-"))
    seconds(model, DriftingDiscs(frames=3, size=given.size, objects=given.objects), None)
    sums = {"without": [0.0, 0.0], "with": [0.0, 0.0]}
    for number in range(given.repeats):
        for name in ("without", "with") if number % 2 else ("with", "without"):
            store = folder / f"{number}.sam2.zarr" if name == "with" else None
            found = seconds(model, stack, store)
            sums[name] = [a + b for a, b in zip(sums[name], found, strict=True)]
            say(f"{name:8s} {found[0]:8.2f} s wall {found[1]:8.2f} s processor")
    ratios = [kept / plain - 1 for kept, plain in zip(sums["with"], sums["without"], strict=True)]
    say(f"cost: {ratios[0]:+.1%} wall, {ratios[1]:+.1%} processor")
    size = size_of(folder / "0.sam2.zarr")
    say(f"store: {size / 1e6:.2f} MB, {size / given.frames / 1e3:.1f} kB per frame")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
