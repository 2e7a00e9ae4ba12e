"""Windows stay where they can see, and places are where masks are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.tracking.images.object_window import Place, Window

SIDES = st.integers(1, 80)


@given(SIDES, SIDES, st.integers(1, 120), st.floats(-30, 120), st.floats(-30, 120))
@settings(max_examples=100, deadline=None)
def test_squares_are_moved_into_the_frame(height, width, side, y, x):
    window = Window.square((y, x), side, (height, width))
    assert (window.height, window.width) == (side, side)
    for first, length in ((window.top, height), (window.left, width)):
        if side <= length:
            assert 0 <= first <= length - side
        else:
            before, after = -first, first + side - length
            assert abs(before - after) <= 1


@given(SIDES, SIDES, st.integers(1, 120), st.floats(-30, 120), st.floats(-30, 120))
@settings(max_examples=100, deadline=None)
def test_part_and_inside_are_the_same_pixels(height, width, side, y, x):
    shape = (height, width)
    window = Window.square((y, x), side, shape)
    frame = np.arange(height * width).reshape(shape)
    seen = frame[np.ix_(window.rows(shape), window.columns(shape))]
    assert seen.shape == (side, side)
    np.testing.assert_array_equal(seen[window.part(shape)], frame[window.inside(shape)])


@given(SIDES, SIDES, st.integers(-90, 90), st.integers(-90, 90), SIDES, SIDES)
@settings(max_examples=100, deadline=None)
def test_what_a_window_covers_is_as_large_on_both_sides(height, width, top, left, high, wide):
    shape, window = (height, width), Window(top, left, high, wide)
    frame, seen = np.zeros(shape), np.zeros((high, wide))
    assert frame[window.inside(shape)].shape == seen[window.part(shape)].shape


def test_a_window_beyond_the_frame_repeats_the_border():
    window = Window(-2, 1, 6, 2)
    assert window.rows((3, 5)).tolist() == [0, 0, 0, 1, 2, 2]
    assert window.columns((3, 5)).tolist() == [1, 2]


def test_a_mirror_swaps_left_and_right():
    window = Window(-2, 1, 6, 3, mirrored=True)
    assert window.rows((3, 5)).tolist() == [0, 0, 0, 1, 2, 2]
    assert window.columns((3, 5)).tolist() == [3, 2, 1]


def test_points_are_held_up_to_the_border():
    window = Window(10, 20, 8, 8)
    assert window.holds([(10, 20), (17, 27)])
    assert not window.holds([(9, 22)])
    assert not window.holds([(10, 28)])


@given(st.integers(0, 30), st.integers(0, 30), st.integers(2, 20), st.integers(2, 20))
@settings(max_examples=60, deadline=None)
def test_the_place_of_a_mask_is_its_box(top, left, height, width):
    mask = np.zeros((64, 64), bool)
    mask[top : top + height, left : left + width] = True
    place = Place.of_mask(mask, Window.whole((64, 64)))
    assert place is not None
    assert place.centre == pytest.approx(
        (top + (height - 1) / 2, left + (width - 1) / 2), abs=0.5 + 0.02 * max(height, width)
    )
    assert place.extent == pytest.approx(max(height, width), abs=1 + 0.05 * max(height, width))


def test_the_place_of_a_coarse_mask_is_in_pixels_of_the_frame():
    mask = np.zeros((16, 16), bool)
    mask[4:8, 4:8] = True
    place = Place.of_mask(mask, Window(100, 200, 64, 64))
    assert place == Place((100 + 6 * 4 - 0.5, 200 + 6 * 4 - 0.5), 16.0)


def test_stray_pixels_do_not_move_a_place():
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    clean = Place.of_mask(mask, Window.whole((64, 64)))
    mask[63, 63] = mask[0, 63] = True
    assert Place.of_mask(mask, Window.whole((64, 64))) == clean


def test_an_empty_mask_is_nowhere():
    assert Place.of_mask(np.zeros((8, 8), bool), Window.whole((8, 8))) is None
