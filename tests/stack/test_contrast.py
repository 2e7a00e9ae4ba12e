from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_sam2.errors import StackError
from napari_sam2.stack import Contrast, FrameStack
from napari_sam2.stack.contrast import NOISE_STEPS, noise_deviation, robust_contrast


def _scaled(contrast: Contrast, values: np.ndarray) -> np.ndarray:
    out = np.empty(values.shape, np.float32)
    contrast.scale(values, out)
    return out


@pytest.mark.parametrize(
    ("limits", "hidden"),
    [
        ((0, 400), False),
        ((0, 65535), True),
        ((0, 20), True),
        ((390, 5000), True),
        ((50, 300), False),
    ],
)
def test_contrast_that_shows_nearly_nothing_is_told(limits, hidden):
    rng = np.random.default_rng(0)
    image = rng.uniform(30, 400, (3, 600, 40)).astype(np.uint16)
    assert FrameStack(image, contrast=limits).shows_little(1) is hidden


def test_few_bright_objects_and_even_frames_are_no_hidden_ones():
    image = np.zeros((2, 100, 100), np.uint16)
    image[0, :8, :8] = 1000
    stack = FrameStack(image, contrast=(0, 1000))
    assert not stack.shows_little(0)
    assert not stack.shows_little(1)


def test_uint8_colour_is_its_value_over_255_exactly():
    values = np.arange(256, dtype=np.uint8)
    image = np.stack([values.reshape(16, 16)] * 3, axis=-1)
    stack = FrameStack(image)
    assert stack.contrast == (Contrast(0, 255),) * 3
    expected = image.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(stack.read(0), expected)


def test_bool_is_black_and_white():
    image = np.eye(8, dtype=bool)
    stack = FrameStack(image)
    assert stack.contrast == (Contrast(0, 1),)
    np.testing.assert_array_equal(stack.read(0)[..., 0], np.eye(8, dtype=np.float32))


def test_twelve_bits_in_sixteen_keep_their_grey_levels():
    image = np.arange(4096, dtype=np.uint16).reshape(1, 64, 64)
    given_limits = FrameStack(image, contrast=(0, 4095)).read(0)
    assert np.unique(given_limits).size == 4096
    by_percentiles = FrameStack(image).read(0)
    assert np.unique(by_percentiles).size >= 4096 * 0.997


def test_wide_integers_keep_small_differences_on_a_large_offset():
    image = (np.arange(100, dtype=np.uint32) + 4_000_000_000).reshape(1, 10, 10)
    frame = FrameStack(image, contrast=(4_000_000_000, 4_000_000_099)).read(0)
    np.testing.assert_allclose(frame.ravel(), np.arange(100) / 99, atol=1e-6)


def test_negative_int16_is_scaled_from_its_own_range():
    image = np.linspace(-1000, 1000, 10_000).astype(np.int16).reshape(1, 100, 100)
    frame = FrameStack(image).read(0)[..., 0]
    assert frame[0, 0] == 0
    assert frame[-1, -1] == 1
    assert abs(float(frame[50, 0]) - 0.5) < 0.01


def test_a_few_hot_pixels_do_not_darken_the_rest():
    image = np.tile(np.linspace(100, 200, 100), (4, 100, 1))
    image[0, 0, 0] = 1e9
    (contrast,) = FrameStack(image).contrast
    assert 100 <= contrast.low < 101
    assert 199 < contrast.high <= 200


def test_specks_on_an_even_background_stay_visible():
    image = np.zeros((3, 64, 64), np.uint16)
    image[1, 30, 30] = 500
    stack = FrameStack(image)
    assert stack.contrast == (Contrast(0, 500),)
    assert stack.read(1)[30, 30, 0] == 1


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 0),
        ("uint8", 255),
        ("int16", -7),
        ("uint32", 2**32 - 1),
        ("uint64", 2**64 - 1),
        ("float32", 0.25),
        ("float64", 1e300),
    ],
)
def test_a_constant_stack_is_black_without_a_warning(dtype, value):
    stack = FrameStack(np.full((3, 8, 9), value, dtype))
    np.testing.assert_array_equal(stack.read(2), np.zeros((8, 9, 1), np.float32))


def test_contrast_is_the_same_in_all_frames():
    image = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((20, 8, 8), np.float32)
    stack = FrameStack(image)
    means = [float(stack.read(frame).mean()) for frame in range(20)]
    assert means == sorted(means)
    assert means[0] == 0
    assert means[-1] == 1
    assert abs(means[10] - 10 / 19) < 0.01


def test_fluorescence_channels_have_a_contrast_each_and_colours_share_one():
    dim_and_bright = np.stack([np.arange(400).reshape(20, 20) * k for k in (1, 10)]).astype("u2")
    dim, bright = FrameStack(dim_and_bright, None, channel_axis=0).contrast
    assert bright.high == pytest.approx(10 * dim.high)
    colours = np.moveaxis(np.concatenate([dim_and_bright, dim_and_bright[:1]]), 0, -1)
    assert len(set(FrameStack(colours).contrast)) == 1


