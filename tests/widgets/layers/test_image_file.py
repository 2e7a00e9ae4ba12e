"""Image files as napari shows them: order of axes, sizes, units, resolutions, contrast."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from napari.layers.utils.stack_utils import stack_to_images

from napari_sam2.errors import StackError
from napari_sam2.stack import FrameStack, OpenedStack
from napari_sam2.stack.opened_stack import FileChoice
from napari_sam2.stack.slice_files import SliceFiles
from napari_sam2.widgets.layers import image_file
from napari_sam2.widgets.layers.image_file import ImageFile, orientation

AFFINE = np.diag([0.5, 0.4, 2.0, 1.0])


def shown(path, series=None):
    return ImageFile.read(path, series).show(ViewerModel())


@pytest.mark.parametrize("name", ["head.nii", "head.nii.gz"])
def test_slices_of_a_nifti_are_planes_of_x_and_y(tmp_path, name):
    volume = np.random.default_rng(0).integers(-900, 900, (7, 6, 5, 2)).astype(np.int16)
    image = nibabel.Nifti1Image(volume, AFFINE)
    image.header.set_zooms((0.5, 0.4, 2, 3))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / name)
    layer = shown(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(layer.data), volume.transpose(3, 2, 1, 0))
    assert layer.axis_labels == ("t", "z", "y", "x")
    np.testing.assert_allclose(layer.scale, (3, 2000, 400, 500), rtol=1e-6)
    assert [str(unit) for unit in layer.units] == ["second", *["micrometer"] * 3]
    np.testing.assert_allclose(orientation(layer), AFFINE)


def test_layers_made_of_an_image_lie_where_it_lies_or_nobody_knows_where(tmp_path):
    series = np.zeros((7, 6, 5, 2), np.int16)
    nibabel.save(nibabel.Nifti1Image(series, AFFINE), tmp_path / "a.nii")
    layer = shown(tmp_path / "a.nii")
    times = stack_to_images(layer, 0)
    np.testing.assert_allclose(orientation(times[1]), AFFINE)
    assert [orientation(each) for each in stack_to_images(times[1], 0)] == [None] * 5
    layer.data = layer.data[..., 1:]
    assert orientation(layer) is None


def test_channels_and_unknown_axes_are_sliders_before_the_slices(tmp_path):
    data = np.arange(2 * 3 * 4 * 9 * 8, dtype=np.uint16).reshape(4, 2, 3, 9, 8)
    tifffile.imwrite(tmp_path / "a.tif", data, metadata={"axes": "ZTCYX"}, ome=True)
    layer = shown(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.asarray(layer.data), data.transpose(1, 2, 0, 3, 4))
    assert layer.axis_labels == ("t", "c", "z", "y", "x")
    np.save(tmp_path / "b.npy", data[0])
    layer = shown(tmp_path / "b.npy")
    assert layer.axis_labels == ("-4", "-3", "y", "x")
    assert orientation(layer) is None


def test_colours_are_colours_and_other_samples_are_channels(tmp_path):
    colours = np.random.default_rng(1).integers(0, 256, (3, 9, 8, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb")
    layer = shown(tmp_path / "a.tif")
    assert layer.rgb
    np.testing.assert_array_equal(np.asarray(layer.data), colours)
    five = np.random.default_rng(1).integers(0, 256, (9, 8, 5), np.uint8)
    tifffile.imwrite(tmp_path / "b.tif", five, planarconfig="contig", photometric="minisblack")
    layer = shown(tmp_path / "b.tif")
    assert not layer.rgb
    assert layer.data.shape == (5, 9, 8)


def test_of_a_pyramid_only_the_plane_in_view_is_read(tmp_path, monkeypatch):
    read = []

    def levels(number):
        side = 32 >> number

        def plane(at):
            read.append((number, at))
            return np.full((side, side), at, np.int16)

        return SliceFiles(plane, (6,), (side, side), np.int16)

    def opened(path, series, level=0):
        data, choice = levels(level), FileChoice(level, 2)
        return OpenedStack(data, "ZYX", (1.0,) * 3, path, level=choice)

    monkeypatch.setattr(image_file, "open_stack", opened)
    image, viewer = ImageFile.read(tmp_path), ViewerModel()
    layer = image.show(viewer)
    read.clear()
    viewer.dims.set_current_step(0, 4)
    layer._update_draw(1, np.array([[0, 0], [31, 31]]), (32, 32))
    assert {at for _, at in read} == {4}
    np.testing.assert_array_equal(layer._slice.image.view, np.full((32, 32), 4))
    np.testing.assert_array_equal(FrameStack(layer.data[0], contrast=(0, 5)).read(5), 1)


def test_a_well_of_a_plate_has_its_own_resolutions(tmp_path):
    plate = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "A/2"}]}
    for number, name in enumerate(("A/1", "A/2")):
        well = plate.create_group(name)
        well.attrs["well"] = {"images": [{"path": "0"}]}
        image = well.create_group("0")
        axes = [{"name": axis, "type": "space"} for axis in "yx"]
        datasets = [{"path": "0"}, {"path": "1"}]
        image.attrs["multiscales"] = [{"axes": axes, "datasets": datasets}]
        for level in (0, 1):
            pixels = np.full((32 >> level, 32 >> level), 10 * number + level, np.uint16)
            image.create_array(str(level), data=pixels)
    layer = shown(tmp_path / "a.zarr", series=1)
    assert [np.unique(np.asarray(each)).tolist() for each in layer.data] == [[10], [11]]
    assert layer.name == "a A/2/0"


def test_resolutions_are_those_of_a_multiscale_layer(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    data = np.random.default_rng(2).integers(0, 999, (3, 32, 24)).astype(np.uint16)
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    steps = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [2, 0.5 * 2**level, 0.5 * 2**level]}
            ],
        }
        for level in range(2)
    ]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": steps}]
    group.create_array("0", data=data)
    group.create_array("1", data=data[:, ::2, ::2])
    layer = shown(tmp_path / "a.zarr")
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(3, 32, 24), (3, 16, 12)]
    np.testing.assert_array_equal(layer.scale, (2, 0.5, 0.5))
    del group["1"]  # as in a copy that was broken off
    layer = shown(tmp_path / "a.zarr")
    assert not layer.multiscale
    np.testing.assert_array_equal(np.asarray(layer.data), data)


@pytest.mark.parametrize(
    ("pixels", "limits"),
    [
        (np.full((3, 8, 8), 7, np.uint16), (0, 7)),
        (np.full((3, 8, 8), np.nan, np.float32), (0, 1)),
        (np.zeros((3, 8, 8), np.float32), (0, 1)),
        (np.where(np.eye(8) > 0, np.inf, -2.5).astype(np.float32), (-2.5, 1)),
        (np.arange(64, dtype=np.int32).reshape(8, 8) - 9, (-9, 54)),
    ],
)
def test_contrast_is_finite_and_a_range(tmp_path, pixels, limits):
    np.save(tmp_path / "a.npy", pixels)
    assert tuple(shown(tmp_path / "a.npy").contrast_limits) == limits


def test_contrast_of_a_large_stack_is_that_of_three_planes(tmp_path):
    pixels = np.zeros((5, 8, 8), np.uint16)
    pixels[:, 0, 0] = 10, 999, 20, 999, 30
    np.save(tmp_path / "a.npy", pixels)
    assert ImageFile.read(tmp_path / "a.npy").contrast == (0, 30)


def test_a_file_without_rows_and_columns_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros(5, np.int16), None), tmp_path / "a.nii")
    with pytest.raises(StackError, match="rows and columns"):
        ImageFile.read(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((3, 8, 8), np.complex64), "complex"),
        (np.zeros((3, 8, 8), np.longdouble), "kind"),
        (np.zeros((3, 8, 8), "M8[s]"), "numbers"),
        (np.zeros((3, 8, 8), [("R", "u1"), ("G", "u1")]), "numbers"),
        (np.zeros((0, 8, 8)), "no pixels"),
    ],
)
def test_pixels_that_cannot_be_drawn_are_refused(tmp_path, pixels, reason):
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(StackError, match=reason):
        ImageFile.read(tmp_path / "a.npy")


def test_pages_without_a_name_may_be_channels(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in np.zeros((3, 8, 9), np.uint16):
            file.write(page, metadata=None)
    assert shown(tmp_path / "a.tif").axis_labels == ("-3", "y", "x")


def test_a_plane_in_view_that_cannot_be_read_leaves_the_others(tmp_path, monkeypatch):
    def read(number):
        if number == 2:
            raise OSError("bad sector")
        return np.full((8, 8), number, np.int16)

    opened = OpenedStack(SliceFiles(read, (5,), (8, 8), np.int16), "ZYX", (1.0,) * 3, tmp_path)
    monkeypatch.setattr(image_file, "open_stack", lambda _path, series: opened)
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 8, 8)))
    viewer.dims.set_current_step(0, 2)
    with pytest.raises(StackError, match="bad sector"):
        ImageFile.read(tmp_path).show(viewer)
    layer = viewer.layers[1]
    assert layer.visible
    viewer.dims.set_current_step(0, 3)
    np.testing.assert_array_equal(layer._slice.image.view, np.full((8, 8), 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_pixels_that_cannot_be_decoded_say_why(tmp_path, monkeypatch, dtype):
    def fail(_number):
        raise StackError("its codec is missing", remedy="install it")

    data = SliceFiles(fail, (3,), (8, 8), dtype)
    opened = OpenedStack(data, "ZYX", (1.0,) * 3, tmp_path)
    monkeypatch.setattr(image_file, "open_stack", lambda _path, series: opened)
    with pytest.raises(StackError, match=r"^its codec is missing"):
        ImageFile.read(tmp_path)


def test_pixels_that_cannot_be_read_are_an_error_in_words(tmp_path):
    noise = np.random.default_rng(1).integers(0, 2**15, (30, 30, 4)).astype(np.int16)
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(noise, AFFINE), path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(StackError, match=r"a\.nii\.gz cannot be read"):
        ImageFile.read(path)


def test_a_plane_that_cannot_be_read_does_not_hide_the_others(tmp_path, monkeypatch):
    def read(number):
        if number == 0:
            raise OSError("bad sector")
        return np.full((8, 8), number, np.int16)

    data = SliceFiles(read, (5,), (8, 8), np.int16)
    opened = OpenedStack(data, "ZYX", (1.0,) * 3, tmp_path)
    monkeypatch.setattr(image_file, "open_stack", lambda _path, series: opened)
    assert ImageFile.read(tmp_path).contrast == (2, 4)
