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
    """Measure all frames, then one of them again after a change."""
    frame = ellipses()
    labels = np.broadcast_to(frame, (FRAMES, SIDE, SIDE))
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    image = np.broadcast_to(noise, labels.shape)
    options = {"scale": (60, 0.5, 0.5), "units": ("s", "µm", "µm")}
    Measurements(labels[:1], image[:1], **options).update()
    known = Measurements(labels, image, **options)
    tracemalloc.start()
    wall, cpu = time.perf_counter(), time.process_time()
    known.update()
    table = known.table()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    sys.stdout.write(
        f"{len(table)} rows of {table.shape[1]} columns: {wall:.1f} s, {cpu:.1f} s of one core, "
        f"peak {peak:.0f} MB beside the labels\n"
    )
    changed = frame.copy()
    changed[:20, :20] = 0
    known.invalidate([7])
    again = time.perf_counter()
    measured = known.update()
    sys.stdout.write(f"{len(measured)} changed frame: {time.perf_counter() - again:.2f} s\n")


if __name__ == "__main__":
    main()
