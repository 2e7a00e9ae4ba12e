"""Marks keep their size on the screen; the empty Shapes layer is hidden until it is used."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.widgets.layers.appearance import EDGE_PIXELS, POINT_PIXELS, ShapesVisibility


@pytest.mark.parametrize("scale", [(1, 1, 1), (5, 0.25, 0.25)])
@pytest.mark.parametrize("shape", [(3, 30, 40), (2, 3000, 3000)])
def test_marks_have_one_size_on_the_screen_at_every_zoom(make_panel, shape, scale):
    panel = make_panel(np.zeros(shape, np.uint8), scale=scale)
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    panel.click(0, 8, 8)
    panel.draw_box((0, 4, 4), (0, 16, 16))
    for zoom in (0.01, 1.0, 3.0, 200.0):
        panel.zoom = zoom
        panel.choose_tool("points")
        panel.click(0, 9, 9)
        on_screen = zoom * scale[-1]
        sizes = panel.points_layer.size * on_screen
        assert (sizes > 0.99 * POINT_PIXELS).all(), "the canvas holds them at the size"
        assert (sizes < 1.12 * POINT_PIXELS).all()
        assert np.allclose(
            np.asarray(panel.shapes_layer.edge_width) * on_screen, EDGE_PIXELS, rtol=0.06
        )


def test_canvas_draws_points_no_larger_and_nothing_where_there_is_none(started):
    assert tuple(started.points_layer.canvas_size_limits) == (0, POINT_PIXELS)


def test_marks_are_hidden_while_a_key_is_held(started):
    started.click(0, 8, 8)
    started.draw_box((0, 4, 4), (0, 16, 16))
    before = started.points_layer.opacity, started.shapes_layer.opacity
    with started.hold("H"):
        assert (started.points_layer.opacity, started.shapes_layer.opacity) == (0, 0)
    assert (started.points_layer.opacity, started.shapes_layer.opacity) == before
    assert min(before) > 0.5


BOX = np.array([[2, 2], [2, 6], [6, 6], [6, 2]])


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_shapes(name="shapes")
    viewer.add_points(name="points")
    return viewer


def test_empty_shapes_layer_is_hidden_until_it_is_selected(viewer) -> None:
    shapes, points = viewer.layers
    visibility = ShapesVisibility(viewer, shapes)
    assert not shapes.visible
    viewer.layers.selection.active = shapes
    assert shapes.visible
    viewer.layers.selection.active = points
    assert not shapes.visible
    visibility.release()


def test_shapes_layer_is_visible_while_it_has_shapes(viewer) -> None:
    shapes = viewer.layers["shapes"]
    visibility = ShapesVisibility(viewer, shapes)
    shapes.add_rectangles(BOX)
    assert shapes.visible
    shapes.selected_data = {0}
    shapes.remove_selected()
    assert not shapes.visible
    visibility.release()


def test_shapes_hidden_by_the_user_stay_hidden(viewer) -> None:
    shapes, points = viewer.layers
    shapes.add_rectangles(BOX)
    visibility = ShapesVisibility(viewer, shapes)
    shapes.visible = False
    viewer.layers.selection.active = shapes
    viewer.layers.selection.active = points
    shapes.add_rectangles(BOX + 5)
    visibility.release()
    assert not shapes.visible


def test_released_layers_are_ordinary_ones(viewer) -> None:
    shapes, points = viewer.layers
    ShapesVisibility(viewer, shapes).release()
    assert shapes.visible
    viewer.layers.selection.active = shapes
    viewer.layers.selection.active = points
    assert shapes.visible


def test_reused_hidden_layer_is_shown_with_its_first_shape(viewer) -> None:
    shapes, points = viewer.layers
    ShapesVisibility(viewer, shapes).release(views_alive=False)
    assert not shapes.visible, "nothing is drawn while a window closes"
    visibility = ShapesVisibility(viewer, shapes)
    viewer.layers.selection.active = points
    shapes.add_rectangles(BOX)
    assert shapes.visible
    visibility.release()


def test_a_box_can_be_drawn_with_the_tool_of_the_panel(started) -> None:
    assert not started.shapes_layer.visible
    started.choose_tool("boxes")
    assert started.shapes_layer.visible
    started.draw_box((0, 4, 4), (0, 16, 16))
    started.wait_idle()
    started.take_up_tool("points")
    assert started.shapes_layer.visible
    assert len(started.shapes_layer.data) == 1
    started.undo()
    started.wait_idle()
    assert not started.shapes_layer.visible
