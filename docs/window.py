"""Drive the real window for the pictures of the documentation.

Scripts import this before napari: the pictures show the defaults, whatever is set on this machine
and whatever work is kept there.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
os.environ["NAPARI_SAM2_SESSIONS"] = tempfile.mkdtemp()

import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from scipy import ndimage

from napari_sam2.samples import SampleStack
from napari_sam2.widgets.sample_data import nuclei
from napari_sam2.widgets.stack_panel import StackPanel

IMAGES = Path(__file__).parent / "images"
PATIENCE_S = 900.0
SETTLE_S = 0.5


def open_window(
    width: int,
    height: int,
    frame: int,
    widget: str = "SAM 2: segment stack",
    image: napari.layers.Image | None = None,
) -> tuple[napari.Viewer, StackPanel]:
    """Open a viewer of some size on an image, or the sample z-stack, with a panel beside it."""
    viewer = napari.Viewer()
    viewer.window.resize(width, height)
    if image is None:
        ((data, settings, _kind),) = nuclei()
        image = napari.layers.Image(data, **settings)
    viewer.add_layer(image)
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", widget)
    wait(lambda: len(panel.settings.device.choices) > 1)
    viewer.dims.set_current_step(0, frame)
    pause()
    return viewer, panel


def start(viewer: napari.Viewer, panel: StackPanel) -> None:
    """Press Start and wait until the model is there."""
    panel.start.click()
    wait(lambda: panel.controller.idle)
    viewer.reset_view()
    pause()


def click(
    panel: StackPanel, frame: int, y: float, x: float, new: bool = True, positive: bool = True
) -> None:
    """Click a pixel, as a new object or on the current one, and wait for the mask."""
    if new:
        panel.prompts.next_object.click()
    workspace = panel.controller.workspace
    if workspace is None:
        raise RuntimeError(panel.hint.text())
    (panel.prompts.positive if positive else panel.prompts.negative).click()
    workspace.points.add([frame, y, x])
    wait(lambda: panel.controller.idle)


def centres(sample: SampleStack, frame: int) -> list[tuple[float, float]]:
    """Return the middles of the objects of a frame, the largest object first."""
    labels = sample.labels[frame]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    depths = (ndimage.distance_transform_edt(labels == i) for i in np.argsort(sizes)[::-1])
    places = (np.unravel_index(depth.argmax(), depth.shape) for depth in depths)
    return [(float(y), float(x)) for y, x in places][: np.count_nonzero(sizes)]


def wait(done: Callable[[], bool]) -> None:
    """Let the window live until something is done, and a moment longer."""
    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("The window took too long.")
        QApplication.processEvents()
        time.sleep(0.01)
    pause()


def pause(seconds: float = SETTLE_S) -> None:
    """Let the window live for a moment."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
