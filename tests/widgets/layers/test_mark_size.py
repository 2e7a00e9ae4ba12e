"""Points and lines are as large on the screen at every zoom."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.widgets.layers.mark_size import EDGE_PIXELS, POINT_PIXELS


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
