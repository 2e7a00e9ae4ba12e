"""The layers that a panel adds lie over the image, have fixed colours and are reused."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.errors import LabelsError
from napari_sam2.labels import colour_of
from napari_sam2.widgets.layers import factory
from napari_sam2.widgets.layers.factory import find_or_add


@pytest.fixture
def viewer():
    return ViewerModel()


def test_layers_lie_over_the_image(viewer):
    image = viewer.add_image(
        np.zeros((3, 4, 20, 30)),
        scale=(1, 5, 0.5, 0.25),
        translate=(0, 1, 2, 3),
        rotate=10,
        axis_labels=("t", "z", "y", "x"),
        units=("s", "um", "um", "um"),
    )
    labels, boxes, points = find_or_add(viewer, image)
    assert labels.data.shape == (3, 4, 20, 30)
    corner = np.array([2.0, 3, 19, 29])
    for layer in (labels, boxes, points):
        assert np.allclose(layer.data_to_world(corner), image.data_to_world(corner))
        assert layer.axis_labels == image.axis_labels
        assert layer.units == image.units
    assert list(viewer.layers) == [image, labels, boxes, points]


def test_layers_are_reused_even_when_renamed(viewer):
    image = viewer.add_image(np.zeros((3, 20, 30)))
    first = find_or_add(viewer, image)
    first[0].name = "my labels"
    image.name = "my image"
    assert find_or_add(viewer, image) == first
    other = viewer.add_image(np.zeros((3, 20, 30)))
    assert not set(find_or_add(viewer, other)) & set(first)


def test_labels_of_another_shape_are_not_reused(viewer):
    image = viewer.add_image(np.zeros((3, 20, 30)))
    labels, *_ = find_or_add(viewer, image)
    labels.data = np.zeros((5, 20, 30), np.uint8)
    again, *_ = find_or_add(viewer, image)
    assert again is not labels
    assert again.data.shape == (3, 20, 30)


def test_fitting_labels_are_found_behind_others(viewer):
    image = viewer.add_image(np.zeros((3, 20, 30)))
    former, *_ = find_or_add(viewer, image)
    image.data = np.zeros((4, 20, 30))
    fitting = find_or_add(viewer, image)
    assert former not in fitting
    assert find_or_add(viewer, image) == fitting
    image.data = np.zeros((3, 20, 30))
    assert find_or_add(viewer, image)[0] is former


@pytest.mark.parametrize("object_id", [1, 2, 7, 14, 15, 100])
def test_labels_have_the_colours_of_overlays(viewer, object_id):
    image = viewer.add_image(np.zeros((3, 20, 30)))
    labels, *_ = find_or_add(viewer, image)
    colour = labels.get_color(object_id)
    assert np.allclose(colour[:3] * 255, colour_of(object_id), atol=1)


def test_layers_fit_an_rgb_pyramid(viewer):
    levels = [np.zeros((3, 40, 60, 3), np.uint8), np.zeros((3, 20, 30, 3), np.uint8)]
    image = viewer.add_image(levels, multiscale=True, rgb=True)
    labels, boxes, points = find_or_add(viewer, image)
    assert labels.data.shape == (3, 40, 60)
    assert (boxes.ndim, points.ndim) == (3, 3)


def test_labels_too_large_for_memory_are_refused_with_their_size(viewer, monkeypatch):
    image = viewer.add_image(np.zeros((3, 20, 30)))

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(factory.np, "zeros", full)
    with pytest.raises(LabelsError, match="GB"):
        find_or_add(viewer, image)
    assert list(viewer.layers) == [image]
