"""Python may exit mid-run: no traceback, no crash, no thread that prevents the exit."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from packaging.version import Version

pytestmark = pytest.mark.gl

ENDINGS = {
    "script ends": "",
    "viewer closed": "viewer.close()",
    "window closed": "QTimer.singleShot(100, viewer.window._qt_window.close); napari.run()",
    "napari quits": "QTimer.singleShot(100, QApplication.instance().quit); napari.run()",
}
# napari 0.7 aborts by itself in the first one, whose thread for its status bar is never ended.
KEEPS_ITS_THREAD = Version(version("napari")) < Version("0.9.0rc0")
TRIED = [*ENDINGS][1:] if KEEPS_ITS_THREAD else [*ENDINGS]
# The imports take longer than all the rest: where processes can be forked, they are made once.
RUNS = [TRIED] if hasattr(os, "fork") else [[ending] for ending in TRIED]

# What is registered first for the end of Python comes last: PyQt's clean-up, registered between
# `tell` and `watch`, is what is watched. An event handler of ours, or of magicgui's widgets, that
# runs in it may crash the process (see `end_with_python`).
SCRIPT = """
import atexit, os, sys, time
late = set()


def watch(frame, event, _arg):
    name = frame.f_code.co_filename
    if event == "call" and ("napari_sam2" in name or "magicgui" in name):
        late.add(frame.f_code.co_qualname)


def tell():
    sys.setprofile(None)
    print("late", *sorted(late), flush=True)


atexit.register(tell)
from qtpy.QtCore import QTimer
atexit.register(sys.setprofile, watch)
import napari.window
import numpy as np
from qtpy.QtWidgets import QApplication
from blob_session import BlobSession, Script
from panel_page import PanelPage
from napari_sam2.types import FrameMasks
from napari_sam2.widgets.worker.model_fetcher import Sources
from napari_sam2.widgets.segment_form import SegmentForm
from napari_sam2.widgets.state.model_catalog import ModelEntry
from napari_sam2.widgets.stack_panel import StackPanel, Wiring


MODELS = (ModelEntry("bundled", "Bundled", "", "", None, True),)


class Endless(BlobSession):
    def planned_visits(self, *scope):
        return (2_000,) * 5

    def _walk(self, frames, object_ids):
        for frame in range(10_000):
            time.sleep(0.02)
            yield FrameMasks(frame % 5, (1,), np.ones((1, 9, 9), bool), np.ones(1), np.ones(1))


endings = sys.argv[1:]
while len(endings) > 1:
    child = os.fork()
    if not child:
        endings = endings[:1]
    else:
        _, status = os.waitpid(child, 0)
        assert status == 0, endings[0]
        endings = endings[1:]

viewer = napari.Viewer()
viewer.add_image(np.zeros((5, 9, 9), np.uint8))
clicks = viewer.add_points([(2, 3, 3)])
sources = Sources(lambda: MODELS, lambda: ("cpu",), None)
form = SegmentForm(lambda spec, tell: Endless(Script(), spec), sources)
viewer.window.add_dock_widget(form)
form.points.value = clicks
form()
widget = StackPanel(viewer, Wiring(lambda spec, tell: Endless(Script(), spec), sources))
viewer.window.add_dock_widget(widget)
panel = PanelPage(widget, viewer)
panel.start()
panel.add_point(2, 3, 3)
panel.send_prompts()
panel.propagate("both")
end = time.monotonic() + 20
while panel.frames_done < 3 and time.monotonic() < end:
    QApplication.processEvents()
    time.sleep(0.01)
assert panel.running and form.busy
print("ends", endings[0], flush=True)
exec(ENDINGS[endings[0]])
"""


@pytest.mark.parametrize("endings", RUNS)
def test_python_ends_mid_run(endings):
    done = subprocess.run(
        [sys.executable, "-c", f"ENDINGS = {ENDINGS!r}\n{SCRIPT}", *endings],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        timeout=180 * len(endings),
    )
    assert done.returncode == 0, done.stderr
    told = [line for ending in endings for line in (f"ends {ending}", "late")]
    assert done.stdout.splitlines() == told
    assert "Traceback" not in done.stderr
