"""Positions of marks and sliders in pixels of the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Points
from numpy.testing import assert_allclose

from napari_sam2.widgets.layers.geometry import (
    full_resolution,
    same_position,
    slider_indices,
    spatial_shape,
    stack_view,
)

sizes = st.floats(0.1, 20)
shifts = st.floats(-500, 500)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@settings(max_examples=25, deadline=None)
@given(
    scale=st.tuples(sizes, sizes, sizes),
    translate=st.tuples(shifts, shifts, shifts),
    other=st.tuples(sizes, sizes, sizes),
    angle=st.floats(-90, 90),
    marks=st.lists(st.tuples(shifts, shifts, shifts), min_size=1, max_size=4),
)
def test_same_place_keeps_the_world_position(scale, translate, other, angle, marks):
    image = Image(np.zeros((3, 4, 5)), scale=scale, translate=translate, rotate=(angle, 0, 0))
    layer = Points(np.asarray(marks), scale=other, translate=(1, -2, 3))
    placed = same_position(image, layer, layer.data)
    for mark, position in zip(layer.data, placed, strict=True):
        world = np.asarray(layer.data_to_world(mark))
        assert_allclose(image.data_to_world(position), world, rtol=1e-5, atol=1e-4 * max(scale))


def test_layers_with_one_transform_have_one_set_of_coordinates():
    image = Image(np.zeros((3, 4, 5)), scale=(2, 0.5, 0.5), translate=(10, 0, -7))
    points = Points([[1, 2.5, 3]], scale=image.scale, translate=image.translate)
    assert_allclose(same_position(image, points, points.data), [[1, 2.5, 3]])


def test_slider_of_a_scaled_translated_4d_layer():
    image = Image(np.zeros((4, 6, 8, 9)), scale=(2, 5, 1, 1), translate=(100, -10, 0, 0))
    world = image.data_to_world((3, 2, 0, 0))
    assert slider_indices(image, world) == (3, 2)
    assert slider_indices(image, (0.0, *world)) == (3, 2), "a viewer with one more dimension"


@pytest.mark.parametrize(("point", "expected"), [(-0.6, None), (-0.4, 0), (2.4, 2), (2.6, None)])
def test_slider_outside_the_image_has_no_index(point, expected):
    image = Image(np.zeros((3, 4, 5)))
    found = slider_indices(image, (point, 999.0, -999.0))
    assert found == (None if expected is None else (expected,))


def test_single_image_has_no_sliders():
    assert slider_indices(Image(np.zeros((4, 5))), (0.0, 0.0)) == ()


def test_colours_and_pyramids_are_no_axes():
    rgb = Image(np.zeros((3, 4, 5, 3), np.uint8), rgb=True)
    assert spatial_shape(rgb) == (3, 4, 5)
    levels = [np.zeros((3, 40, 60)), np.zeros((3, 20, 30))]
    pyramid = Image(levels, multiscale=True)
    assert spatial_shape(pyramid) == (3, 40, 60)
    assert full_resolution(pyramid).shape == (3, 40, 60)


@pytest.mark.parametrize(
    ("axis", "at", "shape"),
    [(0, ((1, 2),), (4, 8, 9)), (1, ((0, 3),), (6, 8, 9))],
)
def test_stack_view_writes_through(axis, at, shape):
    labels = np.zeros((4, 6, 8, 9), np.uint16)
    view = stack_view(labels, axis, at)
    assert view.shape == shape
    view[1] = 7
    index = [slice(None)] * 4
    index[axis] = 1
    index[at[0][0]] = at[0][1]
    assert (labels[tuple(index)] == 7).all()
    assert labels.astype(bool).sum() == 72


def test_single_image_is_a_stack_of_one():
    labels = np.zeros((8, 9), np.uint16)
    stack_view(labels, None, ())[0, 2, 3] = 5
    assert labels[2, 3] == 5
