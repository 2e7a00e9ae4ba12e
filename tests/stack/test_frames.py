from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import FrameError
from napari_sam2.stack import FrameStack

RNG = np.random.default_rng(7)


class Counting:
    """An array-like that notes what is read of it, and whether reads overlap."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.sizes: list[int] = []
        self.overlaps = 0
        self._busy = threading.Lock()

    def __getitem__(self, index: object) -> np.ndarray:
        if not self._busy.acquire(blocking=False):
            self.overlaps += 1
            return self.array[index]
        try:
            found = self.array[index]
            self.sizes.append(found.size)
            threading.Event().wait(0.001)
            return found
        finally:
            self._busy.release()


def _stored(array: np.ndarray, kind: str) -> object:
    if kind == "dask":
        return da.from_array(array, chunks=(1, *array.shape[1:]))
    if kind == "zarr":
        return zarr.array(array, chunks=(1, *array.shape[1:]))
    return array


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr"])
def test_kinds_of_arrays_read_alike(kind):
    array = RNG.integers(0, 1000, (5, 12, 10), np.uint16)
    stack = FrameStack(_stored(array, kind), contrast=(0, 1000))
    assert (stack.n_frames, stack.frame_shape, stack.dtype) == (5, (12, 10), np.uint16)
    for frame in range(5):
        read = stack.read(frame)
        assert read.dtype == np.float32
        assert read.flags.c_contiguous
        np.testing.assert_array_equal(read[..., 0], (array[frame] / 1000).astype(np.float32))


def test_frames_are_read_one_at_a_time_and_only_when_asked_for():
    counting = Counting(RNG.random((40, 300, 260)))
    stack = FrameStack(counting)
    assert counting.sizes == []
    assert stack.shape == (40, 300, 260)
    assert counting.sizes == []
    stack.contrast  # noqa: B018 - measures
    assert len(counting.sizes) == 16
    assert max(counting.sizes) <= 256 * 256
    counting.sizes.clear()
    stack.read(3)
    stack.read(30)
    assert counting.sizes == [300 * 260] * 2


def test_given_contrast_needs_no_other_frame():
    counting = Counting(np.ones((40, 8, 8)))
    FrameStack(counting, contrast=(0, 1)).read(5)
    assert counting.sizes == [64]


def test_a_long_thin_frame_is_sampled_with_a_bound_too():
    counting = Counting(np.ones((1, 1, 1_000_000), np.uint8))
    FrameStack(counting).contrast  # noqa: B018 - measures
    assert max(counting.sizes) <= 256


def test_threads_read_one_after_the_other_and_measure_once():
    array = RNG.random((6, 9, 9))
    counting = Counting(array)
    stack = FrameStack(counting)
    with ThreadPoolExecutor(6) as pool:
        frames = list(pool.map(stack.read, [k % 6 for k in range(24)]))
    assert counting.overlaps == 0
    assert len(counting.sizes) == 6 + 24
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, FrameStack(array).read(number % 6))


def test_a_dask_stack_computes_only_the_chunk_of_the_frame():
    computed = []

    def load(block_info=None):
        computed.append(block_info[None]["chunk-location"][0])
        return np.full((1, 8, 8), computed[-1], np.uint8)

    lazy = da.map_blocks(load, dtype=np.uint8, chunks=((1,) * 9, (8,), (8,)))
    frame = FrameStack(lazy, contrast=(0, 8)).read(4)
    assert computed == [4]
    assert (frame == 0.5).all()


def test_alpha_is_not_even_read():
    counting = Counting(np.zeros((4, 12, 10, 4), np.uint8))
    FrameStack(counting).read(1)
    assert counting.sizes == [12 * 10 * 3]


DTYPES = ["?", "u1", "i1", "u2", ">u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", ">f4", "f8"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_real_array_reads_as_pictures(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=5)))
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    seed = data.draw(st.integers(0, 2**16))
    size = int(np.prod(shape)) * dtype.itemsize
    noise = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    array = (noise % 2).astype(np.uint8) if dtype.kind == "b" else noise
    array = array.view(dtype).reshape(shape)
    kept = array.copy()
    axis = data.draw(st.none() | st.integers(0, len(shape) - 1)) if len(shape) > 2 else 0
    free = [a for a in range(len(shape)) if a != axis][:-2] if len(shape) > 2 else []
    at = {a: data.draw(st.integers(0, shape[a] - 1)) for a in free}
    stack = FrameStack(array, axis, channel_axis=None, contrast=(0, 100), at=at)
    assert stack.n_frames == (1 if axis is None or len(shape) == 2 else shape[axis])
    for frame in range(stack.n_frames):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read = stack.read(frame)
            except FrameError:  # a frame without any finite pixel
                assert not np.isfinite(array).all()
                continue
        assert read.shape == (*stack.frame_shape, 1)
        assert read.dtype == np.float32
        assert read.min() >= 0
        assert read.max() <= 1
    np.testing.assert_array_equal(array, kept)
