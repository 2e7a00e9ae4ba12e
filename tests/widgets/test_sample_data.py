"""The samples in napari's menu: layer data with a name, a scale and axes."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_sam2.samples import dividing_cells, nuclei_stack
from napari_sam2.widgets.image_choice import guess_video_axis, video_axes
from napari_sam2.widgets.sample_data import cells, nuclei


@pytest.mark.parametrize(("open_sample", "axis"), [(nuclei, "z"), (cells, "t")])
def test_sample_is_an_image_layer_with_names_and_scale(open_sample, axis):
    ((data, settings, kind),) = open_sample()
    assert kind == "image"
    layer = Image(data, **settings)
    assert layer.axis_labels == (axis, "y", "x")
    assert guess_video_axis(layer) == 0
    assert video_axes(layer)[0][0].startswith(f"{axis} (")
    assert (np.asarray(layer.scale) > 0).all()
    assert layer.name


def test_samples_are_those_of_the_package():
    assert np.array_equal(nuclei()[0][0], nuclei_stack().image)
    assert np.array_equal(cells()[0][0], dividing_cells().image)


def test_time_is_counted_in_frames():
    assert cells()[0][1]["scale"][0] == 1
