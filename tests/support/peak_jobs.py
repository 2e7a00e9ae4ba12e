"""The peak memory of propagations, in a process of its own (`forked`)."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from known_masks import known_masks

from napari_sam2.tracking import Model, TrackingSession


class Frames:
    """Noise, made when a frame is read."""

    dtype = np.dtype(np.uint8)

    def __init__(self, frames: int) -> None:
        self.shape = (frames, 96, 96)

    def __getitem__(self, item):
        frame, *window = item if isinstance(item, tuple) else (item,)
        image = np.random.default_rng(int(frame)).integers(0, 255, self.shape[1:], dtype=np.uint8)
        return image[tuple(window)]


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # There, `ru_maxrss` begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def figures(frames: int) -> tuple[int, float, float]:
    """Propagate; return frames visited, the peak, and the size of the labels in MiB."""
    session = TrackingSession(Model(known_masks(), "tiny", torch.device("cpu"), 64), Frames(frames))
    session.add_points(1, 10, [(50, 60)])
    visited = sum(1 for _ in session.propagate())
    labels = session.labels
    assert labels[-1].any()
    return visited, peak(), labels.nbytes / 2**20


def peaks(lengths: Sequence[int], told: Path) -> None:
    """Write the figures of stacks of so many frames, one after the other."""
    torch.set_num_threads(1)
    told.write_text(json.dumps([figures(length) for length in lengths]), encoding="utf-8")
