from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.errors import StackError
from napari_sam2.stack import FrameStack, guess_axes, open_stack, stem_of
from napari_sam2.stack.file_pixels import FilePixels


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((12, 10), "YX"),
        ((7, 12, 10), "QYX"),
        ((2, 7, 12, 10), "QQYX"),
        ((12, 10, 3), "YXS"),
        ((7, 12, 10, 4), "QYXS"),
    ],
)
def test_numpy_files_are_read_in_place(tmp_path, shape, axes):
    array = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    path = tmp_path / "stack.npy"
    np.save(path, array)
    opened = open_stack(str(path))
    assert isinstance(opened.data, FilePixels)
    assert (opened.axes, opened.scale, opened.path) == (axes, (1.0,) * len(shape), path)
    np.testing.assert_array_equal(opened.data, array)


def test_numpy_file_of_columns_and_big_endian(tmp_path):
    array = np.asfortranarray(np.arange(24, dtype=">u2").reshape(2, 3, 4))
    np.save(tmp_path / "f.npy", array)
    opened = open_stack(tmp_path / "f.npy")
    frame = FrameStack(opened.data, contrast=(0, 24)).read(1)
    np.testing.assert_array_equal(frame[..., 0], (array[1] / 24).astype(np.float32))


def test_what_is_opened_can_be_followed(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((7, 12, 10, 3), np.uint8))
    with open_stack(tmp_path / "a.npy") as opened:
        guess = guess_axes(opened.data.shape, labels=opened.axes)
        stack = FrameStack(opened.data, guess.video, channel_axis=guess.channel)
    assert (stack.shape, stack.n_channels) == ((7, 12, 10), 3)
    assert "axes='QYXS'" in repr(opened)


def test_missing_files(tmp_path):
    with pytest.raises(StackError, match=r"There is no file .*nowhere\.tif") as caught:
        open_stack(tmp_path / "nowhere.tif")
    assert caught.value.remedy


def test_a_path_through_a_file_cannot_be_read(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StackError):
        open_stack(tmp_path / "file" / "stack.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.zarr", "a"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n1234", b"text, not pixels", b"II"])
def test_foreign_files_are_refused_whatever_their_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StackError) as caught:
        open_stack(path)
    assert "OME-TIFF" in caught.value.remedy


@pytest.mark.parametrize("kept", [7, 40, 100, 127, 128, 300])
def test_truncated_numpy_files(tmp_path, kept):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((7, 12, 10)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(StackError, match="numpy array") as caught:
        open_stack(path)
    assert caught.value.__cause__ is not None


def test_objects_in_numpy_files_are_never_unpickled(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([[1, None]], object), allow_pickle=True)
    with pytest.raises(StackError):
        open_stack(path)


@pytest.mark.parametrize("choice", [{"series": 1}, {"level": 1}, {"series": -1}])
def test_numpy_files_have_one_series_and_level(tmp_path, choice):
    np.save(tmp_path / "a.npy", np.zeros((7, 12, 10)))
    with pytest.raises(StackError, match=r"has no (series|level)"):
        open_stack(tmp_path / "a.npy", **choice)


def test_a_folder_that_is_no_zarr(tmp_path):
    with pytest.raises(StackError, match="zarr") as caught:
        open_stack(tmp_path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("cells.ome.tif", "cells"),
        ("cells.OME.TIFF", "cells"),
        ("cells.t1.nii.gz", "cells.t1"),
        ("cells.zarr", "cells"),
        ("cells.npy", "cells"),
        ("cells", "cells"),
        ("day 1.afterwards", "day 1.afterwards"),
        (".tif", ".tif"),
    ],
)
def test_names_without_suffix(name, stem):
    assert stem_of(name) == stem
