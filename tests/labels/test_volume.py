from __future__ import annotations

import threading

import dask.array
import numpy as np
import psutil
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import LabelsError
from napari_sam2.labels import LabelsVolume

SHAPE = (4, 6, 7)


def rectangle(top, left, bottom, right):
    mask = np.zeros(SHAPE[1:], bool)
    mask[top:bottom, left:right] = True
    return mask


def on_disk(folder, **options):
    options = {"shape": SHAPE, "chunks": (3, 4, 4), "dtype": "uint16"} | options
    return zarr.create_array(folder / "labels.zarr", **options)


@pytest.fixture(params=["numpy", "zarr"])
def volume(request, tmp_path):
    return LabelsVolume(SHAPE, array=None if request.param == "numpy" else on_disk(tmp_path))


def test_a_new_volume_is_background():
    volume = LabelsVolume(SHAPE)
    assert volume.shape == SHAPE
    assert volume.dtype == np.uint16
    assert not volume.array.any()
    assert LabelsVolume(SHAPE, dtype=np.int32).dtype == np.int32


def test_write_sets_exactly_these_objects_in_one_frame(volume):
    first, second = rectangle(0, 0, 3, 3), rectangle(3, 3, 6, 7)
    assert volume.write(1, (5, 9), np.stack([first, second])) == (5, 9)
    np.testing.assert_array_equal(volume.mask(5, 1), first)
    np.testing.assert_array_equal(volume.mask(9, 1), second)
    assert volume.object_ids(1) == (5, 9)
    for other in (0, 2, 3):
        assert not volume.frame(other).any()


def test_write_erases_old_pixels_of_these_objects_only(volume):
    volume.write(0, (1, 2), np.stack([rectangle(0, 0, 2, 7), rectangle(2, 0, 4, 7)]))
    volume.write(0, (1,), rectangle(1, 0, 3, 3)[None])
    np.testing.assert_array_equal(volume.mask(1, 0), rectangle(1, 0, 3, 3))
    np.testing.assert_array_equal(volume.mask(2, 0), rectangle(2, 0, 4, 7) & ~rectangle(1, 0, 3, 3))


def test_an_empty_mask_erases_the_object(volume):
    volume.write(0, (1,), rectangle(0, 0, 2, 2)[None])
    volume.write(0, (1,), np.zeros((1, *SHAPE[1:]), bool))
    assert volume.object_ids(0) == ()


def test_a_protected_object_keeps_its_pixels(volume):
    painted = rectangle(0, 0, 3, 3)
    volume.write(0, (1,), painted[None])
    volume.protect(1, 0)
    assert volume.is_protected(1, 0)
    assert not volume.is_protected(2, 0)
    assert not volume.is_protected(1, 1)
    cover = rectangle(1, 1, 5, 5)
    assert volume.write(0, (1, 2), np.stack([rectangle(4, 4, 6, 6), cover])) == (2,)
    np.testing.assert_array_equal(volume.mask(1, 0), painted)
    np.testing.assert_array_equal(volume.mask(2, 0), cover & ~painted)
    volume.unprotect(1, 0)
    assert volume.write(0, (1,), cover[None]) == (1,)
    np.testing.assert_array_equal(volume.mask(1, 0), cover)


def test_releasing_what_was_not_protected_is_harmless(volume):
    volume.unprotect(1, 0)
    assert not volume.is_protected(1, 0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(1, 3),
            st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(1, 6), st.integers(1, 7)),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_protected_pixels_survive_any_writes(steps):
    volume = LabelsVolume(SHAPE)
    kept: dict[tuple[int, int], np.ndarray] = {}
    for frame, object_id, corners, protect in steps:
        volume.write(frame, (object_id,), rectangle(*corners)[None])
        if protect and (object_id, frame) not in kept:
            volume.protect(object_id, frame)
            kept[object_id, frame] = volume.mask(object_id, frame)
        for (number, where), mask in kept.items():
            np.testing.assert_array_equal(volume.mask(number, where), mask)


def test_an_existing_array_is_filled_in_place():
    array = np.zeros(SHAPE, np.int64)
    array[3] = 8
    volume = LabelsVolume(SHAPE, array=array)
    volume.write(0, (2,), rectangle(0, 0, 2, 2)[None])
    assert volume.array is array
    assert (array[0] == 2).sum() == 4
    assert (array[3] == 8).all()


