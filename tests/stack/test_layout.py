from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.errors import StackError
from napari_sam2.stack import FrameStack

RNG = np.random.default_rng(7)


@pytest.mark.parametrize(
    ("shape", "options", "expected_shape", "index"),
    [
        ((12, 10), {}, (1, 12, 10), np.s_[:, :]),
        ((7, 12, 10), {}, (7, 12, 10), np.s_[2]),
        ((7, 12, 10), {"axis": 1}, (12, 7, 10), np.s_[:, 2]),
        ((12, 10, 7), {"axis": -1}, (7, 12, 10), np.s_[:, :, 2]),
        ((7, 12, 10), {"axis": None, "at": {0: 4}}, (1, 12, 10), np.s_[4]),
        ((7, 12, 10), {"at": {0: 4}}, (1, 12, 10), np.s_[4]),
        ((1, 12, 10), {"axis": None}, (1, 12, 10), np.s_[0]),
        ((5, 1, 12, 10), {}, (5, 12, 10), np.s_[2, 0]),
        ((5, 7, 12, 10), {"axis": 0, "at": {1: 3}}, (5, 12, 10), np.s_[2, 3]),
        ((5, 7, 12, 10), {"axis": 1, "at": {0: 4}}, (7, 12, 10), np.s_[4, 2]),
        ((5, 12, 10, 7), {"axis": 0, "at": {3: 6}}, (5, 12, 10), np.s_[2, :, :, 6]),
        ((4, 2, 7, 12, 10), {"axis": 2, "at": {-4: 1, 0: 3}}, (7, 12, 10), np.s_[3, 1, 2]),
    ],
)
def test_axes_of_grey_stacks(shape, options, expected_shape, index):
    array = RNG.random(shape)
    stack = FrameStack(array, contrast=(0, 1), **options)
    assert stack.shape == expected_shape
    assert stack.n_channels == 1
    frame = stack.read(min(2, stack.n_frames - 1))
    np.testing.assert_array_equal(frame[..., 0], array[index].astype(np.float32))


def test_roles_of_axes_are_found():
    stack = FrameStack(np.zeros((4, 2, 7, 12, 10)), 2, channel_axis=1, at={0: 3})
    assert (stack.axis, stack.channel_axis, dict(stack.at)) == (2, 1, {0: 3})
    assert (stack.channel_count, stack.frame_axes, stack.transposed) == (2, (3, 4), False)
    assert FrameStack(np.zeros((4, 4))).axis is None


