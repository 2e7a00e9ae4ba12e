from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_sam2.errors import SeriesError, StackError
from napari_sam2.stack import FrameStack, guess_axes, open_stack

STACK = np.random.default_rng(5).integers(0, 999, (5, 2, 32, 24)).astype(np.uint16)
AXES = [
    {"name": "t", "type": "time", "unit": "second"},
    {"name": "c", "type": "channel"},
    {"name": "y", "type": "space", "unit": "nanometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def _image(path: Path, version: str, **changes: object) -> Path:
    """Write an OME-Zarr image of two levels by the plain zarr API."""
    zarr_format = 3 if version == "0.5" else 2
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    datasets = []
    for level in range(2):
        array = STACK[..., :: 2**level, :: 2**level]
        group.create_array(str(level), data=array, chunks=(1, 1, 16, 16))
        scale = [10.0, 1.0, 500.0 * 2**level, 0.5 * 2**level]
        transformations = [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": [0.0] * 4},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    image = {"axes": AXES, "datasets": datasets, "version": version} | changes
    image = {key: value for key, value in image.items() if value is not None}
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    else:
        group.attrs["multiscales"] = [image]
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays(tmp_path, zarr_format):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=STACK[:, 0], chunks=(1, 16, 16), zarr_format=zarr_format)
    opened = open_stack(path)
    assert (opened.axes, opened.scale) == ("QYX", (1.0, 1.0, 1.0))
    stack = FrameStack(opened.data, contrast=(0, 999))
    np.testing.assert_array_equal(stack.read(3)[..., 0], (STACK[3, 0] / 999).astype(np.float32))


def test_only_the_chunks_of_the_frame_are_read(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=STACK[:, 0], chunks=(1, 16, 16))
    for frame in (0, 1, 2, 4):
        for chunk in (path / "c" / str(frame)).rglob("*"):
            if chunk.is_file():
                chunk.write_bytes(b"damaged")
    stack = FrameStack(open_stack(path).data, contrast=(0, 999))
    assert stack.read(3).max() > 0
    with pytest.raises(StackError, match="Frame 4"):
        stack.read(4)


def test_dimension_names_are_axes(tmp_path):
    names = ("z", "c", "y", "x")
    zarr.create_array(tmp_path / "3", data=STACK, dimension_names=names)
    assert open_stack(tmp_path / "3").axes == "ZCYX"
    two = zarr.create_array(tmp_path / "2", data=STACK, zarr_format=2)
    two.attrs["_ARRAY_DIMENSIONS"] = ["time", "c", "y", "x"]
    assert open_stack(tmp_path / "2").axes == "TCYX"
    zarr.create_array(tmp_path / "n", data=STACK, dimension_names=("a", "b", None, "d"))
    assert open_stack(tmp_path / "n").axes == "QQYX"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_axes_scale_and_levels(tmp_path, version):
    path = _image(tmp_path / "a.ome.zarr", version)
    finest, coarser = open_stack(path), open_stack(path, level=1)
    assert finest.axes == coarser.axes == "TCYX"
    assert finest.scale == pytest.approx((10, 1, 0.5, 0.5))
    assert coarser.scale == pytest.approx((10, 1, 1, 1))
    assert coarser.data.shape == (5, 2, 16, 12)
    guess = guess_axes(finest.data.shape, labels=finest.axes)
    stack = FrameStack(finest.data, guess.video, channel_axis=guess.channel, contrast=(0, 999))
    expected = (np.moveaxis(STACK[4], 0, -1) / 999).astype(np.float32)
    np.testing.assert_array_equal(stack.read(4)[..., :2], expected)


def test_the_scale_of_the_image_multiplies_that_of_the_level(tmp_path):
    whole = [{"type": "scale", "scale": [2.0, 1.0, 1.0, 3.0]}]
    path = _image(tmp_path / "a.zarr", "0.4", coordinateTransformations=whole)
    assert open_stack(path).scale == pytest.approx((20, 1, 0.5, 1.5))


@pytest.mark.parametrize(("axes", "letters"), [(["t", "c", "y", "x"], "TCYX"), (None, "CZYX")])
def test_axes_of_older_metadata(tmp_path, axes, letters):
    path = _image(tmp_path / "a.zarr", "0.3", axes=axes)
    assert open_stack(path).axes == letters


def test_axes_of_other_names_go_by_their_type(tmp_path):
    named = [{"name": "when", "type": "time"}, {"name": "dye", "type": "channel"}, *AXES[2:]]
    assert open_stack(_image(tmp_path / "a.zarr", "0.4", axes=named)).axes == "TCYX"


def test_a_folder_of_images_by_bioformats2raw(tmp_path):
    group = zarr.open_group(tmp_path / "b.zarr", mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    _image(tmp_path / "b.zarr" / "0", "0.4")
    _image(tmp_path / "b.zarr" / "1", "0.4", axes=["z", "c", "y", "x"])
    assert open_stack(tmp_path / "b.zarr").axes == "TCYX"
    assert open_stack(tmp_path / "b.zarr", series=1, level=1).axes == "ZCYX"
    with pytest.raises(StackError, match="no series 2"):
        open_stack(tmp_path / "b.zarr", series=2)


def test_a_group_of_one_array_is_that_array(tmp_path):
    zarr.open_group(tmp_path / "g", mode="w").create_array("stack", data=STACK)
    assert open_stack(tmp_path / "g").data.shape == STACK.shape


@pytest.mark.parametrize("names", [[], ["a", "b"]])
def test_other_groups_say_what_they_hold(tmp_path, names):
    group = zarr.open_group(tmp_path / "g", mode="w")
    for name in names:
        group.create_array(name, data=STACK)
    with pytest.raises(StackError, match=r"it holds (a, b|nothing)") as caught:
        open_stack(tmp_path / "g")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"datasets": None},
        {"datasets": []},
        {"datasets": [{}]},
        {"datasets": [{"path": "9"}]},
        {"datasets": 5},
        {"axes": ["y", "x"]},
        {"axes": [{}, {}, {}, {}]},
        {"coordinateTransformations": [{"type": "scale", "scale": [1.0]}]},
        {"coordinateTransformations": [{"type": "scale", "scale": ["a"] * 4}]},
        {"coordinateTransformations": [{}]},
        {"coordinateTransformations": 3},
    ],
)
def test_damaged_metadata(tmp_path, changes):
    with pytest.raises(StackError) as caught:
        open_stack(_image(tmp_path / "a.zarr", "0.4", **changes))
    assert caught.value.remedy


