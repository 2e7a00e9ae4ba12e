"""Files on disk become frames along the axis that was asked for."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from napari_sam2.errors import PromptError, StackError
from napari_sam2.prompts import PromptBook, SessionFile
from napari_sam2.segmentation.choices import describe_choices, name_choices
from napari_sam2.segmentation.image_source import ImageSelection, axis_number, open_frames
from napari_sam2.stack import open_stack
from napari_sam2.types import Region, StackKind


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
    assert len(frames.layout.scale) == 3
    assert dict(frames.stack.at) == {1: 0}


@pytest.mark.parametrize("axis", ["Z", "z", "1", "-3"])
def test_another_axis_can_be_the_video(four_dimensional, axis):
    frames = open_frames(four_dimensional, ImageSelection(axis, ("T=2",)))
    assert frames.stack.shape == (4, 8, 9)
    assert frames.axes == "ZYX"
    assert dict(frames.stack.at) == {0: 2}


def test_a_single_image_is_one_frame(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.eye(8, 9, dtype=np.uint8))
    frames = open_frames(path)
    assert frames.stack.shape == (1, 8, 9)
    assert frames.axes == "ZYX"
    assert len(frames.layout.scale) == 3


def test_colours_are_channels(tmp_path):
    path = tmp_path / "colour.tif"
    tifffile.imwrite(path, np.zeros((5, 8, 9, 3), dtype=np.uint8), photometric="rgb")
    frames = open_frames(path)
    assert frames.stack.shape == (5, 8, 9)
    assert frames.stack.n_channels == 3


def test_an_axis_taken_for_colours_can_be_the_video(tmp_path):
    path = tmp_path / "three.tif"
    tifffile.imwrite(path, np.zeros((3, 8, 9), dtype=np.uint8))
    assert open_frames(path, ImageSelection("0")).stack.shape == (3, 8, 9)


def test_volumes_are_one_after_the_other(four_dimensional):
    frames = open_frames(
        four_dimensional, ImageSelection("Z", ("T=1",), region=Region(2, 3, 6, 9), through="T")
    )
    assert (frames.axes, len(frames.layout.scale)) == ("TZYX", 4)
    assert (frames.labels_shape, frames.volume, frames.volumes) == ((3, 4, 8, 9), 1, 3)
    labels = frames.empty_labels()
    frames.part(labels)[:] = 1
    frames.part(labels, 2)[:] = 2
    assert [np.unique(volume).tolist() for volume in labels] == [[0], [0, 1], [0, 2]]
    assert (labels[1:, :, 2:6, 3:9] > 0).all()
    turned = frames.stack.with_axis(0, {1: 3})
    assert (turned.shape, turned.contrast) == ((3, 4, 6), frames.stack.contrast)
    np.testing.assert_array_equal(turned.read(1), frames.stack.read(3))


@pytest.mark.parametrize(("axis", "through"), [("Z", "Z"), ("Z", "Y"), ("Z", "C"), ("T", "T")])
def test_an_axis_that_leads_to_no_volume_is_refused(four_dimensional, axis, through):
    with pytest.raises(StackError):
        open_frames(four_dimensional, ImageSelection(axis, through=through))


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
        open_frames(four_dimensional, ImageSelection("Z", (at,)))


def test_one_channel_is_seen_unless_they_are_colours(tmp_path):
    data = np.random.default_rng(0).integers(0, 99, (5, 2, 8, 9)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "two.tif", data, imagej=True, metadata={"axes": "ZCYX"})
    first = open_frames(tmp_path / "two.tif").stack
    assert (first.n_channels, first.channels, first.channel_count) == (1, (0,), 2)
    assert open_frames(tmp_path / "two.tif", ImageSelection(channels="1,0")).stack.channels == (
        1,
        0,
    )
    held = open_frames(tmp_path / "two.tif", ImageSelection(at=("C=1",))).stack
    assert (held.channel_axis, dict(held.at)) == (None, {1: 1})
    assert not np.array_equal(held.read(0), first.read(0))


@pytest.mark.parametrize("size", [5, 9])
def test_slices_that_a_file_calls_channels_are_the_video(tmp_path, size):
    data = np.zeros((size, 8, 9), np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", data, imagej=True, metadata={"axes": "CYX"})
    frames = open_frames(tmp_path / "c.tif")
    assert (frames.stack.n_frames, frames.axes) == (size, "ZYX")
    assert "along axis C, which the file calls channels (--axis, --kind)" in describe_choices(
        frames
    )
    one = open_frames(tmp_path / "c.tif", ImageSelection(channels="2"))
    assert (one.stack.n_frames, one.stack.channels) == (1, (2,))


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"imagej": True, "metadata": {"axes": "CYX"}}, "--axis C if its channels are slices"),
        ({"photometric": "rgb", "planarconfig": "separate"}, "--axis S if its colours are slices"),
    ],
)
def test_three_slices_called_channels_or_colours_are_named(tmp_path, options, option):
    tifffile.imwrite(tmp_path / "three.tif", np.zeros((3, 8, 9), np.uint8), **options)
    frames = open_frames(tmp_path / "three.tif")
    assert frames.stack.n_frames == 1
    assert option in describe_choices(frames)
    error = name_choices(PromptError("Frame 2 is outside.", remedy="Choose 0."), frames)
    assert option[:8] in error.remedy
    again = open_frames(tmp_path / "three.tif", ImageSelection(option[7]))
    assert again.stack.n_frames == 3


def test_every_choice_is_named_with_its_option(tmp_path):
    data = np.zeros((4, 3, 2, 8, 9), np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(data[0, 0, 0], metadata={"axes": "YX", "Name": "label"})
        file.write(data, metadata={"axes": "TZCYX", "Name": "cells"})
    line = describe_choices(
        open_frames(tmp_path / "a.ome.tif", ImageSelection("Z", series="cells"))
    )
    assert line == (
        "a.ome.tif: image 1 (cells) of the 2 in the file (--series), 3 slices of a "
        "z-stack along axis Z (--axis, --kind), channel 0 of 2 (--channels), time point 0 of 4 "
        "(--at T=0)."
    )
    alone = open_frames(tmp_path / "a.ome.tif")
    assert "image 0 (label) of the 2" in describe_choices(alone)
    error = name_choices(PromptError("Outside."), alone)
    assert "holds 2 images; --series" in error.remedy
    with pytest.raises(StackError, match="label, cells"):
        open_frames(tmp_path / "a.ome.tif", ImageSelection(series="nuclei"))


def test_the_resolution_is_named(tmp_path):
    data = np.zeros((3, 32, 32), np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        tiles = {"tile": (16, 16), "compression": "zlib"}
        metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        file.write(data, subifds=1, metadata=metadata, **tiles)
        file.write(data[:, ::2, ::2], subfiletype=1, **tiles)
    frames = open_frames(tmp_path / "a.ome.tif", ImageSelection(level=1))
    assert frames.shape == (3, 16, 16)
    assert frames.layout.scale == (1, 1, 1)
    assert "resolution 1 of 2 (--level)" in describe_choices(frames)


ORDERS = ["".join(order) for order in itertools.permutations("ZYX")]
SIZES = {"Z": 4, "Y": 8, "X": 9}
STEPS = {"Z": 2.0, "Y": 0.5, "X": 0.25}


@pytest.fixture
def ordered(tmp_path):
    """Write one image as OME-Zarr with its axes in any order."""
    image = np.random.default_rng(3).integers(0, 99, (4, 8, 9)).astype(np.uint16)

    def write(axes):
        turned = image.transpose(["ZYX".index(letter) for letter in axes])
        group = zarr.create_group(tmp_path / f"{axes}.zarr")
        group.create_array("0", data=turned)
        scale = [{"type": "scale", "scale": [STEPS[letter] for letter in axes]}]
        described = [{"name": n, "type": "space", "unit": "micrometer"} for n in axes.lower()]
        level = {"path": "0", "coordinateTransformations": scale}
        multiscale = {"axes": described, "datasets": [level]}
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
        return tmp_path / f"{axes}.zarr", turned

    return write


@pytest.mark.parametrize("axes", ORDERS)
@pytest.mark.parametrize("video", ["auto", "Z", "Y", "X"])
@pytest.mark.parametrize("name", ["out.zarr", "out.tif", "out.ome.tif"])
def test_labels_lie_on_the_image_whatever_the_order_of_its_axes(
    ordered, tmp_path, axes, video, name
):
    path, image = ordered(axes)
    frames = open_frames(path, ImageSelection(video))
    along = "Z" if video == "auto" else video
    rows, columns = (letter for letter in "ZYX" if letter != along)
    assert frames.stack.shape == (SIZES[along], SIZES[rows], SIZES[columns])
    low, high = frames.stack.contrast[0].low, frames.stack.contrast[0].high
    labels = frames.empty_labels()
    for number in range(frames.stack.n_frames):
        picture = frames.stack.read(number)[..., 0]
        labels[number] = np.rint(picture * (high - low) + low)
    frames.layout.write(tmp_path / name, labels)
    with open_stack(tmp_path / name) as written:
        expected = np.clip(image, np.ceil(low), np.floor(high))
        if name == "out.ome.tif":
            order = [axes.index(letter) for letter in written.axes]
            expected = expected.transpose(order)
        else:
            assert written.axes == axes
        np.testing.assert_allclose(np.asarray(written.data[...]), expected, atol=1)
        assert written.scale == pytest.approx([STEPS[letter] for letter in written.axes])
        assert set(written.units) == {"micrometer"}


def test_a_session_of_exchanged_axes_is_loaded_with_them(ordered, tmp_path):
    path, _ = ordered("XYZ")
    frames = open_frames(path)
    saved = SessionFile(PromptBook(frames.stack.shape), axis=2, settings={"transposed": True})
    again = open_frames(path, ImageSelection(saved=saved))
    assert again.stack.transposed
    assert again.stack.shape == (4, 8, 9)
    panel = SessionFile(PromptBook((9, 8, 4)), axis=0)
    as_shown = open_frames(path, ImageSelection(saved=panel))
    assert (as_shown.stack.shape, as_shown.stack.transposed) == ((9, 8, 4), False)


@pytest.mark.parametrize(
    ("axes", "asked", "kind", "letters"),
    [
        ("ZYX", None, StackKind.Z_STACK, "ZYX"),
        ("TYX", None, StackKind.TIME_LAPSE, "TYX"),
        ("QYX", None, StackKind.UNKNOWN, "ZYX"),
        ("QYX", StackKind.TIME_LAPSE, StackKind.TIME_LAPSE, "TYX"),
        ("TYX", StackKind.Z_STACK, StackKind.Z_STACK, "TYX"),
    ],
)
def test_the_file_says_what_frames_are_unless_the_user_does(tmp_path, axes, asked, kind, letters):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8, 9), np.uint16), metadata={"axes": axes})
    frames = open_frames(tmp_path / "a.tif", ImageSelection(kind=asked))
    assert (frames.stack.kind, frames.axes) == (kind, letters)
    saved = SessionFile(PromptBook((5, 8, 9)), axis=0, settings={"kind": "time-lapse"})
    again = open_frames(tmp_path / "a.tif", ImageSelection(kind=asked, saved=saved)).stack.kind
    assert again == (asked or "time-lapse"), "what a session says goes before the file"


def test_a_session_of_one_channel_is_replayed_on_it(tmp_path):
    data = np.zeros((5, 2, 8, 9), np.uint16)
    tifffile.imwrite(tmp_path / "two.tif", data, imagej=True, metadata={"axes": "ZCYX"})
    one = SessionFile(PromptBook((5, 8, 9)), axis=0, at={1: 1})
    assert dict(open_frames(tmp_path / "two.tif", ImageSelection(saved=one)).stack.at) == {1: 1}
    both = SessionFile(PromptBook((5, 8, 9)), axis=0, settings={"channel_axis": 1})
    assert open_frames(tmp_path / "two.tif", ImageSelection(saved=both)).stack.channels == (0, 1)


def test_labels_of_one_slice_have_no_affine_of_the_volume(tmp_path):
    data = np.zeros((9, 8, 4, 3), np.uint16)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1, 2, 3, 1])), tmp_path / "a.nii")
    over_time = open_frames(tmp_path / "a.nii", ImageSelection(at=("Z=2",)))
    assert (over_time.stack.shape, over_time.layout.written) == ((3, 8, 9), "XYT")
    assert over_time.layout.affine is None
    volume = open_frames(tmp_path / "a.nii", ImageSelection("Z", ("T=1",)))
    assert (volume.stack.shape, volume.layout.written) == ((4, 8, 9), "XYZ")
    np.testing.assert_array_equal(volume.layout.affine, np.diag([1, 2, 3, 1]))
