"""Draw docs/images/widget.png: the real window, the sample z-stack, real clicks and propagation.

Needs a screen; on a machine without one::

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Before napari is imported: the picture shows the defaults, whatever is set on this machine.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")

import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from scipy import ndimage

from napari_sam2.samples import SampleStack, nuclei_stack
from napari_sam2.widgets.sample_data import nuclei
from napari_sam2.widgets.stack_panel import StackPanel

IMAGES = Path(__file__).parent / "images"
SIZE = (1400, 860)
CLICKS = 5
PATIENCE_S = 900.0
SETTLE_S = 0.5


def main() -> None:
    """Segment some nuclei through the stack in the real window and take its picture."""
    sample = nuclei_stack()
    frame = len(sample.image) // 2
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    ((data, settings, _kind),) = nuclei()
    viewer.add_image(data, **settings)
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "SAM 2: segment stack")
    _wait(lambda: panel.model.devices.count() > 1)
    viewer.dims.set_current_step(0, frame)
    panel.start.click()
    _wait(lambda: panel.coordinator.idle)
    viewer.reset_view()
    for y, x in _centres(sample, frame)[:CLICKS]:
        _click(panel, frame, y, x)
    panel.run.both.click()
    _wait(lambda: panel.coordinator.idle)
    viewer.dims.set_current_step(0, frame)
    _pause()
    IMAGES.mkdir(exist_ok=True)
    viewer.screenshot(str(IMAGES / "widget.png"), canvas_only=False, flash=False)
    viewer.close()


def _click(panel: StackPanel, frame: int, y: float, x: float) -> None:
    panel.prompts.next_object.click()
    workspace = panel.coordinator.workspace
    if workspace is None:
        raise RuntimeError(panel.hint.text())
    workspace.points.add([frame, y, x])
    _wait(lambda: panel.coordinator.idle)


def _centres(sample: SampleStack, frame: int) -> list[tuple[float, float]]:
    """Return the middles of the objects of a frame, the largest object first."""
    labels = sample.labels[frame]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    depths = (ndimage.distance_transform_edt(labels == i) for i in np.argsort(sizes)[::-1])
    places = (np.unravel_index(depth.argmax(), depth.shape) for depth in depths)
    return [(float(y), float(x)) for y, x in places][: np.count_nonzero(sizes)]


def _wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("The window took too long.")
        QApplication.processEvents()
        time.sleep(0.01)
    _pause()


def _pause() -> None:
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
