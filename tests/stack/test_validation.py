"""A part of every frame, and some channels of many."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import StackError
from napari_sam2.stack import FrameStack
from napari_sam2.types import Region

RNG = np.random.default_rng(5)


@given(data=st.data(), channels=st.sampled_from([None, 1, 3]))
def test_a_region_is_cut_out_of_every_frame(data, channels):
    shape = (3, 9, 11) if channels is None else (3, channels, 9, 11)
    array = RNG.random(shape)
    y0, x0 = data.draw(st.integers(0, 8)), data.draw(st.integers(0, 10))
    y1, x1 = data.draw(st.integers(y0 + 1, 9)), data.draw(st.integers(x0 + 1, 11))
    options = {"channel_axis": None if channels is None else 1, "contrast": (0, 1)}
    whole = FrameStack(array, 0, **options)
    part = FrameStack(array, 0, **options, region=(y0, x0, y1, x1))
    assert part.frame_shape == (y1 - y0, x1 - x0)
    assert (part.image_shape, whole.image_shape) == ((9, 11), (9, 11))
    np.testing.assert_array_equal(part.read(1), whole.read(1)[y0:y1, x0:x1])


def test_contrast_is_measured_in_the_region():
    array = np.zeros((4, 600, 600))
    array[:, 300:, 300:] = RNG.random((4, 300, 300)) + 10
    (contrast,) = FrameStack(array, 0, region=Region(300, 300, 600, 600)).contrast
    assert 10 <= contrast.low < 10.1
    assert contrast.high > 10.9


def test_all_of_the_frame_is_no_region():
    assert FrameStack(np.zeros((3, 9, 11)), region=(0, 0, 9, 11)).region is None
    part = FrameStack(np.zeros((3, 9, 11)), region=(0, 1, 9, 11))
    assert part.region == Region(0, 1, 9, 11)
    assert part.shape == (3, 9, 10)


@pytest.mark.parametrize(
    "region",
    [(0, 0, 10, 11), (-1, 0, 5, 5), (3, 3, 3, 8), (5, 5, 2, 8), (0, 0, 9), (0.5, 0, 9, 9), "all"],
)
def test_regions_outside_the_frame_are_refused(region):
    with pytest.raises(StackError, match="region"):
        FrameStack(np.zeros((3, 9, 11)), region=region)


@pytest.mark.parametrize("store", [np.asarray, lambda a: zarr.array(a, chunks=(1, 1, 8, 9))])
@pytest.mark.parametrize("chosen", [(4,), (0, 4), (3, 1), (2, 0, 4)])
def test_some_channels_of_many_are_composed_in_their_order(store, chosen):
    array = RNG.integers(0, 100, (3, 5, 8, 9), np.uint8)
    stack = FrameStack(
        store(array), 0, channel_axis=1, channels=chosen, contrast=[(0, 100)] * len(chosen)
    )
    assert stack.channels == chosen
    picture = stack.read(2)
    assert picture.shape[-1] == (1 if len(chosen) == 1 else 3)
    for place, channel in enumerate(chosen):
        np.testing.assert_allclose(picture[..., place], array[2, channel] / 100, rtol=1e-6)


def test_each_chosen_channel_has_its_own_contrast():
    slope = np.linspace(0, 1, 1600).reshape(40, 40) * np.ones((3, 5, 1, 1))  # no noise
    array = slope * np.array([1, 10, 100, 1000, 10_000])[:, None, None]
    first, second = FrameStack(array, 0, channel_axis=1, channels=(3, 0)).contrast
    assert 900 < first.high <= 1000
    assert second.high <= 1


@pytest.mark.parametrize("channels", [(5,), (-1,), (), (0, 1, 2, 3), ("red",)])
def test_channels_that_are_not_there_are_refused(channels):
    with pytest.raises(StackError, match="channels"):
        FrameStack(np.zeros((3, 5, 8, 9)), 0, channel_axis=1, channels=channels)


def test_channels_need_an_axis():
    with pytest.raises(StackError, match="no channel axis"):
        FrameStack(np.zeros((3, 8, 9)), 0, channels=(0,))