def test_a_view_into_a_larger_layer_can_be_filled():
    layer = np.zeros((2, *SHAPE), np.uint16)
    LabelsVolume(SHAPE, array=layer[1]).write(0, (2,), rectangle(0, 0, 2, 2)[None])
    assert layer[1, 0].any()
    assert not layer[0].any()


def locked():
    array = np.zeros(SHAPE, np.uint16)
    array.setflags(write=False)
    return array


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (locked(), "read-only"),
        (np.zeros((4, 6, 8), np.uint16), r"shape \(4, 6, 8\), the stack \(4, 6, 7\)"),
        (np.zeros(SHAPE[1:], np.uint16), "shape"),
        (np.zeros(SHAPE, np.float32), "float32"),
        (np.zeros(SHAPE, bool), "bool"),
        (dask.array.zeros(SHAPE, dtype=np.uint16), "dask"),
        ([[1]], "list cannot hold labels"),
    ],
)
def test_arrays_that_cannot_hold_the_labels(array, says):
    with pytest.raises(LabelsError, match=says) as caught:
        LabelsVolume(SHAPE, array=array)
    assert caught.value.remedy


def test_a_zarr_array_opened_for_reading_is_read_only(tmp_path):
    on_disk(tmp_path)
    array = zarr.open_array(tmp_path / "labels.zarr", mode="r")
    with pytest.raises(LabelsError, match="read-only"):
        LabelsVolume(SHAPE, array=array)


@pytest.mark.parametrize("shape", [(6, 7), (0, 6, 7), (1, 1, 6, 7)])
def test_shapes_that_are_no_stack(shape):
    with pytest.raises(LabelsError, match="frames, y, x"):
        LabelsVolume(shape)


def test_labels_that_no_memory_holds():
    with pytest.raises(LabelsError, match="no memory") as caught:
        LabelsVolume((10**6, 10**6, 10**6))
    assert "zarr" in caught.value.remedy


ONE = np.ones((1, *SHAPE[1:]), bool)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda v: v.write(4, (1,), ONE), "Frame 4 is outside"),
        (lambda v: v.write(-1, (1,), ONE), "Frame -1"),
        (lambda v: v.write(0.5, (1,), ONE), "frame must be a whole number"),
        (lambda v: v.write(0, (0,), ONE), "Object id 0"),
        (lambda v: v.write(0, (1.5,), ONE), "object id must be a whole number"),
        (lambda v: v.write(0, (256,), ONE), "256 does not fit labels of uint8"),
        (lambda v: v.write(0, (1,), ONE[:, :3]), r"shape \(1, 6, 7\)"),
        (lambda v: v.write(0, (1, 2), ONE), r"shape \(2, 6, 7\)"),
        (lambda v: v.write(0, (1,), ONE.astype(float)), "float64"),
        (lambda v: v.write(0, (3, 3), np.repeat(ONE, 2, axis=0)), "given twice"),
        (lambda v: v.protect(1, 9), "Frame 9"),
        (lambda v: v.protect(300, 0), "300 does not fit"),
        (lambda v: v.mask(0, 0), "Object id 0"),
        (lambda v: v.frame(4), "Frame 4"),
    ],
)
def test_bad_input_is_an_error_and_changes_nothing(call, says):
    volume = LabelsVolume(SHAPE, dtype=np.uint8)
    volume.write(0, (7,), rectangle(0, 0, 2, 2)[None])
    before = volume.array.copy()
    with pytest.raises(LabelsError, match=says) as caught:
        call(volume)
    assert caught.value.remedy
    np.testing.assert_array_equal(volume.array, before)


def test_memory_is_taken_where_something_changes_and_nowhere_else():
    resident = psutil.Process().memory_info
    volume = LabelsVolume((100, 1024, 1024))
    masks = np.zeros((3, 1024, 1024), bool)
    masks[0, 10:30, 10:30] = masks[1, 990:1010, 990:1010] = True
    before = resident().rss
    for frame in range(100):
        volume.write(frame, (1, 2, 3), masks)
    assert resident().rss - before < 40 * 2**20, "all of them have 200 MiB"
    assert (volume.array[:, 20, 20] == 1).all()
    assert (volume.array[:, 1000, 1000] == 2).all()
    assert np.count_nonzero(volume.array[50]) == 800


