"""The memory that a propagation needs does not grow with the stack, but for the labels."""

from __future__ import annotations

import json
import os

import forked
import pytest


@pytest.mark.skipif(os.name == "nt", reason="Windows has no resource module")
def test_fifty_and_three_hundred_frames_peak_alike(tmp_path):
    from peak_jobs import peaks

    told = tmp_path / "peaks.json"
    process = forked.start(peaks, (50, 300), told, said=None)
    process.join()
    assert process.exitcode == 0
    (short, low, low_labels), (long, high, high_labels) = json.loads(told.read_text("utf-8"))
    assert (short, long) == (50, 300)
    assert high - low < high_labels - low_labels + 27
