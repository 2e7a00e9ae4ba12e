"""Memory over a long propagation: many frames, many objects, one session.

    python benchmarks/soak.py
    python benchmarks/soak.py --frames 500 --image-size 256

Frames are computed when read and labels lie in a file, so that what grows is the session's own. The
resident memory is taken at regular frames; its slope is fitted over the frames after the first
tenth, when all that is bounded is full. The bundled weights see a reduced input by default: what is
kept per frame does not depend on how sharply it was seen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import zarr

from napari_sam2 import TrackingSession, load_model
from napari_sam2.benchmarking import DriftingDiscs

MIB = 2**20


def resident() -> float:
    """Return the memory that this process holds, in MiB."""
    return float(psutil.Process().memory_info().rss / MIB)


def follow(options: argparse.Namespace, labels: zarr.Array) -> list[tuple[int, float]]:
    """Click every object in the first frame, propagate, and return (frames done, MiB)."""
    stack = DriftingDiscs(options.frames, options.size, options.objects)
    model = load_model("bundled", device="cpu", image_size=options.image_size)
    session = TrackingSession(model, stack, labels=labels)
    for index in range(options.objects):
        session.add_points(index + 1, 0, [stack.centre(index, 0)])
    samples, start = [], time.perf_counter()
    for done, _ in enumerate(session.propagate("forward"), start=1):
        if done % options.every == 0:
            samples.append((done, resident()))
            rate = done / (time.perf_counter() - start)
            say(f"{done:6d} frames  {samples[-1][1]:8.1f} MiB  {rate:6.2f} frames/s")
    return samples


def slope(samples: list[tuple[int, float]]) -> float:
    """Return the growth in KiB per frame after the first tenth."""
    frames, memory = np.array(samples).T
    late = frames > frames[-1] / 10
    return float(np.polyfit(frames[late], memory[late], 1)[0] * 1024)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Propagate once and print the memory on the way, its slope, and how well objects were held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--size", type=int, default=160, help="side of a frame in pixels")
    parser.add_argument("--image-size", type=int, default=64, help="side of the model input")
    parser.add_argument("--every", type=int, default=100, help="frames between two figures")
    options = parser.parse_args()
    shape = (options.frames, options.size, options.size)
    with tempfile.TemporaryDirectory() as folder:
        chunks = (1, *shape[1:])
        path = Path(folder) / "labels.zarr"
        labels = zarr.create_array(path, shape=shape, chunks=chunks, dtype="uint16")
        samples = follow(options, labels)
        held = len(np.unique(labels[options.frames - 1])) - 1
    say(f"slope after the first tenth: {slope(samples):+.2f} KiB per frame")
    say(f"objects in the last frame: {held} of {options.objects}")


if __name__ == "__main__":
    main()
