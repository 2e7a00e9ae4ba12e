"""GPUs for tests: the one that is here, if any, and one that is pretended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from napari_sam2.tracking import available_devices

NO_GPU = "needs a GPU: neither CUDA nor MPS is here"


def real_gpu() -> torch.device | None:
    """Return the GPU of this machine.

    NAPARI_SAM2_TEST_DEVICE names another device to take for it: with "cpu" the tests that need a
    GPU are themselves tried out where there is none.
    """
    name = os.environ.get("NAPARI_SAM2_TEST_DEVICE", available_devices()[0])
    if name == "cpu" and "NAPARI_SAM2_TEST_DEVICE" not in os.environ:
        return None
    return torch.device(name, 0) if name == "cuda" else torch.device(name)


@contextmanager
def full_float32() -> Iterator[None]:
    """Keep GPUs from rounding factors to 10 bits (TF32), to compare them with the CPU."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
