from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_sam2.errors import FrameError, StackError
from napari_sam2.stack import FrameStack

RNG = np.random.default_rng(7)


class _Lying:
    """Says one thing and gives another."""

    dtype = np.dtype("f4")

    def __init__(self, given: np.ndarray, shape: tuple[int, ...] = (4, 8, 8)) -> None:
        self.given, self.shape = given, shape

    def __getitem__(self, index: object) -> np.ndarray:
        return self.given


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (5, 1, 1), (1, 9, 8), (1, 1, 1, 3)])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint32", "float64", "float16"])
def test_single_frames_and_single_pixels(shape, dtype):
    stack = FrameStack(np.ones(shape, dtype))
    for frame in range(stack.n_frames):
        read = stack.read(frame)
        assert read.shape == (*stack.frame_shape, stack.n_channels)
        assert np.isfinite(read).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((3, 8, 8), np.complex64), "complex"),
        (np.full((3, 8, 8), None, object), "dtype object"),
        (np.full((3, 8, 8), "a"), "dtype"),
        (np.zeros((3, 8, 8), "datetime64[s]"), "dtype"),
        (np.zeros((3, 8, 8), [("a", "u1")]), "dtype"),
        (np.zeros((0, 8, 8)), "axis 0"),
        (np.zeros((3, 8, 0), np.uint8), "axis 2"),
        (np.zeros(8), "Y and an X"),
        (np.float32(1), "Y and an X"),
        ([np.zeros((3, 8, 8)), np.zeros((3, 4, 4))], "list"),
        ([[1, 2], [3, 4]], "list"),
        ("stack.tif", "name of a file"),
        ({"a": 1}, "no array"),
        (None, "no array"),
        (zarr.group(), "no array"),
    ],
)
def test_what_is_no_stack_is_refused(data, words):
    with pytest.raises(StackError, match=words) as caught:
        FrameStack(data)
    assert caught.value.remedy


def test_a_dask_array_of_unknown_length_is_refused():
    array = da.from_array(np.arange(24.0).reshape(6, 2, 2))
    with pytest.raises(StackError, match="unknown length"):
        FrameStack(array[array[:, 0, 0] > 3])


@pytest.mark.parametrize("shape", [(2**63, 4, 4), (2**40, 2**12, 2**12), (3, 2**62, 2**62)])
def test_a_shape_that_no_array_has_is_refused(shape):
    claimed = _Lying(np.zeros((1, 4, 4), np.uint8), shape)
    with pytest.raises(StackError, match="more pixels than any array"):
        FrameStack(claimed)


def test_nan_and_infinite_pixels_are_black_with_one_warning():
    array = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (4, 20, 1))
    array[1, 0, 5:8] = np.nan, np.inf, -np.inf
    array[2, 1:] = np.nan
    stack = FrameStack(array)
    (contrast,) = stack.contrast
    assert 0 <= contrast.low < contrast.high <= 1
    with pytest.warns(UserWarning, match="Frame 1 holds NaN") as caught:
        first, second = stack.read(1), stack.read(2)
    assert len(caught) == 1
    assert (first[0, 5:8] == 0).all()
    assert (second[1:] == 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(stack.read(1), first)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_frame_without_a_finite_pixel_cannot_be_read(value):
    stack = FrameStack(np.full((2, 8, 8), value))
    with pytest.raises(FrameError, match="no finite pixel") as caught:
        stack.read(1)
    assert caught.value.frame == 1


def test_non_finite_colours_blank_only_their_own_channel():
    array = np.full((8, 8, 2), 1.0)
    array[3, 3, 1] = np.nan
    stack = FrameStack(array, channel_axis=-1, contrast=(0, 1))
    with pytest.warns(UserWarning, match="NaN"):
        frame = stack.read(0)
    assert frame[3, 3].tolist() == [1, 0, 0]


@pytest.mark.parametrize("frame", [-1, 4, 10**9, 1.5, "1", None])
def test_frames_that_there_are_not(frame):
    with pytest.raises(StackError):
        FrameStack(np.zeros((4, 8, 8))).read(frame)


def test_numpy_integers_are_frame_numbers():
    assert FrameStack(np.zeros((4, 8, 8))).read(np.uint8(3)).shape == (8, 8, 1)


def test_a_damaged_zarr_chunk_names_the_frame_and_spares_the_others(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(4, 8, 8), chunks=(1, 8, 8), dtype="u2")
    array[:] = RNG.integers(0, 99, (4, 8, 8))
    (tmp_path / "a.zarr" / "c" / "2" / "0" / "0").write_bytes(b"not a chunk")
    stack = FrameStack(zarr.open_array(tmp_path / "a.zarr", mode="r"), contrast=(0, 99))
    with pytest.raises(StackError, match="Frame 2") as caught:
        stack.read(2)
    assert caught.value.__cause__ is not None
    assert caught.value.safe
    assert caught.value.remedy
    assert stack.read(3).shape == (8, 8, 1)


def test_a_failing_dask_chunk_is_left_out_of_the_contrast_and_then_recovers():
    broken = {2}

    def load(block_info=None):
        number = block_info[None]["chunk-location"][0]
        if number in broken:
            raise OSError("the share is gone")
        return np.full((1, 8, 8), number, np.float32)

    stack = FrameStack(da.map_blocks(load, dtype="f4", chunks=((1,) * 4, (8,), (8,))))
    with pytest.warns(UserWarning, match=r"Frame 2.*the share is gone.*on 3 other frames"):
        assert (stack.read(0) == 0).all()
    with pytest.raises(FrameError, match="Frame 2") as caught:
        stack.read(2)
    assert isinstance(caught.value.__cause__, OSError)
    broken.clear()
    assert (stack.read(3) == 1).all()
    assert 0 < stack.read(2).mean() < 1


def test_a_frame_that_does_not_fit_into_memory_is_no_bad_frame():
    class Huge:
        shape, dtype = (4, 8, 8), np.dtype("f4")

        def __getitem__(self, index: object) -> np.ndarray:
            raise MemoryError("Unable to allocate 185. GiB")

    with pytest.raises(StackError, match=r"too little memory for frame 2.*185") as caught:
        FrameStack(Huge(), contrast=(0, 1)).read(2)
    assert not isinstance(caught.value, FrameError)


@pytest.mark.parametrize("given", [np.zeros((3, 3)), np.zeros((8, 8), complex), np.float32(1)])
def test_data_that_is_not_what_it_says_is_refused(given):
    with pytest.raises(StackError, match="Frame 0 came as"):
        FrameStack(_Lying(given), contrast=(0, 1)).read(0)
