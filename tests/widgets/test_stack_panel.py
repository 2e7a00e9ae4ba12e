"""The panel as napari opens it from its menu."""

from __future__ import annotations

import numpy as np
from napari.layers import Image

from napari_sam2.widgets.stack_panel import StackPanel


def test_napari_opens_the_panel_on_the_real_layers(
    make_napari_viewer, qtbot, our_threads
):
    viewer = make_napari_viewer()
    dock, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "SAM 2: segment stack")
    assert isinstance(panel, StackPanel)
    image = viewer.add_image(np.zeros((3, 20, 30), np.uint8), name="stack")
    assert panel.stack.images.currentText() == "stack"
    assert panel.stack.images.value is image
    dock.destroyOnClose()
    qtbot.waitUntil(lambda: not our_threads(), timeout=60_000)


def test_napari_opens_the_samples(make_napari_viewer):
    viewer = make_napari_viewer()
    for name in ("nuclei_stack", "dividing_cells"):
        (layer,) = viewer.open_sample("napari-sam2", name)
        assert isinstance(layer, Image)
        assert layer.ndim == 3
