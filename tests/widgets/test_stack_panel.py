"""The panel as napari opens it from its menu."""

from __future__ import annotations

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.layers import Image
from npe2 import PluginManager
from panel_page import PanelPage

from napari_sam2.widgets.segment_stack import segment_stack
from napari_sam2.widgets.stack_panel import StackPanel


@pytest.mark.gl
def test_napari_opens_the_panel_on_the_real_layers(make_napari_viewer, qtbot, our_threads):
    viewer = make_napari_viewer()
    dock, widget = viewer.window.add_plugin_dock_widget("napari-sam2", "SAM 2: segment stack")
    assert isinstance(widget, StackPanel)
    panel = PanelPage(widget, viewer)
    image = viewer.add_image(np.zeros((3, 20, 30), np.uint8), name="stack")
    assert panel.chosen_image_name == "stack"
    assert panel.settings.image.value is image
    assert panel.chosen_image is image
    dock.destroyOnClose()
    qtbot.waitUntil(lambda: not our_threads(), timeout=60_000)


@pytest.mark.gl
def test_layers_menus_of_napari_offer_the_panels_and_scripts_get_the_command(make_napari_viewer):
    make_napari_viewer()
    menus = get_app_model().menus
    for menu, commands in (
        ("napari/layers/segment", {"stack_panel", "image_panel", "segment_form"}),
        ("napari/layers/track", {"stack_panel"}),
        ("napari/layers/annotate", {"stack_panel", "image_panel"}),
    ):
        offered = {item.command.id for item in menus.get_menu(menu) if hasattr(item, "command")}
        assert {f"napari-sam2.{command}" for command in commands} <= offered
    commands = PluginManager.instance().commands
    assert commands.get("napari-sam2.segment_stack") is segment_stack


@pytest.mark.gl
def test_napari_opens_the_samples(make_napari_viewer):
    viewer = make_napari_viewer()
    for name in ("nuclei_stack", "dividing_cells"):
        (layer,) = viewer.open_sample("napari-sam2", name)
        assert isinstance(layer, Image)
        assert layer.ndim == 3


def test_every_control_has_a_tooltip(started):
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QProgressBar

    controls = [
        control
        for kind in (QAbstractButton, QAbstractSpinBox, QComboBox, QProgressBar)
        for control in started.widget.findChildren(kind)
        if control.objectName() != "qt_spinbox_lineedit"
    ]
    assert len(controls) >= 15
    assert [control for control in controls if not control.toolTip()] == []


def test_panel_fits_a_small_screen(started):
    assert started.widget.minimumSizeHint().height() < 620
    assert started.widget.minimumSizeHint().width() <= 340
