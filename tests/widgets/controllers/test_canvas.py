"""A real click in a real window; needs a screen."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

pytestmark = pytest.mark.gl


@pytest.fixture
def shown(make_napari_viewer, make_docked_panel, blobs, qtbot):
    viewer = make_napari_viewer(show=True)
    panel = make_docked_panel(blobs(), viewer=viewer)
    viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    viewer.window.resize(1300, 800)
    qtbot.wait(100)
    viewer.reset_view()
    qtbot.wait(100)
    return panel


def canvas_position(panel, layer, position) -> QPoint:
    """Where a position in a layer's data is on the canvas, in Qt's pixels."""
    height, width = panel.canvas.size
    viewer = panel.viewer
    camera = (viewer.scene if hasattr(viewer, "scene") else viewer).camera  # since napari 0.9
    centre = np.asarray(camera.center[-2:])
    offset = (np.asarray(layer.data_to_world(position))[-2:] - centre) * camera.zoom
    return QPoint(round(offset[1] + width / 2), round(offset[0] + height / 2))


def spread(picture, native, where) -> int:
    """How far a pixel of a screenshot is from grey."""
    y = round(where.y() * picture.shape[0] / native.height())
    x = round(where.x() * picture.shape[1] / native.width())
    colour = picture[y, x, :3].astype(int)
    assert colour.max() > 100, "on a bright object"
    return int(colour.max() - colour.min())


def test_real_click_puts_a_coloured_mask_on_the_canvas(shown, qtbot):
    viewer = shown.viewer
    before = viewer.screenshot(canvas_only=True, flash=False)
    native = shown.canvas.native
    where = canvas_position(shown, shown.image_layer, (0, 8, 8))
    qtbot.mouseMove(native, where)
    qtbot.mouseClick(native, Qt.MouseButton.LeftButton, pos=where)
    shown.wait_idle()
    assert np.allclose(shown.points, [[0, 8, 8]], atol=1)
    shown.points_layer.visible = False
    assert spread(before, native, where) == 0, "the image is grey"
    qtbot.waitUntil(
        lambda: spread(viewer.screenshot(canvas_only=True, flash=False), native, where) > 30
    )


def test_keys_of_the_canvas(shown, qtbot):
    native = shown.canvas.native
    shown.add_point(0, 8, 8)
    shown.wait_idle()
    qtbot.keyClick(native, Qt.Key.Key_N)
    assert shown.current_object == 2
    qtbot.keyClick(native, Qt.Key.Key_T)
    assert shown.clicks_mark_background


def test_no_mark_is_drawn_in_a_frame_without_points(shown, qtbot):
    viewer = shown.viewer
    shown.add_point(0, 8, 8)
    shown.wait_idle()
    shown.labels_layer.visible = shown.image_layer.visible = False
    viewer.dims.set_current_step(0, 4)
    qtbot.wait(100)
    corner = canvas_position(shown, shown.image_layer, (4, 0, 0))
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    y = round(corner.y() * picture.shape[0] / shown.canvas.native.height())
    x = round(corner.x() * picture.shape[1] / shown.canvas.native.width())
    around = picture[y - 6 : y + 7, x - 6 : x + 7]
    assert (around == around[0, 0]).all(), "napari has one of no size at the origin"


def test_real_click_with_the_box_tool_is_a_point(shown, qtbot):
    shown.choose_tool("boxes")
    native = shown.canvas.native
    where = canvas_position(shown, shown.image_layer, (0, 8, 8))
    qtbot.mouseMove(native, where)
    qtbot.mouseClick(native, Qt.MouseButton.LeftButton, pos=where)
    shown.wait_idle()
    assert shown.shapes == []
    assert np.allclose(shown.points, [[0, 8, 8]], atol=1)
    assert shown.prompted_objects == {1}
    shown.undo()
    shown.wait_idle()
    assert len(shown.points) == 0
    assert shown.shapes == [], "it was one step"