@pytest.mark.parametrize("channel_axis", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_channels_anywhere_are_composed(channel_axis, n):
    frames = RNG.random((5, 12, 10, n))
    array = np.moveaxis(frames, -1, channel_axis)
    axis = 1 if channel_axis == 0 else 0
    stack = FrameStack(array, axis, channel_axis=channel_axis, contrast=(0, 1))
    assert stack.shape == (5, 12, 10)
    read = stack.read(3)
    assert read.shape == (12, 10, 1 if n == 1 else 3)
    assert stack.n_channels == read.shape[-1]
    np.testing.assert_array_equal(read[..., :n], frames[3].astype(np.float32))
    assert (read[..., n:] == 0).all()


@pytest.mark.parametrize(
    ("shape", "options", "axes"),
    [
        ((5, 7, 12, 10), {}, "axis 1 must"),
        ((5, 7, 12, 10), {"axis": 1}, "axis 0 must"),
        ((7, 12, 10), {"axis": None}, "axis 0 must"),
        ((4, 2, 7, 12, 10), {"axis": 2}, "axes 0, 1 must"),
        ((4, 1, 7, 12, 10), {"axis": 2, "channel_axis": 1}, "axis 0 must"),
    ],
)
def test_where_a_further_axis_is_held_is_never_guessed(shape, options, axes):
    with pytest.raises(StackError, match=axes) as caught:
        FrameStack(np.zeros(shape), **options)
    assert "at={" in caught.value.remedy


@pytest.mark.parametrize("channel_axis", [None, 0, 1, 2, 3])
def test_transposed_frames_have_their_rows_along_the_later_axis(channel_axis):
    array = RNG.random((10, 12, 5))  # X, Y, Z
    options = {"contrast": (0, 1), "transposed": True, "region": (2, 1, 9, 10)}
    if channel_axis is not None:
        array = np.stack([array, array / 2], channel_axis)
    video = 3 if channel_axis in (0, 1, 2) else 2
    stack = FrameStack(array, video, channel_axis=channel_axis, **options)
    assert (stack.shape, stack.image_shape, stack.transposed) == ((5, 7, 9), (12, 10), True)
    plain = array if channel_axis is None else np.moveaxis(array, channel_axis, -1)[..., 0]
    expected = plain[1:10, 2:9, 3].T.astype(np.float32)
    np.testing.assert_array_equal(stack.read(3)[..., 0], expected)
    np.testing.assert_array_equal(stack.with_axis(video, {}).read(3), stack.read(3))


def test_channels_first_picture():
    array = RNG.random((3, 12, 10))
    stack = FrameStack(array, channel_axis=0, contrast=(0, 1))
    assert stack.shape == (1, 12, 10)
    np.testing.assert_array_equal(stack.read(0), np.moveaxis(array, 0, -1).astype(np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_last_axis_of_three_or_four_is_colour_and_alpha_is_dropped(dtype):
    colours = RNG.integers(0, 255, (4, 12, 10, 4)).astype(dtype)
    rgba = FrameStack(colours, contrast=(0, 255))
    rgb = FrameStack(colours[..., :3], contrast=(0, 255))
    assert rgba.shape == rgb.shape == (4, 12, 10)
    assert rgba.n_channels == 3
    np.testing.assert_array_equal(rgba.read(1), rgb.read(1))


@pytest.mark.parametrize(
    ("shape", "dtype", "options"),
    [
        ((9, 12, 3), "uint8", {"channel_axis": None}),
        ((9, 3, 3), "uint8", {}),
        ((9, 12, 5), "uint8", {}),
        ((9, 12, 3), "int32", {}),
        ((9, 12, 3), "bool", {}),
    ],
)
def test_other_last_axes_are_no_colours(shape, dtype, options):
    stack = FrameStack(np.zeros(shape, dtype), **options)
    assert stack.shape == shape
    assert stack.n_channels == 1


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((7, 12, 10), {"axis": 3}),
        ((7, 12, 10), {"axis": -4}),
        ((7, 12, 10), {"axis": "z"}),
        ((12, 10), {"axis": 1}),
        ((7, 12, 10), {"axis": 1, "at": {1: 0}}),
        ((7, 12, 10), {"axis": 1, "at": {0: 0}}),
        ((5, 7, 12, 10), {"axis": 0, "at": {0: 1}}),
        ((5, 7, 12, 10), {"at": {1: 7}}),
        ((5, 7, 12, 10), {"at": {1: -1}}),
        ((5, 7, 12, 10), {"at": {1: 0.5}}),
        ((5, 7, 12, 10), {"at": {4: 0}}),
        ((5, 2, 12, 10), {"channel_axis": 1, "at": {1: 0}}),
        ((2, 7, 12, 10), {"channel_axis": 0}),
        ((12, 3), {"channel_axis": 1}),
        ((7, 12, 10), {"at": {0: 0, 1: 0}}),
        ((5, 12, 10), {"channel_axis": 0}),
        ((5, 4, 12, 10), {"channel_axis": 1}),
        ((5, 12, 10, 5), {"channel_axis": -1}),
        ((5, 12, 10), {"channel_axis": "c"}),
    ],
)
def test_axes_that_do_not_fit_are_refused_with_a_remedy(shape, options):
    with pytest.raises(StackError) as caught:
        FrameStack(np.zeros(shape), **options)
    assert caught.value.remedy


def test_too_many_channels_say_how_to_choose():
    with pytest.raises(StackError, match="three at most") as caught:
        FrameStack(np.zeros((5, 6, 12, 10)), channel_axis=1)
    assert "channels=(0, 2)" in caught.value.remedy
    assert FrameStack(np.zeros((5, 6, 12, 10)), channel_axis=None, at={1: 0}).shape == (5, 12, 10)
