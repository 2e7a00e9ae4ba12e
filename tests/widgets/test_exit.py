"""Python may end at any moment: no traceback, no crash, no thread that keeps it from ending."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.gl

SCRIPT = """
import os, sys, time
import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from napari_sam2.types import FrameMasks
from napari_sam2.widgets.model_choice import Sources
from napari_sam2.widgets.opening import ModelEntry
from napari_sam2.widgets.stack_panel import StackPanel, Wiring


MODELS = (ModelEntry("bundled", "Bundled", "", "", None, True),)


class Endless:
    def __init__(self, spec):
        self.labels = spec.labels

    def add_points(self, object_id, frame, points, positive):
        self.labels[frame, 2:4, 2:4] = object_id

    def planned_frames(self, direction):
        return 10_000

    def propagate(self, direction):
        for frame in range(10_000):
            time.sleep(0.02)
            yield FrameMasks(frame % 5, (1,), np.ones((1, 9, 9), bool), np.ones(1), np.ones(1))

    def cancel(self):
        pass


viewer = napari.Viewer()
viewer.add_image(np.zeros((5, 9, 9), np.uint8))
sources = Sources(lambda: MODELS, lambda: ("cpu",), None)
panel = StackPanel(viewer, Wiring(lambda spec, tell: Endless(spec), sources))
viewer.window.add_dock_widget(panel)
panel.start.click()
panel.coordinator.workspace.points.add([2, 3, 3])
panel.coordinator._soon.stop()
panel.coordinator._prompts_changed()
panel.run.both.click()
end = time.monotonic() + 20
while panel.run.progress.value() < 3 and time.monotonic() < end:
    QApplication.processEvents()
    time.sleep(0.01)
assert panel.coordinator.running
"""

ENDINGS = {
    "script ends": "",
    "viewer closed": "viewer.close()",
    "window closed": "QTimer.singleShot(100, viewer.window._qt_window.close); napari.run()",
    "napari quits": "QTimer.singleShot(100, QApplication.instance().quit); napari.run()",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_python_ends_mid_run(ending):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT) + ENDINGS[ending]],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
