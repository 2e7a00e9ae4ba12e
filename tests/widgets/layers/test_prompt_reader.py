"""Marks of layers as prompts, whatever features others have left."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Points, Shapes

from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.layers.prompt_reader import read_prompts
from napari_sam2.widgets.state.hints import Ignored
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE

SHAPE = (4, 20, 30)


def points_at(positions, objects=None, positive=None, ndim=3, **settings) -> Points:
    n = len(positions)
    features = {OBJECT: objects or [1] * n, POSITIVE: positive or [True] * n}
    return Points(np.asarray(positions, float).reshape(n, ndim), features=features, **settings)


def no_points(ndim=3) -> Points:
    features = {OBJECT: np.empty(0, int), POSITIVE: np.empty(0, bool)}
    return Points(ndim=ndim, features=features)


def boxes_at(rectangles, objects=None, kind="rectangle", ndim=3, **settings) -> Shapes:
    if not rectangles:
        return Shapes(ndim=ndim, features={OBJECT: np.empty(0, int)})
    features = {OBJECT: objects or [1] * len(rectangles)}
    return Shapes(rectangles, shape_type=kind, features=features, **settings)


def rectangle(frame, y0, x0, y1, x1) -> list:
    return [[frame, y0, x0], [frame, y0, x1], [frame, y1, x1], [frame, y1, x0]]


@pytest.fixture
def image():
    return Image(np.zeros(SHAPE))


def test_points_are_grouped_by_object_and_frame(image):
    points = points_at(
        [(1, 5, 6), (1, 7.5, 8), (2, 0, 0), (1, 3, 3)], [1, 1, 1, 2], [True, False, True, True]
    )
    found = read_prompts(image, 0, points, boxes_at([])).at(())
    assert [placed.object_frame for placed in found] == [(1, 1), (1, 2), (2, 1)]
    assert found[0].prompt.points == ((5, 6), (7.5, 8))
    assert found[0].prompt.positive == (True, False)


def test_layers_of_another_scale_and_origin_are_read_in_pixels_of_the_image():
    image = Image(np.zeros(SHAPE), scale=(5, 0.5, 0.5), translate=(0, 100, 200))
    world = np.array([[5 * 3, 100 + 0.5 * 4, 200 + 0.5 * 6]])
    points = points_at(world, objects=[3])  # a layer without a scale: its data is the world
    boxes = boxes_at([rectangle(15, 101, 202, 104, 208)], objects=[4])
    point, box = read_prompts(image, 0, points, boxes).at(())
    assert (point.object_id, point.frame, point.prompt.points) == (3, 3, ((4, 6),))
    assert (box.object_id, box.frame, box.prompt.box) == (4, 3, (2, 4, 8, 16))


def test_slightly_off_slices_belong_to_the_nearest_frame(image):
    points = points_at([(1.4, 5, 6), (1.6, 5, 6)])
    assert [p.frame for p in read_prompts(image, 0, points, boxes_at([])).at(())] == [1, 2]


@pytest.mark.parametrize(
    "coordinates", [(-1, 5, 5), (4, 5, 5), (0, -0.6, 5), (0, 19.6, 5), (0, 5, 29.6), (0, 5, -3)]
)
def test_points_outside_the_image_are_ignored_and_counted(image, coordinates):
    found = read_prompts(image, 0, points_at([coordinates, (0, 5, 5)]), boxes_at([]))
    assert found.ignored == (Ignored.OUTSIDE,)
    assert len(found.at(())) == 1


def test_points_on_the_border_count(image):
    found = read_prompts(image, 0, points_at([(0, -0.5, 29.5)]), boxes_at([]))
    assert (found.ignored, len(found.at(()))) == ((), 1)


def test_box_is_cut_to_the_image_and_the_last_one_wins(image):
    boxes = boxes_at([rectangle(2, 1, 1, 5, 5), rectangle(2, -3, 25, 4, 99)])
    (placed,) = read_prompts(image, 0, no_points(), boxes).at(())
    assert placed.prompt.box == (0, 25, 4, 29)


def test_point_and_box_of_one_object_are_one_prompt(image):
    found = read_prompts(image, 0, points_at([(2, 3, 3)]), boxes_at([rectangle(2, 1, 1, 5, 5)]))
    (placed,) = found.at(())
    assert placed.prompt.points == ((3, 3),)
    assert placed.prompt.box == (1, 1, 5, 5)


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        (rectangle(1, 5, 5, 5.4, 9), Ignored.SMALL),
        (rectangle(1, 30, 40, 50, 60), Ignored.OUTSIDE),
        (rectangle(9, 1, 1, 5, 5), Ignored.OUTSIDE),  # no such frame
        ([[1, 1, 1], [1, 1, 5], [3, 5, 5], [3, 5, 1]], Ignored.ACROSS),
    ],
)
def test_useless_boxes_are_ignored_with_one_reason_each(image, corners, reason):
    found = read_prompts(image, 0, no_points(), boxes_at([corners]))
    assert (found.by_position, found.ignored) == ({}, (reason,))


def test_marks_are_counted_as_they_were_drawn(image):
    shapes = boxes_at([[(2, 10, 2), (2, 10, 22)], [(2, 12, 2), (2, 12, 22)]], kind="path")
    shapes.features = {OBJECT: [1, 1], POSITIVE: [True, True]}
    (placed,) = read_prompts(image, 0, points_at([(2, 10, 2)]), shapes).at(())
    assert len(placed.prompt.points) == 11
    assert placed.marks == 3


def test_ellipse_is_a_mask(image):
    ellipse = boxes_at([rectangle(1, 2, 4, 12, 20)], kind="ellipse")
    (placed,) = read_prompts(image, 0, no_points(), ellipse).at(())
    mask = placed.prompt.mask
    assert placed.prompt.box is None
    assert mask[7, 12]
    assert not mask[2, 4]
    assert mask.sum() == pytest.approx(np.pi * 5 * 8, rel=0.1)


def test_polygons_are_joined_and_cut(image):
    corners = [rectangle(1, 2, 2, 8, 8), rectangle(1, 2, 12, 8, 18), rectangle(1, 4, 0, 6, 29)]
    polygons = boxes_at(corners, kind="polygon")
    polygons.features = {OBJECT: [1, 1, 1], POSITIVE: [True, True, False]}
    (placed,) = read_prompts(image, 0, no_points(), polygons).at(())
    assert placed.prompt.mask[3, [5, 10, 15]].tolist() == [True, False, True]
    assert not placed.prompt.mask[5].any()


@pytest.mark.parametrize("kind", ["path", "line"])
def test_scribbles_are_points_along_them(image, kind):
    lines = boxes_at([[(2, 10, 2), (2, 10, 22)]], kind=kind)
    lines.features = {OBJECT: [3], POSITIVE: [False]}
    (placed,) = read_prompts(image, 0, no_points(), lines).at(())
    assert placed.object_frame == (3, 2)
    assert placed.prompt.points == ((10, 4), (10, 8), (10, 12), (10, 16), (10, 20))
    assert not any(placed.prompt.positive)


@pytest.mark.parametrize("kind", ["polygon", "ellipse", "path"])
def test_shapes_outside_the_image_are_ignored_and_counted(image, kind):
    found = read_prompts(image, 0, no_points(), boxes_at([rectangle(1, 40, 40, 60, 60)], kind=kind))
    assert (found.by_position, found.ignored) == ({}, (Ignored.OUTSIDE,))


def test_painted_masks_are_prompts_too(image):
    mask = np.zeros(SHAPE[1:], bool)
    mask[3:6, 3:6] = True
    painted = {((), 2, 1): FramePrompt(mask=mask), ((), 2, 3): FramePrompt(mask=mask)}
    found = read_prompts(image, 0, points_at([(1, 4, 4)], objects=[2]), boxes_at([]), painted)
    first, second = found.at(())
    assert first.prompt == FramePrompt(points=((4, 4),), mask=mask)
    assert second.prompt is painted[(), 2, 3]


def test_4d_prompts_belong_to_the_stack_of_their_other_slider():
    image = Image(np.zeros((5, *SHAPE)))
    points = points_at([(4, 2, 1, 1), (0, 2, 1, 1), (4, 3, 1, 1)], [1, 1, 2], ndim=4)
    along_z = read_prompts(image, 1, points, boxes_at([], ndim=4))
    assert {k: [p.object_frame for p in v] for k, v in along_z.by_position.items()} == {
        ((0, 4),): [(1, 2), (2, 3)],
        ((0, 0),): [(1, 2)],
    }
    along_t = read_prompts(image, 0, points, boxes_at([], ndim=4))
    assert {k: [p.object_frame for p in v] for k, v in along_t.by_position.items()} == {
        ((1, 2),): [(1, 0), (1, 4)],
        ((1, 3),): [(2, 4)],
    }
    assert along_z.object_ids == {1, 2}


def test_prompts_of_a_single_image_are_in_frame_0():
    image = Image(np.zeros((20, 30)))
    (placed,) = read_prompts(image, None, points_at([(3, 4)], ndim=2), boxes_at([], ndim=2)).at(())
    assert (placed.frame, placed.prompt.points) == (0, ((3, 4),))


@pytest.mark.parametrize("value", [np.nan, None, pd.NA, "cell", np.inf, 2.5, -1, 0, 10**400])
def test_a_point_of_no_object_is_ignored_and_the_others_work(started, script, value):
    started.click(0, 8, 8)
    started.wait_idle()
    features = started.points_layer.features.copy()
    features[OBJECT] = pd.Series([value], dtype=object)
    started.points_layer.features = features
    started.wait_idle()
    assert "1 mark is ignored" in started.hint
    assert not started.prompted_objects
    started.next_object()
    started.click(0, 28, 30)
    started.wait_idle()
    started.click(0, 28, 31)
    started.wait_idle()
    assert len(started.prompted_objects) == 1
    assert (started.labels[0] == started.current_object).sum() == 156


@pytest.mark.parametrize("gone", [OBJECT, POSITIVE])
def test_a_missing_feature_does_not_stop_the_panel(started, gone):
    started.click(0, 8, 8)
    started.draw_box((0, 4, 4), (0, 16, 16))
    started.wait_idle()
    for layer in (started.points_layer, started.shapes_layer):
        layer.features = layer.features.drop(columns=[gone])
    started.wait_idle()
    started.choose_tool("points")
    started.select_object(2)
    started.click(0, 28, 30)
    started.wait_idle()
    assert 2 in started.prompted_objects
    assert (1 in started.prompted_objects) == (gone == POSITIVE)


def test_numbers_and_words_that_can_be_read_count(started):
    started.click(0, 8, 8)
    started.click(0, 30, 5, shift=True)
    started.wait_idle()
    features = started.points_layer.features.copy()
    features[OBJECT], features[POSITIVE] = ["3", 3.0], ["yes", "false"]
    started.points_layer.features = features
    started.wait_idle()
    (placed,) = started.prompts.at(())
    assert (placed.object_id, placed.prompt.positive) == (3, (True, False))


def test_a_value_that_is_changed_in_place_is_noticed_with_the_next_prompt(started):
    started.click(0, 8, 8)
    started.wait_idle()
    features = started.points_layer.features
    features[OBJECT] = features[OBJECT].astype(float)
    features.loc[0, OBJECT] = np.nan
    started.select_object(2)
    started.click(0, 28, 30)
    started.wait_idle()
    assert started.prompted_objects == {2}
    assert "1 mark is ignored" in started.hint


def test_a_point_at_no_number_is_ignored(started):
    started.add_point(np.nan, 8, 8)
    started.wait_idle()
    assert "1 mark is ignored" in started.hint
    started.click(0, 8, 8)
    started.wait_idle()
    assert started.prompted_objects == {1}