def test_an_array_that_turned_read_only_is_reported_and_keeps_its_labels():
    volume = LabelsVolume(SHAPE)
    volume.array.flags.writeable = False
    with pytest.raises(LabelsError, match="cannot be written") as caught:
        volume.write(1, (1,), ONE)
    assert caught.value.safe == "The frame keeps its former labels."
    assert not volume.array.any()


def test_objects_are_told_apart_in_a_frame(volume):
    one, two = rectangle(0, 0, 2, 2), rectangle(3, 3, 5, 6)
    volume.write(0, (1, 2), np.stack([one, two]))
    np.testing.assert_array_equal(volume.pixels(0, (1, 2)), one | two)
    np.testing.assert_array_equal(volume.without(0, (1,)), np.where(two, 2, 0))
    assert not volume.pixels(0, ()).any()
    assert (volume.frame(0) == one + 2 * two).all()


class FailingStore:
    """An array whose assignment writes some rows and then fails, `failures` times."""

    def __init__(self, failures):
        self.pixels = np.full(SHAPE, 3, np.uint16)
        self.shape, self.dtype = self.pixels.shape, self.pixels.dtype
        self.failures = failures

    def __getitem__(self, key):
        return self.pixels[key]

    def __setitem__(self, key, value):
        if self.failures:
            self.failures -= 1
            self.pixels[key][:2] = value[:2]
            raise OSError(28, "No space left on device")
        self.pixels[key] = value


def test_a_write_that_fails_half_way_puts_the_frame_back():
    store = FailingStore(failures=1)
    with pytest.raises(LabelsError, match="No space left") as caught:
        LabelsVolume(SHAPE, array=store).write(1, (1,), ONE)
    assert (store.pixels == 3).all()
    assert caught.value.safe == "The frame keeps its former labels."
    assert isinstance(caught.value.__cause__, OSError)


def test_a_store_that_stays_broken_is_reported_as_such():
    store = FailingStore(failures=2)
    with pytest.raises(LabelsError) as caught:
        LabelsVolume(SHAPE, array=store).write(1, (1,), ONE)
    assert "may be damaged" in caught.value.safe
    assert (store.pixels[[0, 2, 3]] == 3).all()


def test_a_zarr_chunk_that_cannot_be_read(tmp_path):
    array = on_disk(tmp_path)
    array[:] = 1
    chunk = next(path for path in (tmp_path / "labels.zarr" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(b"damaged")
    with pytest.raises(LabelsError, match="cannot be read"):
        LabelsVolume(SHAPE, array=array).write(0, (2,), ONE)


def test_threads_do_not_lose_each_others_objects():
    volume = LabelsVolume((1, 64, 64))

    def fill(object_id):
        for row in range(64):
            mask = np.zeros((1, 64, 64), bool)
            mask[0, : row + 1, object_id - 1] = True
            volume.write(0, (object_id,), mask)

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(1, 5):
        assert volume.mask(number, 0).sum() == 64


def test_writes_are_undone_together(volume):
    def interrupted() -> None:
        with volume.all_or_nothing():
            volume.write(0, (6,), rectangle(1, 1, 5, 5)[None])
            volume.write(0, (7,), rectangle(0, 2, 3, 7)[None])
            volume.put_frame(0, np.zeros(SHAPE[1:], volume.dtype))
            with volume.all_or_nothing():
                volume.write(1, (6,), ONE)
            raise KeyboardInterrupt

    volume.write(0, (5,), rectangle(1, 1, 3, 3)[None])
    volume.protect(5, 0)
    before = np.array(volume.array)
    with volume.all_or_nothing():
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        np.testing.assert_array_equal(volume.array, before)
        volume.write(2, (8,), ONE)
    np.testing.assert_array_equal(volume.mask(8, 2), ONE[0], "what did not fail stays")


def test_writes_that_cannot_be_undone_are_named():
    store = FailingStore(failures=0)
    volume = LabelsVolume(SHAPE, array=store)

    def breaks() -> None:
        with volume.all_or_nothing():
            volume.write(1, (1,), ONE)
            store.failures = 4
            volume.write(2, (1,), ONE)

    with pytest.raises(LabelsError, match="in frames 1, 2 not be put back"):
        breaks()
