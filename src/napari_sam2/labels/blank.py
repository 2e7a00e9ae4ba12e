"""Labels of background that take memory where something is written, and nowhere else."""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from napari_sam2.labels.compose import Labels


def blank_labels(shape: Sequence[int], dtype: DTypeLike) -> Labels:
    """Return an array of zeros whose pages are only taken from memory once they are written to.

    numpy's own zeros are such an array too. But on Linux it asks for pages of 2 MiB, and the first
    pixel of an object would take as much as a whole frame.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype

    Raises
    ------
    MemoryError
        There is no room for so many.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if sys.platform != "linux" or size < mmap.PAGESIZE:
        return np.zeros(shape, dtype)
    try:
        memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"no {size / 1e9:.1f} GB for labels of {tuple(shape)}") from error
    _keep_pages_small(memory)
    labels: Labels = np.frombuffer(memory, dtype).reshape(shape)
    return labels


def _keep_pages_small(memory: Any) -> None:
    try:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    except OSError:  # a kernel that knows no others
        return
