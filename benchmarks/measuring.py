"""How long a table of 100 frames with 100 objects takes, and its memory.

python benchmarks/measuring.py
"""

from __future__ import annotations

import sys
import time
import tracemalloc

import numpy as np

from napari_sam2.measure import Measurements

FRAMES, SIDE, PER_SIDE = 100, 1024, 10


def ellipses() -> np.ndarray:
    """Return labels (SIDE, SIDE) of 100 ellipses of 70 x 50 pixels."""
    y, x = np.ogrid[:SIDE, :SIDE]
    labels = np.zeros((SIDE, SIDE), np.uint16)
    step = SIDE // PER_SIDE
    for number in range(PER_SIDE**2):
        row, column = (step * at + step // 2 for at in divmod(number, PER_SIDE))
        labels[((y - row) / 35) ** 2 + ((x - column) / 25) ** 2 < 1] = number + 1
    return labels


def main() -> None:
    """Measure all frames, then one of them again after a change; last, the memory."""
    frame = ellipses()
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    measured_frames(frame, noise, 1).update()
    known = measured_frames(frame, noise, FRAMES)
    wall, cpu = time.perf_counter(), time.process_time()
    known.update()
    table = known.table()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sys.stdout.write(
        f"{len(table)} rows of {table.shape[1]} columns: {wall:.1f} s, {cpu:.1f} s of one core\n"
    )
    known.invalidate([7])
    again = time.perf_counter()
    measured = known.update()
    sys.stdout.write(f"{len(measured)} changed frame: {time.perf_counter() - again:.2f} s\n")
    for n_frames in (10, 40):  # watching every allocation takes three times as long
        known = measured_frames(frame, noise, n_frames)
        tracemalloc.start()
        known.update()
        known.table()
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        sys.stdout.write(f"{n_frames} frames: peak {peak:.0f} MB beside the labels\n")
        sys.stdout.flush()


def measured_frames(frame: np.ndarray, noise: np.ndarray, n_frames: int) -> Measurements:
    """Return measurements of a stack that shows one frame again and again."""
    labels, image = (np.broadcast_to(each, (n_frames, SIDE, SIDE)) for each in (frame, noise))
    return Measurements(labels, image, scale=(60, 0.5, 0.5), units=("s", "µm", "µm"))


if __name__ == "__main__":
    main()
