"""The check of pixel sizes that callers give. Any thread may use it."""

from __future__ import annotations

import math
from collections.abc import Sequence


def positive_sizes(scale: Sequence[float], ndim: int) -> tuple[float, ...] | None:
    """Return a scale as `ndim` positive finite numbers; None if it is no such thing."""
    try:
        sizes = tuple(float(size) for size in scale)
    except (TypeError, ValueError):
        return None
    fits = len(sizes) == ndim and all(math.isfinite(size) and size > 0 for size in sizes)
    return sizes if fits else None
