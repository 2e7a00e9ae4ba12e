"""Labels keep the order of their axes, and a file claims only sizes that are known."""

from __future__ import annotations

import itertools
import re

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from napari_sam2.errors import LabelsError
from napari_sam2.labels import write_labels
from napari_sam2.stack import open_stack

SIDES = {"T": 2, "Z": 3, "Y": 5, "X": 7}
STEPS = {"T": 30.0, "Z": 2.0, "Y": 0.5, "X": 0.25}
KNOWN = {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
ORDERS = ["".join(order) for order in itertools.permutations("ZYX")]


def some_labels(axes):
    shape = tuple(SIDES[letter] for letter in axes)
    return np.random.default_rng(1).integers(0, 99, shape).astype(np.uint16)


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
@pytest.mark.parametrize("axes", [*ORDERS, "XY", "XYZT", "TYXZ", "YTX"])
def test_axes_stay_in_their_order_with_their_sizes(tmp_path, name, axes):
    labels = some_labels(axes)
    steps = [STEPS[letter] for letter in axes]
    write_labels(tmp_path / name, labels, axes=axes, scale=steps)
    with open_stack(tmp_path / name) as opened:
        np.testing.assert_array_equal(np.asarray(opened.data[...]), labels)
        assert opened.axes == axes
        assert opened.scale == pytest.approx(tuple(steps))
        assert opened.units == tuple(KNOWN[letter] for letter in axes)


@pytest.mark.parametrize("axes", [*ORDERS, "XYZT"])
@pytest.mark.parametrize("kind", [np.asarray, zarr.array])
def test_ome_tiff_has_its_own_order_and_each_letter_its_size(tmp_path, axes, kind):
    labels = some_labels(axes)
    scale = [STEPS[letter] for letter in axes]
    write_labels(tmp_path / "a.ome.tif", kind(labels), axes=axes, scale=scale)
    with open_stack(tmp_path / "a.ome.tif") as opened:
        order = [axes.index(letter) for letter in opened.axes]
        assert opened.axes.endswith("YX")
        assert opened.scale == pytest.approx(tuple(STEPS[letter] for letter in opened.axes))
        np.testing.assert_array_equal(np.asarray(opened.data[...]), labels.transpose(order))


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "xyz.tif", "a.nii.gz"])
def test_a_size_of_unknown_unit_is_not_claimed(tmp_path, name):
    axes = "XYZ" if name == "xyz.tif" else "ZYX"
    scale = [STEPS[letter] for letter in axes]
    write_labels(tmp_path / name, some_labels(axes), axes=axes, scale=scale, units=["", "", ""])
    with open_stack(tmp_path / name) as opened:
        assert (opened.scale, opened.units) == ((1.0,) * 3, ("",) * 3)


def test_an_ome_tiff_claims_only_what_is_known(tmp_path):
    units = ["", "micrometer", "micrometer"]
    write_labels(tmp_path / "a.ome.tif", some_labels("ZYX"), scale=(2.0, 0.5, 0.25), units=units)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert re.findall(r'PhysicalSize([XYZ])="', file.ome_metadata) == ["X", "Y"]


def test_ome_zarr_keeps_a_scale_without_unit(tmp_path):
    units = ["", "micrometer", "micrometer"]
    write_labels(tmp_path / "a.zarr", some_labels("ZYX"), scale=(2.0, 0.5, 0.25), units=units)
    with open_stack(tmp_path / "a.zarr") as opened:
        assert (opened.scale, opened.units) == ((2.0, 0.5, 0.25), tuple(units))


def test_a_unit_of_time_is_none_of_length(tmp_path):
    units = ["second", "micrometer", "micrometer"]
    write_labels(tmp_path / "a.ome.tif", some_labels("ZYX"), scale=(2.0, 0.5, 0.25), units=units)
    with open_stack(tmp_path / "a.ome.tif") as opened:
        assert opened.units[0] == ""


@pytest.mark.parametrize("units", [["", ""], ["furlong", "", ""], ["micrometer"] * 4])
def test_units_that_do_not_fit_are_refused(tmp_path, units):
    with pytest.raises(LabelsError, match="units"):
        write_labels(tmp_path / "a.tif", some_labels("ZYX"), scale=(1, 1, 1), units=units)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("axes", [*ORDERS, "TZYX", "YX"])
def test_nifti_is_x_y_z_with_its_affine(tmp_path, name, axes):
    labels = some_labels(axes)
    affine = np.array([[-0.5, 0.1, 0, 3], [0.1, 0.4, 0, -4], [0, 0, 2.0, 9], [0, 0, 0, 1]])
    write_labels(tmp_path / name, labels, axes=axes, affine=affine)
    image = nibabel.load(tmp_path / name)
    order = [axes.index(letter) for letter in "XYZT" if letter in axes]
    np.testing.assert_array_equal(np.asarray(image.dataobj), labels.transpose(order))
    np.testing.assert_allclose(image.affine, affine, atol=1e-6)
    assert image.header.get_intent()[0] == "label"
    assert image.header.get_xyzt_units()[0] == "mm"


def test_nifti_takes_sizes_where_there_is_no_affine(tmp_path):
    write_labels(tmp_path / "a.nii.gz", some_labels("TZYX"), axes="TZYX", scale=(30, 2, 0.5, 0.25))
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert image.header.get_zooms() == pytest.approx((0.00025, 0.0005, 0.002, 30))
    assert image.header.get_xyzt_units() == ("mm", "sec")


def test_large_ids_and_sides_fit_into_nifti(tmp_path):
    labels = np.zeros((1, 2, 33_000), np.uint32)
    labels[0, 1, 5] = 70_000
    write_labels(tmp_path / "a.nii", labels)
    image = nibabel.load(tmp_path / "a.nii")
    assert isinstance(image, nibabel.Nifti2Image)
    np.testing.assert_array_equal(np.asarray(image.dataobj)[..., 0].T, labels[0])
