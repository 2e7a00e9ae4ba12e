"""An empty Shapes layer is hidden, unless it is used or the user shows it."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.widgets.layers.shapes_visibility import ShapesVisibility

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
