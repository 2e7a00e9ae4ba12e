"""The samples in napari's menu: layer data with a name, a scale and axes."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_sam2.samples import dividing_cells, nuclei_stack
from napari_sam2.widgets import sample_data
from napari_sam2.widgets.layers.image_axes import guess_video_axis, video_axes

SMALL = {
    "nuclei_stack": nuclei_stack(shape=(6, 64, 64)),
    "dividing_cells": dividing_cells(shape=(6, 64, 64)),
}


@pytest.fixture(autouse=True)
def _small_samples(monkeypatch):
    for name, sample in SMALL.items():
        monkeypatch.setattr(sample_data, name, lambda sample=sample: sample)


@pytest.mark.parametrize(
    ("open_sample", "name", "axis"),
    [
        (sample_data.nuclei, "nuclei_stack", "z"),
        (sample_data.cells, "dividing_cells", "t"),
    ],
)
def test_sample_is_an_image_layer_with_names_and_scale(open_sample, name, axis):
    ((data, settings, kind),) = open_sample()
    assert kind == "image"
    assert data is SMALL[name].image
    layer = Image(data, **settings)
    assert layer.axis_labels == (axis, "y", "x")
    assert guess_video_axis(layer) == 0
    assert video_axes(layer)[0][0].startswith(f"{axis}, axis 0 (6 ")
    assert np.allclose(layer.scale[1:], SMALL[name].scale[1:])
    assert layer.name
    low, high = layer.contrast_limits
    assert data.min() <= low < high <= data.max()


def test_depth_is_a_length_and_time_is_counted_in_frames():
    assert sample_data.nuclei()[0][1]["scale"][0] == SMALL["nuclei_stack"].scale[0]
    assert sample_data.cells()[0][1]["scale"][0] == 1
