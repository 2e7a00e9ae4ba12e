"""Contact sheets show the frames that were asked for, bare and labelled."""

from __future__ import annotations

import os

import numpy as np
import pytest
from skimage.io import imread

from napari_sam2.errors import LabelsError
from napari_sam2.segmentation.pictures import draw_sheet, write_sheet
from napari_sam2.stack import FrameStack


@pytest.fixture
def labelled() -> tuple[FrameStack, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (5, 40, 50), dtype=np.uint8)
    labels = np.zeros(image.shape, dtype=np.uint16)
    labels[2, 10:30, 10:30] = 3
    return FrameStack(image), labels


def test_only_labelled_pixels_differ_between_the_rows(labelled):
    stack, labels = labelled
    one = draw_sheet(stack, np.zeros_like(labels), frames=[0, 2], columns=2)
    other = draw_sheet(stack, labels, frames=[0, 2], columns=2)
    assert other.dtype == np.uint8
    half, width = one.shape[0] // 2, one.shape[1] // 2
    differs = np.any(one != other, axis=-1)
    assert not differs[:half].any()
    assert not differs[half:, :width].any()
    assert differs[half:, width:].any()


def test_rows_wrap(labelled):
    one = draw_sheet(*labelled, frames=[0, 1], columns=2)
    two = draw_sheet(*labelled, frames=[0, 1, 2], columns=2)
    assert two.shape[0] > 2 * one.shape[0]
    assert two.shape[1:] == one.shape[1:]


def test_large_frames_are_reduced():
    image = np.zeros((1, 1022, 1024), dtype=np.uint8)
    sheet = draw_sheet(FrameStack(image), image.astype(np.uint16), frames=[0], columns=1)
    assert max(sheet.shape) < 1100
    assert sheet.shape[1] == 512


def test_the_sheet_is_written_as_png(labelled, tmp_path):
    path = tmp_path / "sheet.png"
    write_sheet(path, *labelled)
    expected = draw_sheet(*labelled, frames=[0, 1, 2, 3, 4], columns=6)
    np.testing.assert_array_equal(imread(path), expected)


@pytest.mark.parametrize("name", ["sheet.nonsense", "missing/sheet.png"])
def test_a_picture_that_cannot_be_written_is_an_error(labelled, tmp_path, name):
    with pytest.raises(LabelsError, match="sheet"):
        write_sheet(tmp_path / name, *labelled)


def test_a_sheet_that_cannot_be_finished_leaves_the_former(tmp_path, labelled, monkeypatch):
    path = tmp_path / "sheet.png"
    write_sheet(path, *labelled)
    before = path.read_bytes()

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(LabelsError, match="No space left"):
        write_sheet(path, labelled[0], labelled[1] * 0)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["sheet.png"]
