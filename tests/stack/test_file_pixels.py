"""Pixels that are read from their place in a file, as numpy would index them."""

from __future__ import annotations

import os
import pickle

import nibabel
import numpy as np
import pytest
import tifffile

from napari_sam2.errors import FrameError
from napari_sam2.stack import FrameStack, file_pixels, open_stack
from napari_sam2.stack.file_pixels import FilePixels

ARRAY = np.random.default_rng(0).integers(0, 60_000, (4, 3, 30, 20)).astype(">u2")


@pytest.fixture
def pixels(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"header" + ARRAY.tobytes())
    return FilePixels(tmp_path / "a.raw", ARRAY.dtype, 6, ARRAY.shape)


INDICES = [
    np.s_[...],
    np.s_[2],
    np.s_[-1, 0],
    np.s_[1, 2, 3, 4],
    np.s_[:, 1, 5],
    np.s_[..., 7],
    np.s_[1, ..., 2:9],
    np.s_[3:0:-2, ::2, 5:25:3, ::-1],
    np.s_[::-1, :, 4, 19::-4],
    np.s_[:, :, 10:10],
    np.s_[np.int64(1), :, 29:, -3:],
    np.s_[[0, 2], 1],
    np.s_[0, 0, 2, ::-1],
]


@pytest.mark.parametrize("small", [0, 2**20])
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_it_is_indexed_like_an_array(pixels, monkeypatch, index, small):
    monkeypatch.setattr(file_pixels, "_SMALL", small)
    found = pixels[index]
    np.testing.assert_array_equal(found, ARRAY[index])
    assert (found.dtype, np.shape(found)) == (ARRAY[index].dtype, ARRAY[index].shape)


def test_large_arrays_are_read_piece_by_piece(pixels, monkeypatch):
    monkeypatch.setattr(file_pixels, "_PIECE", 7)
    np.testing.assert_array_equal(np.asarray(pixels), ARRAY)


def test_only_what_is_asked_for_is_read(pixels, monkeypatch):
    counts = []
    read = pixels._read
    monkeypatch.setattr(pixels, "_read", lambda *at: counts.append(read(*at)) or counts[-1])
    monkeypatch.setattr(file_pixels, "_SMALL", 0)
    pixels[1, 2, ::10, :]
    assert sum(counts) == 3 * 20 * 2


@pytest.mark.parametrize("index", [4, (0, -4), (0, 0, 0, 0, 0)])
def test_what_is_not_there_is_an_index_error(pixels, index):
    with pytest.raises(IndexError):
        pixels[index]


def test_another_process_reads_the_same(pixels):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pixels))[1], ARRAY[1])


def test_without_positional_reads(pixels, monkeypatch):
    monkeypatch.delattr(os, "preadv", raising=False)
    np.testing.assert_array_equal(pixels[2, 1], ARRAY[2, 1])


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.nii"])
def test_a_file_that_is_cut_off_while_it_is_open_is_an_error_of_the_frame(tmp_path, name):
    path, stack = tmp_path / name, ARRAY[:, 0].astype(np.uint16)
    if name == "a.npy":
        np.save(path, stack)
    elif name == "a.nii":
        nibabel.save(nibabel.Nifti1Image(stack.T, np.eye(4)), path)
    else:
        tifffile.imwrite(path, stack)
    opened = open_stack(path)
    order = [opened.axes.index(letter) for letter in "ZYX"] if name == "a.nii" else (0, 1, 2)
    frames = FrameStack(opened.with_axes(order).data, contrast=(0, 60_000))
    size = path.stat().st_size
    os.truncate(path, size - 2 * 30 * 20 * 2)
    frames.read(1)
    with pytest.raises(FrameError, match="shorter"):
        frames.read(3)


def test_a_file_that_is_replaced_is_still_the_one_that_was_opened(pixels, tmp_path):
    if os.name == "nt":
        pytest.skip("Windows does not replace open files")
    (tmp_path / "b.raw").write_bytes(bytes(10))
    (tmp_path / "b.raw").replace(tmp_path / "a.raw")
    np.testing.assert_array_equal(np.asarray(pixels), ARRAY)
