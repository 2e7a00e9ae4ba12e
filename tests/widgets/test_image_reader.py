"""NIfTI images that are dropped on napari."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager

from napari_sam2.widgets.image_reader import get_reader


def test_napari_opens_a_nifti_with_axes_and_its_file(tmp_path):
    volume = np.random.default_rng(0).integers(0, 900, (7, 6, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "head.nii.gz")
    PluginManager.instance().discover()  # as a window does
    viewer = ViewerModel()
    (layer,) = viewer.open(tmp_path / "head.nii.gz", plugin="napari-sam2")
    np.testing.assert_array_equal(np.asarray(layer.data), volume.T)
    assert layer.axis_labels == ("z", "y", "x")
    assert layer.source.path == str(tmp_path / "head.nii.gz")
    viewer.dims.set_point(0, 3)
    np.testing.assert_array_equal(layer._slice.image.view, volume.T[3])


@pytest.mark.parametrize("path", ["a.tif", "a.nii.txt", ["a.nii", "b.nii"], "a.zarr"])
def test_other_files_are_left_to_others(path):
    assert get_reader(path) is None
