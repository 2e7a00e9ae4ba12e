"""What reading frames in the background brings, for stacks that are read lazily from files.

    python benchmarks/reading.py --frames 30 --size 2048 --ahead 0 1 2 --delay 50

Discs over noise, uint16, as a compressed TIFF file, a TIFF file that is not, and a zarr array in
chunks; the bundled model follows one object. The depths take turns; a round's figure is the mean
of its frames, and the median of the rounds is printed. Files are in the system's cache; the last
line stands for a slow share: the first file, every frame of which comes late.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tifffile
import torch
import zarr
from numpy.typing import NDArray

from napari_sam2 import TrackingSession, TrackingSettings, load_model
from napari_sam2.benchmarking import DriftingDiscs, table
from napari_sam2.stack import open_stack
from napari_sam2.tracking import Model

_SIDE_OF_CHUNKS = 512


def write_files(folder: Path, stack: DriftingDiscs) -> dict[str, Path]:
    """Write the stack in every format, and return the files."""
    rng = np.random.default_rng(0)
    frames = range(stack.shape[0])

    def frame(index: int) -> NDArray[np.uint16]:
        signal = 16 * stack.frame(index).astype(np.uint16)
        return signal + rng.integers(0, 64, signal.shape, dtype=np.uint16)

    pixels = np.stack([frame(index) for index in frames])
    files = {"TIFF": folder / "plain.tif", "TIFF, deflate": folder / "deflate.tif"}
    tifffile.imwrite(files["TIFF"], pixels, photometric="minisblack")
    tifffile.imwrite(
        files["TIFF, deflate"], pixels, photometric="minisblack", compression="deflate"
    )
    files["zarr, zstd"] = folder / "stack.zarr"
    chunks = (1, _SIDE_OF_CHUNKS, _SIDE_OF_CHUNKS)
    zarr.create_array(files["zarr, zstd"], data=pixels, chunks=chunks)
    return files


class Late:
    """An array-like whose frames come late."""

    def __init__(self, data: Any, seconds: float) -> None:
        self._data, self._seconds = data, seconds
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, index: Any) -> Any:
        time.sleep(self._seconds)
        return self._data[index]


def seconds_per_frame(
    model: Model, path: Path, stack: DriftingDiscs, ahead: int, delay: float
) -> float:
    """Follow one object through a file."""
    with open_stack(path) as opened:
        settings = TrackingSettings(read_ahead=ahead)
        data = Late(opened.data, delay) if delay else opened.data
        session = TrackingSession(model, data, settings=settings, contrast=(0, 4096))
        session.add_points(1, 0, [stack.centre(0, 0)])
        walk = session.propagate("forward")
        next(walk)
        start = time.perf_counter()
        visited = sum(1 for _ in walk)
        return (time.perf_counter() - start) / visited


def main() -> None:
    """Measure every format at every depth, and print milliseconds per frame."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--ahead", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=50, help="of the share, in milliseconds")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = load_model("bundled", device="cpu")
    stack = DriftingDiscs(options.frames, options.size, 100)
    rows = [["file", *(f"{ahead} ahead, ms" for ahead in options.ahead)]]
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), stack)
        runs = [(name, path, 0.0) for name, path in files.items()]
        runs.append((f"TIFF, {options.delay:.0f} ms late", files["TIFF"], options.delay / 1000))
        for name, path, delay in runs:
            taken: dict[int, list[float]] = {ahead: [] for ahead in options.ahead}
            for _ in range(options.rounds):
                for ahead, seconds in taken.items():
                    seconds.append(seconds_per_frame(model, path, stack, ahead, delay))
            rows.append([name, *(f"{1000 * median(each):.1f}" for each in taken.values())])
    sys.stdout.write("\n".join(table(rows)) + "\n")


if __name__ == "__main__":
    main()
