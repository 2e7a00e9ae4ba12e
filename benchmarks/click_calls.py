"""How many of our functions one click calls, in how many of our files.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/click_calls.py
    ... --by file        # a line per file instead of one per thread
    ... --by function    # and thread

What is counted is a warm click: the bundled model is loaded, and a click before has encoded the
frame, one of six small ones. All threads count, until the session is in its file. The script only
waits meanwhile: no call is counted that asks whether something is ready.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

# Before napari is imported: the defaults, whatever is set on this machine.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
os.environ["NAPARI_SAM2_SESSIONS"] = tempfile.mkdtemp()

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

import napari_sam2
from napari_sam2.widgets.stack_panel import StackPanel

OURS = str(Path(napari_sam2.__file__).parent)
SETTLED_S = 3.0


class Calls:
    """Counts calls of functions of the package, by thread, file and function."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, str, str]] = Counter()

    def __enter__(self) -> Calls:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _see(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            code = frame.f_code
            file = code.co_filename[len(OURS) + 1 :]
            self.counted[threading.current_thread().name, file, code.co_qualname] += 1


def wait(seconds: float) -> None:
    """Process events for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def settle(calls: Calls) -> None:
    """Wait until nothing of ours has been called for a while."""
    before = -1
    while before != sum(calls.counted.values()):
        before = sum(calls.counted.values())
        wait(SETTLED_S)


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--by", choices=("thread", "file", "function"), default="thread")
    options = parser.parse_args()
    image = np.zeros((6, 96, 96), np.uint16)
    image[:, 20:44, 20:44] = 900
    image[:, 56:80, 50:76] = 700
    calls = Calls()
    threading.setprofile(calls._see)  # before our threads start: Python 3.11 has no later moment
    viewer = napari.Viewer(show=True)
    viewer.add_image(image, name="squares")
    panel = StackPanel(viewer)
    viewer.window.add_dock_widget(panel)
    viewer.dims.set_current_step(0, 2)
    panel.start.click()
    settle(calls)
    points = viewer.layers["squares · points"]
    points.add([2, 32, 32])
    labels = viewer.layers["squares · labels"]
    while not np.asarray(labels.data[2]).any():
        wait(SETTLED_S)
    settle(calls)
    calls.counted.clear()
    with calls:
        points.add([2, 34, 30])
        settle(calls)
    counted = dict(calls.counted)
    index = {"thread": 0, "file": 1, "function": 2}[options.by]
    sums: Counter[str] = Counter()
    for key, count in counted.items():
        sums[key[index] if index < 2 else " ".join(key)] += count
    out = sys.stdout
    for name, count in sums.most_common():
        out.write(f"{count:6}  {name}\n")
    files = {file for _, file, _ in counted}
    out.write(f"{sum(counted.values()):6}  calls in {len(files)} files, ")
    out.write(f"{sum(file.startswith('widgets') for file in files)} of them in widgets\n")
    viewer.close()


if __name__ == "__main__":
    main()