@pytest.mark.parametrize("scale", [[0.0] * 4, [-1.0] * 4])
def test_steps_that_are_none_count_as_one(tmp_path, scale):
    whole = [{"type": "scale", "scale": scale}]
    path = _image(tmp_path / "a.zarr", "0.4", coordinateTransformations=whole, axes=list("tcyx"))
    assert open_stack(path).scale == (1.0,) * 4


@pytest.mark.parametrize("choice", [{"series": 1}, {"level": 2}, {"level": -1}])
def test_series_and_levels_that_there_are_not(tmp_path, choice):
    with pytest.raises(StackError, match=r"has no (series|level)"):
        open_stack(_image(tmp_path / "a.zarr", "0.5"), **choice)


@pytest.mark.parametrize("content", ["{", "[]", '{"zarr_format": 3, "node_type": "array"}'])
def test_damaged_zarr_files(tmp_path, content):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=STACK)
    (path / "zarr.json").write_text(content)
    with pytest.raises(StackError, match="cannot be opened as zarr") as caught:
        open_stack(path)
    assert caught.value.__cause__ is not None


def test_opened_zarrs_are_read_only(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=STACK)
    opened = open_stack(tmp_path / "a.zarr")
    with pytest.raises(ValueError, match=r"read.only"):
        opened.data[0] = 0


def _plate(path):
    """Write a plate of two wells with two fields each, whose pixels say which is which."""
    plate = zarr.open_group(path, mode="w", zarr_format=2)
    wells = [{"path": "A/1"}, {"path": "B/2"}, {"path": "B/3"}]
    plate.attrs["plate"] = {"wells": wells}
    for number, well in enumerate(("A/1", "B/2")):
        group = plate.create_group(well)
        group.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
        for field in range(2):
            image = group.create_group(str(field))
            image.create_array("0", data=np.full((3, 8, 9), 10 * number + field, np.uint16))
            datasets = [{"path": "0"}]
            image.attrs["multiscales"] = [{"axes": ["z", "y", "x"], "datasets": datasets}]
    return path


def test_a_plate_names_its_images(tmp_path):
    path = _plate(tmp_path / "plate.zarr")
    with pytest.raises(SeriesError, match="A/1/0, A/1/1, B/2/0, B/2/1") as caught:
        open_stack(path)
    assert "--series A/1/0" in caught.value.remedy
    assert caught.value.names == ("A/1/0", "A/1/1", "B/2/0", "B/2/1")
    with pytest.raises(StackError, match="a well of 2 images: 0, 1"):
        open_stack(path / "B" / "2")
    for series, value in (("B/2/1", 11), ("1", 1), (2, 10)):
        opened = open_stack(path, series=series)
        assert np.unique(opened.data[...]).tolist() == [value]
        assert opened.series.available == 4
        assert opened.series.names == caught.value.names
    assert open_stack(path, series="B/2/1").series.name == "B/2/1"
    assert np.unique(open_stack(path / "B" / "2" / "1").data[...]).tolist() == [11]
    for wrong in ("C/1/0", "4", "-1", "9" * 5000, 4):
        with pytest.raises(StackError, match="plate"):
            open_stack(path, series=wrong)


@pytest.mark.parametrize("described", [{}, {"wells": 3}, {"wells": [{}]}, {"wells": []}])
def test_damaged_plates(tmp_path, described):
    group = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=2)
    group.attrs["plate"] = described
    with pytest.raises(StackError) as caught:
        open_stack(tmp_path / "p.zarr")
    assert caught.value.remedy


@pytest.mark.parametrize("unit", [None, "pixel", "reference frame", "furlong"])
def test_a_unit_that_is_unknown_is_not_claimed(tmp_path, unit):
    axes = [{"name": n, "type": "space", "unit": unit} for n in "tcyx"]
    opened = open_stack(_image(tmp_path / "a.zarr", "0.4", axes=axes))
    assert opened.units == ("",) * 4
    assert opened.scale == (10, 1, 500, 0.5)
