"""A time-lapse in which one cell becomes two."""

from __future__ import annotations

import numpy as np

FRAMES, FIRST = 12, 6  # of the time-lapse; with the daughters


def dividing_cell() -> np.ndarray:
    """A bright cell that becomes two, and a small one that stays."""
    y, x = np.mgrid[:96, :96]
    frames = []
    for frame in range(FRAMES):
        apart = 9 + 2 * (frame - FIRST)
        cells = [(48, 44, 14)] if frame < FIRST else [(48 - apart, 44, 9), (48 + apart, 44, 9)]
        light = sum(
            1 / (1 + np.exp((np.hypot(y - row, x - column) - radius) / 0.8))
            for row, column, radius in [*cells, (20, 80, 8)]
        )
        noise = np.random.default_rng(frame).normal(0, 4, light.shape)
        frames.append(np.clip(20 + 160 * light + noise, 0, 255))
    return np.array(frames, np.uint8)