@pytest.mark.parametrize(
    "given_contrast",
    [
        (10, 20),
        [10.0, 20.0],
        Contrast(10, 20),
        np.array([10, 20]),
        ((10, 20), Contrast(10, 20)),
        [[10, 20], [10, 20]],
    ],
)
def test_contrast_can_be_given_for_all_channels_or_each(given_contrast):
    stack = FrameStack(np.zeros((2, 8, 8)), None, channel_axis=0, contrast=given_contrast)
    assert stack.contrast == (Contrast(10, 20), Contrast(10, 20))


@pytest.mark.parametrize(
    "given_contrast",
    [
        (1, 1),
        (2, 1),
        (0, float("inf")),
        (float("nan"), 1),
        (-1.7e308, 1.7e308),
        (1, 2, 3),
        (),
        5,
        "01",
        ((0, 1), (0, 1)),
        ((0, 1), "ab"),
    ],
)
def test_contrast_that_is_no_range_is_refused(given_contrast):
    with pytest.raises(StackError, match="contrast"):
        FrameStack(np.zeros((4, 8, 8)), contrast=given_contrast)


@settings(max_examples=50, deadline=None)
@given(
    limits=st.lists(
        st.floats(-1e300, 1e300, allow_nan=False), min_size=2, max_size=2, unique=True
    ).map(sorted),
    values=arrays(np.float64, 20, elements=st.floats(allow_nan=False)),
)
def test_scaling_stays_in_range_and_in_order(limits, values):
    scaled = _scaled(Contrast(*limits), np.sort(values))
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    assert (np.diff(scaled) >= 0).all()
    np.testing.assert_array_equal(_scaled(Contrast(*limits), np.array(limits)), [0, 1])


def test_pixels_that_span_more_than_float64_are_refused_when_measured():
    image = np.array([[[-1.7e308, 1.7e308]] * 2])
    with pytest.raises(StackError, match="contrast limits"):
        FrameStack(image).read(0)


@pytest.mark.parametrize("shape", [(1,), (0, 5), (3, 2), (400, 300), (2, 70_000), (70_000, 2)])
@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float32, bool])
def test_planes_of_any_size_are_scaled_alike(shape, dtype):
    plane = np.random.default_rng(5).integers(0, 5000, shape).astype(dtype)
    expected = ((plane.astype(np.float64).clip(100, 4000) - 100) / 3900).astype(np.float32)
    np.testing.assert_array_equal(_scaled(Contrast(100, 4000), plane), expected)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", "<i2", ">i2"])
@pytest.mark.parametrize("limits", [(3.0, 150.0), (-40.5, 20.25), (0.1, 0.2), (-1e6, 1e6)])
def test_large_planes_are_scaled_as_small_ones_bit_for_bit(dtype, limits):
    """Large ones are looked up in a table, which small ones are not worth."""
    contrast = Contrast(*limits)
    limits_of_dtype = np.iinfo(np.dtype(dtype))
    rng = np.random.default_rng(0)
    side = 600 if np.dtype(dtype).itemsize == 2 else 60
    values = rng.integers(limits_of_dtype.min, int(limits_of_dtype.max) + 1, (side, side))
    large = values.astype(dtype)
    assert large.size > 4 * 2 ** (8 * large.dtype.itemsize)
    found = np.full(large.shape, np.nan, np.float32)
    contrast.scale(large, found)
    wanted = np.empty_like(found)
    for row in range(side):
        contrast.scale(large[row], wanted[row])
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("deviation", [0.5, 4.0, 90.0])
def test_noise_is_measured_beside_structure(deviation):
    y, x = np.mgrid[:200, :220]
    picture = 40 * np.sin(y / 9) + 900 * (np.hypot(y - 100, x - 90) < 40) + 3 * x
    noise = np.random.default_rng(0).normal(0, deviation, (2, 200, 220))
    assert noise_deviation(picture + noise) == pytest.approx(deviation, rel=0.1)


def test_noise_of_few_photons_is_not_none():
    counts = np.random.default_rng(0).poisson(0.05, (3, 100, 100))
    assert noise_deviation(counts) == pytest.approx(np.sqrt(0.05), rel=0.6)


@pytest.mark.parametrize("shape", [(1, 2, 9), (1, 9, 2), (2, 9, 9)])
def test_where_nothing_varies_there_is_no_noise(shape):
    assert noise_deviation(np.zeros(shape)) == 0
    assert noise_deviation(np.full(shape, np.nan)) == 0


def test_a_composed_channel_of_noise_stays_dark():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    discs = 200 + 1300 * (np.hypot(y - 30, x - 30) < 12) + rng.normal(0, 40, (4, 64, 64))
    both = np.stack([discs, rng.poisson(20, discs.shape)], axis=1)
    composed = FrameStack(both, 0, channel_axis=1)
    frame = composed.read(1)
    assert frame[..., 0].max() > 0.9
    assert frame[..., 1].std() < 1.1 / NOISE_STEPS
    # A channel of its own, and colours, are as they were.
    alone = FrameStack(both, 0, channel_axis=1, channels=(1,))
    assert alone.read(1).std() > 0.1
    assert composed.contrast[0] == robust_contrast(discs)


def test_a_channel_of_signal_keeps_its_contrast():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    signal = 500 * (np.hypot(y - 30, x - 30) < 12) + rng.normal(0, 5, (4, 64, 64))
    composed = FrameStack(np.stack([signal, signal], 1), 0, channel_axis=1)
    assert composed.contrast == (robust_contrast(signal),) * 2
