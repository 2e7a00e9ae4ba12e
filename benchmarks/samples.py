"""How quickly synthetic stacks are made: training draws them while it runs.

OMP_NUM_THREADS=1 python benchmarks/samples.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from napari_sam2.samples import dividing_cells, nuclei_stack
from synthetic import KINDS, random_clip


def report(name: str, make: Callable[[int], object], repeats: int) -> None:
    """Print mean and worst seconds of computing over several seeds."""
    make(0)
    seconds = []
    for seed in range(repeats):
        start = time.process_time()
        make(seed)
        seconds.append(time.process_time() - start)
    mean, worst = 1e3 * np.mean(seconds), 1e3 * np.max(seconds)
    sys.stdout.write(f"{name:24s} mean {mean:7.1f} ms, worst of {repeats} {worst:7.1f} ms\n")


def main() -> None:
    """Time clips of several sizes, each kind of clip, and the two sample stacks."""
    for frames, size in ((1, 128), (1, 256), (8, 128), (8, 256)):
        report(
            f"random_clip {frames} x {size}",
            lambda seed, f=frames, s=size: random_clip(np.random.default_rng(seed), f, s),
            repeats=40,
        )
    for kind in KINDS:
        for size in (128, 256):
            report(
                f"{kind.name} 8 x {size}",
                lambda seed, n=kind.name, s=size: random_clip(np.random.default_rng(seed), 8, s, n),
                repeats=12,
            )
    report("nuclei_stack", nuclei_stack, repeats=3)
    report("dividing_cells", dividing_cells, repeats=3)


if __name__ == "__main__":
    main()
