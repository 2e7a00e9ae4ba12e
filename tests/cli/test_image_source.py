"""Files on disk become frames along the axis that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam2.cli.image_source import Seeing, axis_number, open_frames
from napari_sam2.errors import StackError
from napari_sam2.types import Region


@pytest.fixture
def four_dimensional(tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    data = np.arange(3 * 4 * 8 * 9, dtype=np.uint16).reshape(3, 4, 8, 9)
    tifffile.imwrite(path, data, metadata={"axes": "TZYX"})
    return path


def test_time_is_the_video_of_a_file_that_has_time(four_dimensional):
    frames = open_frames(four_dimensional)
    assert frames.stack.shape == (3, 8, 9)
    assert frames.axes == "TYX"
    assert len(frames.scale) == 3


@pytest.mark.parametrize("axis", ["Z", "z", "1", "-3"])
def test_another_axis_can_be_the_video(four_dimensional, axis):
    frames = open_frames(four_dimensional, Seeing(axis, ("T=2",)))
    assert frames.stack.shape == (4, 8, 9)
    assert frames.axes == "ZYX"
    assert dict(frames.stack.at) == {0: 2}


def test_a_single_image_is_one_frame(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.eye(8, 9, dtype=np.uint8))
    frames = open_frames(path)
    assert frames.stack.shape == (1, 8, 9)
    assert frames.axes == "ZYX"
    assert len(frames.scale) == 3


def test_colours_are_channels(tmp_path):
    path = tmp_path / "colour.tif"
    tifffile.imwrite(path, np.zeros((5, 8, 9, 3), dtype=np.uint8), photometric="rgb")
    frames = open_frames(path)
    assert frames.stack.shape == (5, 8, 9)
    assert frames.stack.n_channels == 3


def test_an_axis_taken_for_colours_can_be_the_video(tmp_path):
    path = tmp_path / "three.tif"
    tifffile.imwrite(path, np.zeros((3, 8, 9), dtype=np.uint8))
    assert open_frames(path, Seeing("0")).stack.shape == (3, 8, 9)


def test_volumes_are_one_after_the_other(four_dimensional):
    frames = open_frames(
        four_dimensional, Seeing("Z", ("T=1",), region=Region(2, 3, 6, 9), through="T")
    )
    assert (frames.axes, len(frames.scale)) == ("TZYX", 4)
    assert (frames.labels_shape, frames.volume, frames.volumes) == ((3, 4, 8, 9), 1, 3)
    labels = frames.empty_labels()
    frames.part(labels)[:] = 1
    frames.part(labels, 2)[:] = 2
    assert [np.unique(volume).tolist() for volume in labels] == [[0], [0, 1], [0, 2]]
    assert (labels[1:, :, 2:6, 3:9] > 0).all()
    turned = frames.stack.turned(0, {1: 3})
    assert (turned.shape, turned.contrast) == ((3, 4, 6), frames.stack.contrast)
    np.testing.assert_array_equal(turned.read(1), frames.stack.read(3))


@pytest.mark.parametrize(("axis", "through"), [("Z", "Z"), ("Z", "Y"), ("Z", "C"), ("T", "T")])
def test_an_axis_that_leads_to_no_volume_is_refused(four_dimensional, axis, through):
    with pytest.raises(StackError):
        open_frames(four_dimensional, Seeing(axis, through=through))


def test_axes_are_found_by_letter_and_number():
    assert axis_number("y", "TZYX") == 2
    assert axis_number("0", "TZYX") == 0
    assert axis_number("-1", "TZYX") == 3


@pytest.mark.parametrize("axis", ["C", "4", "-5", "depth", ""])
def test_an_axis_that_is_not_there_is_refused(axis):
    with pytest.raises(StackError, match="TZYX"):
        axis_number(axis, "TZYX")


@pytest.mark.parametrize("at", ["T", "T=", "T=two", "2"])
def test_a_position_must_name_axis_and_index(four_dimensional, at):
    with pytest.raises(StackError):
        open_frames(four_dimensional, Seeing("Z", (at,)))
