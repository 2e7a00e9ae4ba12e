"""The memory that a propagation needs does not grow with the stack, but for the labels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys, resource
import numpy as np, torch
sys.path.insert(0, {folder!r})
from known_masks import known_masks
from napari_sam2.tracking import Model, TrackingSession

class Frames:
    dtype = np.dtype(np.uint8)
    def __init__(self, frames):
        self.shape = (frames, 96, 96)
    def __getitem__(self, item):
        frame, *window = item if isinstance(item, tuple) else (item,)
        image = np.random.default_rng(int(frame)).integers(0, 255, self.shape[1:], dtype=np.uint8)
        return image[tuple(window)]

def peak():
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # There, `ru_maxrss` begins with the memory of the process that started this one.
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

def figures(frames):
    session = TrackingSession(Model(known_masks(), "tiny", torch.device("cpu"), 64), Frames(frames))
    session.add_points(1, 10, [(50, 60)])
    visited = sum(1 for _ in session.propagate())
    labels = session.labels
    assert labels[-1].any()
    return visited, peak(), labels.nbytes / 2**20

torch.set_num_threads(1)
print(json.dumps([figures(50), figures(500)]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no resource module")
def test_fifty_and_five_hundred_frames_peak_alike():
    script = SCRIPT.format(folder=str(Path(__file__).parents[2] / "support"))
    child = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=300
    )
    (short, low, low_labels), (long, high, high_labels) = json.loads(child.stdout)
    assert (short, long) == (50, 500)
    assert high - low < high_labels - low_labels + 50
