"""Folders of slices, and pictures."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam2.errors import FrameError, StackError
from napari_sam2.stack import FrameStack, open_labels, open_stack
from napari_sam2.stack.slice_files import natural_order

RNG = np.random.default_rng(0)


def save(path, plane):
    if path.suffix == ".tif":
        tifffile.imwrite(path, plane, photometric="minisblack" if plane.ndim == 2 else "rgb")
    else:
        Image.fromarray(plane).save(path)


@pytest.mark.parametrize(
    ("suffix", "dtype", "colours"),
    [
        (".tif", "u1", 0),
        (".tif", "u2", 0),
        (".tif", "u1", 3),
        (".png", "u1", 0),
        (".png", "u2", 0),
        (".png", "u1", 3),
        (".png", "u1", 4),
        (".jpg", "u1", 0),
        (".jpeg", "u1", 3),
    ],
)
def test_a_folder_of_slices_is_a_stack_in_natural_order(tmp_path, suffix, dtype, colours):
    shape = (12, 12, 9, colours) if colours else (12, 12, 9)
    stack = np.repeat(np.arange(12), int(np.prod(shape[1:])))
    stack = (20 * stack.reshape(shape)).astype(dtype)
    for number, plane in enumerate(stack):
        save(tmp_path / f"slice_{number}{suffix}", plane)
    (tmp_path / "notes.txt").write_text("no slice")
    (tmp_path / f".hidden{suffix}").write_bytes(b"no slice")
    opened = open_stack(tmp_path)
    assert opened.axes == ("QYXS" if colours else "QYX")
    assert (opened.data.shape, opened.data.dtype) == (shape, np.dtype(dtype))
    assert set(opened.units) == {""}
    np.testing.assert_array_equal(np.asarray(opened.data[11]), stack[11])
    np.testing.assert_array_equal(np.asarray(opened.data[2:10:3, 1:5]), stack[2:10:3, 1:5])
    np.testing.assert_array_equal(np.asarray(opened.data), stack)
    frames = FrameStack(opened.data, contrast=(0, 255))
    assert frames.n_frames == 12
    assert frames.read(10).max() == pytest.approx(200 / 255)


def test_only_the_slice_that_is_asked_for_is_read(tmp_path):
    for number in range(4):
        save(tmp_path / f"{number}.png", np.full((9, 8), number, np.uint8))
    opened = open_stack(tmp_path)
    frames = FrameStack(opened.data, contrast=(0, 9))
    for number in (0, 1, 3):
        whole = (tmp_path / f"{number}.png").read_bytes()
        (tmp_path / f"{number}.png").write_bytes(whole[:45])
    assert (frames.read(2) == np.float32(2 / 9)).all()
    with pytest.raises(FrameError, match=r"3\.png"):
        frames.read(3)


@pytest.mark.parametrize("odd", [np.zeros((9, 7), np.uint8), np.zeros((9, 8), np.uint16)])
@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_the_slice_that_is_not_like_the_others_is_named(tmp_path, odd, suffix):
    for number in range(5):
        save(tmp_path / f"s{number}{suffix}", odd if number == 3 else np.zeros((9, 8), np.uint8))
    with pytest.raises(StackError, match=rf"s3\{suffix} is .* but s0\{suffix}") as caught:
        open_stack(tmp_path)
    assert caught.value.remedy


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_damaged_slice_is_named(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", np.zeros((9, 8), np.uint8))
    (tmp_path / f"b{suffix}").write_bytes(b"no picture")
    with pytest.raises(StackError, match=rf"b\{suffix}"):
        open_stack(tmp_path)


def test_two_kinds_of_slices_are_not_mixed(tmp_path):
    for name in ("a.tif", "b.tif", "c.png"):
        save(tmp_path / name, np.zeros((9, 8), np.uint8))
    with pytest.raises(StackError, match="2 TIFF and 1 PNG or JPEG"):
        open_stack(tmp_path)


def test_volumes_in_a_folder_are_time_points(tmp_path):
    movie = RNG.integers(0, 99, (3, 4, 8, 9)).astype(np.uint16)
    for time, volume in enumerate(movie):
        metadata = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
        tifffile.imwrite(tmp_path / f"t{time}.tif", volume, imagej=True, metadata=metadata)
    opened = open_stack(tmp_path)
    assert (opened.axes, opened.data.shape) == ("TZYX", movie.shape)
    assert (opened.scale[1], opened.units[1]) == (2.0, "micrometer")
    np.testing.assert_array_equal(np.asarray(opened.data[1, 2]), movie[1, 2])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA", "I;16"])
def test_a_picture_is_a_single_frame(tmp_path, mode):
    plane = RNG.integers(0, 99, (9, 8)).astype(np.uint16 if mode == "I;16" else np.uint8)
    picture = Image.fromarray(plane)
    picture = picture if mode == picture.mode else picture.convert(mode)
    picture.save(tmp_path / "a.png")
    opened = open_stack(tmp_path / "a.png")
    colours = {"RGB": 3, "RGBA": 4, "P": 3}.get(mode)
    assert opened.data.shape == ((9, 8) if colours is None else (9, 8, colours))
    assert np.asarray(opened.data[...]).shape == opened.data.shape
    assert FrameStack(opened.data, None).read(0).shape[:2] == (9, 8)


def test_labels_with_a_palette_are_the_numbers_of_its_colours(tmp_path):
    labels = RNG.integers(0, 9, (3, 9, 8)).astype(np.uint8)
    (tmp_path / "masks").mkdir()
    for number, plane in enumerate(labels):
        picture = Image.fromarray(plane, mode="P")
        picture.putpalette(RNG.integers(0, 256, 768).astype(np.uint8).tobytes())
        picture.save(tmp_path / "masks" / f"{number}.png")
    one, every = open_labels(tmp_path / "masks" / "1.png"), open_labels(tmp_path / "masks")
    assert (one.axes, every.axes) == ("YX", "QYX")
    assert (len(one.scale), len(every.units)) == (2, 3)
    np.testing.assert_array_equal(np.asarray(one.data[...]), labels[1])
    np.testing.assert_array_equal(np.asarray(every.data[...]), labels)
    assert open_stack(tmp_path / "masks").data.shape == (3, 9, 8, 3)
    Image.fromarray(np.zeros((9, 8, 3), np.uint8)).save(tmp_path / "masks" / "3.png")
    assert open_labels(tmp_path / "masks").data.shape == (4, 9, 8, 3)


def test_names_sort_by_the_numbers_in_them(tmp_path):
    names = ["a2b10", "a10b1", "a2b9", "a02b11", "b1", "A3", "9" * 5000, "1" + "0" * 5000]
    found = [path.name for path in natural_order([tmp_path / name for name in names])]
    assert found[:2] == ["9" * 5000, "1" + "0" * 5000]
    assert found[2:] == ["a2b9", "a2b10", "a02b11", "A3", "a10b1", "b1"]
