"""How fast a device multiplies matrices: the limit that the network's stages are held against."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from napari_sam2.benchmarking.meter import synchronise

_SIDE = 2048
_ROUNDS = 9


def measured_peak(
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Multiply large matrices and return the best rate, in FLOP per second.

    The roofline of Williams et al. (Communications of the ACM 52, 2009) has this roof; what the
    memory's bandwidth takes away shows as distance from it.
    """
    a, b = (torch.randn(_SIDE, _SIDE, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(_ROUNDS):
        synchronise(device)
        start = clock()
        torch.mm(a, b)
        synchronise(device)
        best = min(best, clock() - start)
    return 2 * _SIDE**3 / best
