"""The speed of a matrix product on a device: the limit of the network's stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

from napari_sam2.benchmarking.meter import synchronise

# So large that the product takes far longer than it takes to ask for it.
_SIDES: Mapping[str, int] = MappingProxyType({"cuda": 8192, "mps": 4096})
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
    side = _SIDES.get(device.type, _SIDE)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(_ROUNDS):
        synchronise(device)
        start = clock()
        torch.mm(a, b)
        synchronise(device)
        best = min(best, clock() - start)
    return 2 * side**3 / best
