"""Windows around objects, and what the network sees in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.tracking.images.object_window import (
    Place,
    Window,
    frame_to_input,
    mask_to_input,
    points_to_input,
)

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


CPU = torch.device("cpu")
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def test_frames_of_the_input_size_are_only_normalised():
    frame = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    image = frame_to_input(frame, Window.whole(frame.shape[:2]), 64, CPU)
    expected = ((frame - MEAN) / STD).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(image.numpy(), expected, atol=1e-5)


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3]))
@settings(max_examples=25, deadline=None)
def test_any_frame_fills_the_square(height, width, channels):
    frame = np.full((height, width, channels), 0.25, np.float32)
    image = frame_to_input(frame, Window.whole(frame.shape[:2]), 64, CPU)
    assert image.shape == (1, 3, 64, 64)
    grey = image[0] * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    np.testing.assert_allclose(grey.numpy(), 0.25, atol=1e-4)


@given(
    st.builds(
        Window,
        top=st.integers(-9, 25),
        left=st.integers(-9, 25),
        height=st.just(12),
        width=st.just(12),
        mirrored=st.booleans(),
    )
)
def test_a_window_sees_the_frame_and_beyond_it_the_border(window):
    frame = np.random.default_rng(1).random((30, 34, 1), dtype=np.float32)
    rows = np.arange(window.top, window.top + 12).clip(0, 29)
    columns = np.arange(window.left, window.left + 12).clip(0, 33)
    seen = frame[rows][:, columns[::-1] if window.mirrored else columns]
    expected = frame_to_input(seen, Window.whole((12, 12)), 12, CPU)
    assert torch.equal(frame_to_input(frame, window, 12, CPU), expected)


def test_points_sit_where_the_resized_pixels_are():
    """A bright pixel's centre of mass after resizing is where its own point maps to."""
    frame = np.zeros((40, 48, 1), np.float32)
    frame[11, 30] = 1
    image = frame_to_input(frame, Window.whole(frame.shape[:2]), 256, CPU)[0, 0].numpy()
    weight = np.clip(image - image.min(), 0, None)
    weight[weight < 0.2 * weight.max()] = 0
    yy, xx = np.mgrid[:256, :256]
    centre = [(weight * axis).sum() / weight.sum() for axis in (yy, xx)]
    x, y = points_to_input(np.array([[11.0, 30.0]]), Window(0, 0, 40, 48), 256, CPU)[0, 0].tolist()
    assert (y, x) == (pytest.approx(centre[0], abs=0.1), pytest.approx(centre[1], abs=0.1))


def test_points_of_an_equally_sized_frame_only_swap():
    points = points_to_input(np.array([[3.0, 7.5]]), Window(0, 0, 64, 64), 64, CPU)
    assert points.tolist() == [[[7.5, 3.0]]]


@given(st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=25, deadline=None)
def test_no_drawn_object_vanishes(height, width):
    mask = np.zeros((height, width), bool)
    mask[height // 2, width // 3] = True
    drawn = mask_to_input(mask, Window.whole(mask.shape), 64, CPU)
    assert drawn.shape == (1, 1, 64, 64)
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}
    assert drawn.any()


def test_a_mask_that_a_window_does_not_hold_is_nothing_there():
    mask = np.zeros((40, 50), bool)
    mask[:10, :10] = True
    for window in (Window(20, 20, 16, 16), Window(-40, 0, 16, 16), Window(0, 60, 16, 16)):
        assert not mask_to_input(mask, window, 32, CPU).any()


@given(st.integers(-10, 30), st.integers(-10, 30), st.integers(8, 70))
@settings(max_examples=25, deadline=None)
def test_in_a_mirror_pixels_points_and_masks_are_mirrored(top, left, side):
    rng = np.random.default_rng(0)
    frame, mask = rng.random((40, 50, 1), dtype=np.float32), rng.random((40, 50)) > 0.4
    window, mirror = Window(top, left, side, side), Window(top, left, side, side, mirrored=True)
    seen, swapped = (frame_to_input(frame, each, 32, CPU) for each in (window, mirror))
    torch.testing.assert_close(swapped, seen.flip(-1), atol=1e-5, rtol=0)
    inside, outside = (mask_to_input(mask, each, 32, CPU) for each in (window, mirror))
    # A value of just a half may fall on either side of the cut.
    assert (outside != inside.flip(-1)).float().mean() < 0.02
    clicks = np.array([[3.0, 7.0], [20.5, 11.0]], np.float32)
    points, mirrored = (points_to_input(clicks, each, 32, CPU)[0] for each in (window, mirror))
    torch.testing.assert_close(mirrored[:, 1], points[:, 1])
    torch.testing.assert_close(mirrored[:, 0], 31 - points[:, 0])
