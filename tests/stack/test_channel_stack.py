"""Arrays of one shape as the channels of one array, lazily."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import StackError
from napari_sam2.stack import ChannelStack, FrameStack

RNG = np.random.default_rng(3)
SHAPE = (2, 3, 5, 7)


class Guarded:
    """An array-like that refuses to be read as a whole."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read = 0

    def __getitem__(self, index: object) -> np.ndarray:
        found = self.array[index]
        assert found.ndim < self.array.ndim, "only frames are read"
        self.read += found.size
        return found


def _arrays(count: int) -> list[np.ndarray]:
    return [RNG.integers(0, 1000, SHAPE, np.uint16) for _ in range(count)]


_PARTS = st.one_of(
    st.integers(0, 1), st.builds(slice, st.none(), st.none(), st.sampled_from([1, 2]))
)


def test_all_of_it_and_lists_are_read_like_the_stacked_array():
    arrays = _arrays(2)
    stacked, stack = np.stack(arrays, axis=2), ChannelStack(*arrays)
    assert (stack.ndim, stack.size, len(stack)) == (5, stacked.size, len(stacked))
    for index in (..., (..., 0), (0, ..., slice(1, 3)), [1, 0], stacked > 500):
        np.testing.assert_array_equal(stack[index], stacked[index], err_msg=str(index))
    np.testing.assert_array_equal(stack, stacked)


@given(index=st.lists(_PARTS, max_size=5).map(tuple), count=st.integers(1, 3))
def test_it_is_indexed_like_the_stacked_array(index, count):
    arrays = _arrays(count)
    index = tuple(
        0 if i == 2 and part == 1 and count == 1 else part for i, part in enumerate(index)
    )
    expected = np.stack(arrays, axis=2)[index]
    np.testing.assert_array_equal(ChannelStack(*arrays)[index], expected)


def test_frames_are_composed_with_the_contrast_of_each_channel():
    arrays = _arrays(2)
    channels = ChannelStack(*arrays)
    stack = FrameStack(
        channels,
        1,
        channel_axis=channels.channel_axis,
        contrast=((0, 1000), (500, 1000)),
        at={0: 1},
    )
    picture = stack.read(2)
    assert picture.shape == (5, 7, 3)
    np.testing.assert_allclose(picture[..., 0], arrays[0][1, 2] / 1000, rtol=1e-6)
    green = np.clip((arrays[1][1, 2].astype(float) - 500) / 500, 0, 1)
    np.testing.assert_allclose(picture[..., 1], green, rtol=1e-6)
    assert not picture[..., 2].any()
    assert (stack.axis, dict(stack.at)) == (1, {0: 1}), "axes keep their numbers"


def test_channels_that_no_contrast_was_given_for_are_measured_for_themselves():
    dim, bright = RNG.integers(0, 50, (4, 40, 40)), RNG.integers(0, 9000, (4, 40, 40))
    channels = ChannelStack(dim, bright, dim)
    low, high, again = FrameStack(channels, 0, channel_axis=channels.channel_axis).contrast
    assert low.high < 600 < high.high
    assert again == low


def test_only_what_is_asked_for_is_read():
    parts = [Guarded(array) for array in _arrays(3)]
    channels = ChannelStack(*parts)
    view = {"channel_axis": 2, "contrast": (0, 1), "region": (1, 2, 4, 6), "at": {0: 0}}
    FrameStack(channels, 1, **view).read(0)
    assert [part.read for part in parts] == [3 * 4] * 3


def test_storages_and_dtypes_may_differ():
    grey = RNG.integers(0, 255, (4, 8, 9), np.uint8)
    lazy = da.from_array(grey.astype(np.float32) / 255, chunks=(1, 8, 9))
    stored = zarr.array(grey > 100, chunks=(1, 8, 9))
    channels = ChannelStack(grey, lazy, stored)
    contrasts = ((0, 255), (0, 1), (0, 1))
    picture = FrameStack(channels, 0, channel_axis=1, contrast=contrasts).read(3)
    np.testing.assert_allclose(picture[..., 0], picture[..., 1], atol=1e-6)
    np.testing.assert_array_equal(picture[..., 2], grey[3] > 100)


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ([], "not of 0"),
        ([np.zeros((2, 3, 4))] * 4, "not of 4"),
        ([np.zeros((2, 3, 4)), np.zeros((2, 3, 5))], "different shapes"),
        ([np.zeros((2, 3, 4)), [1, 2]], "list"),
        ([np.zeros((2, 3, 4), complex)], "complex"),
    ],
)
def test_what_cannot_be_composed_is_refused(channels, said):
    with pytest.raises(StackError, match=said):
        ChannelStack(*channels)
