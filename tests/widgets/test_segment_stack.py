"""`segment_stack`: layers in, a Labels layer out, in a script that has no window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes
from scipy import ndimage

from napari_sam2 import TrackingSession, load_model
from napari_sam2.errors import PromptError, SessionError, StackError
from napari_sam2.samples import nuclei_stack
from napari_sam2.stack import FrameStack
from napari_sam2.types import Speed
from napari_sam2.widgets.segment_stack import segment_stack


@pytest.fixture
def doubled(monkeypatch, script):
    """`segment_stack` on the double of a session."""
    monkeypatch.setattr("napari_sam2.widgets.segment_stack.SessionFactory", lambda: script.open)
    return segment_stack


@pytest.fixture
def image(blobs):
    return Image(
        blobs(), name="blobs", contrast_limits=(0, 1000), scale=(4, 0.5, 0.5), translate=(1, 2, 3)
    )


def test_segment_stack_and_session_give_the_same_labels():
    sample = nuclei_stack(shape=(4, 96, 96))
    image = Image(sample.image, scale=sample.scale, contrast_limits=(0, 4000))
    sizes = np.bincount(sample.labels[1].ravel())
    sizes[0] = 0
    nucleus = sample.labels[1] == sizes.argmax()
    y, x = np.unravel_index(ndimage.distance_transform_edt(nucleus).argmax(), nucleus.shape)
    points = Points([image.data_to_world((1, y, x))], ndim=3)

    layer = segment_stack(image, points, device="cpu")

    stack = FrameStack(sample.image, 0, channel_axis=None, contrast=(0, 4000))
    session = TrackingSession(load_model("bundled", "cpu"), stack)
    session.add_points(1, 1, [(y, x)])
    for _ in session.propagate():
        pass
    assert session.labels[1].any()
    assert np.array_equal(layer.data, session.labels)


def test_points_without_ids_are_objects_of_their_own(doubled, image):
    layer = doubled(image, Points([(0, 8, 8), (0, 25, 30)], scale=image.scale, translate=(1, 2, 3)))
    assert isinstance(layer, Labels)
    assert (layer.data[0] == 1).sum() == 100
    assert (layer.data[0] == 2).sum() == 12 * 13
    assert (layer.data > 0).any(axis=(1, 2)).all(), "they are followed to the last frame"


def test_layer_lies_over_the_image(doubled, image):
    layer = doubled(image, Points([(0, 8, 8)], scale=image.scale, translate=(1, 2, 3)))
    assert layer.name == "blobs · SAM 2"
    position = (3, 10, 20)
    assert np.array_equal(layer.data_to_world(position), image.data_to_world(position))


def test_speed_reaches_the_session_and_the_layer_metadata(doubled, image, script):
    points = Points([(0, 8, 8)], scale=image.scale, translate=(1, 2, 3))
    layer = doubled(image, points, speed="fastest")
    assert layer.name == "blobs · SAM 2, fastest"
    assert [spec.use.speed for spec in script.opened] == [Speed.FASTEST]


def test_precision_reaches_the_session(doubled, image, script):
    points = Points([(0, 8, 8)], scale=image.scale, translate=(1, 2, 3))
    doubled(image, points)
    doubled(image, points, precision="bfloat16")
    assert [spec.use.precision for spec in script.opened] == ["auto", "bfloat16"]


def test_unknown_precision_is_refused(image):
    points = Points([(0, 8, 8)], scale=image.scale, translate=(1, 2, 3))
    with pytest.raises(SessionError, match="half"):
        segment_stack(image, points, device="cpu", precision="half")


def test_points_with_ids_belong_to_these_objects(doubled, image, script):
    features = {"object": [5, 5, 9], "positive": [True, False, True]}
    points = Points(
        [image.data_to_world(p) for p in [(0, 8, 8), (0, 1, 1), (2, 25, 30)]], features=features
    )
    layer = doubled(image, points)
    asked = [step for step in script.told if step[0] == "points"]
    assert asked[0][1:] == (5, 0, ((8.0, 8.0), (1.0, 1.0)), (True, False))
    assert set(np.unique(layer.data)) <= {0, 5, 9}
    assert (layer.data == 9).any()


def test_boxes_get_ids_behind_those_of_points_and_labels(doubled, blobs, script):
    image = Image(blobs(), contrast_limits=(0, 1000))
    given = np.zeros((6, 40, 50), int)
    given[4, 2:6, 40:46] = 3
    box = [(0, 20, 23), (0, 20, 40), (0, 36, 40), (0, 36, 23)]
    doubled(image, Points([(0, 8, 8)]), Shapes([box], shape_type="rectangle"), Labels(given))
    assert ("mask", 3, 4, 24) in script.told
    assert [step[1] for step in script.told if step[0] == "points"] == [4]
    assert [step[1:3] for step in script.told if step[0] == "box"] == [(5, 0)]


def test_unreadable_frames_are_reported(doubled, blobs):
    data = blobs().astype(np.float32)
    data[2] = np.inf
    with pytest.warns(UserWarning, match="A frame was skipped: Frame 2 holds no finite pixel"):
        layer = doubled(Image(data, contrast_limits=(0, 1000)), Points([(0, 8, 8)], ndim=3))
    assert layer.data.any(axis=(1, 2)).tolist()[:4] == [True, True, False, True]


def test_labels_of_one_plane_belong_to_the_first_frame(doubled, blobs, script):
    plane = np.zeros((40, 50), int)
    plane[5:15, 5:15] = 7
    layer = doubled(Image(blobs(), contrast_limits=(0, 1000)), labels=Labels(plane))
    assert [step for step in script.told if step[0] == "mask"] == [("mask", 7, 0, 100)]
    assert (layer.data[0] == 7).sum() == 100


def test_labels_of_another_scale_are_resampled_to_the_image(doubled, blobs, script):
    coarse = np.zeros((20, 25), int)
    coarse[4, 3] = 2
    image = Image(blobs(), contrast_limits=(0, 1000), scale=(1, 0.5, 0.5))
    # The corner pixel of the coarse layer covers two by two pixels of the image.
    doubled(image, labels=Labels(coarse, scale=(1, 1), translate=(0.25, 0.25)))
    assert [step for step in script.told if step[0] == "mask"] == [("mask", 2, 0, 4)]


def test_every_stack_with_prompts_is_segmented_separately(doubled, blobs):
    image = Image(blobs((3, 4, 40, 50)), contrast_limits=(0, 1000), axis_labels="tzyx")
    points = Points([(0, 1, 8, 8), (2, 0, 8, 8)])
    layer = doubled(image, points, axis=1)
    assert layer.data.shape == (3, 4, 40, 50)
    assert [set(np.unique(volume)) for volume in layer.data] == [{0, 1}, {0}, {0, 2}]


def test_single_rgb_image_is_segmented(doubled, blobs):
    grey = blobs((40, 50))
    colours = np.repeat((grey[..., None] / 4).astype(np.uint8), 3, axis=-1)
    layer = doubled(Image(colours, rgb=True), Points([(8, 8)]))
    assert layer.data.shape == (40, 50)
    assert (layer.data == 1).sum() == 100


def test_region_and_channels_reach_the_session(doubled, blobs, script):
    image = Image(blobs(), contrast_limits=(0, 1000), scale=(3, 2, 2), translate=(0, 5, 5))
    other = Image(blobs(), contrast_limits=(0, 900), scale=(3, 2, 2), translate=(0, 5, 5))
    points = Points([image.data_to_world((0, y, x)) for y, x in [(8, 12), (25, 30)]])
    given = np.zeros((6, 40, 50), int)
    given[1, 5:15, 6:16] = 7
    labels = Labels(given, scale=(3, 2, 2), translate=(0, 5, 5))
    layer = doubled(image, points, labels=labels, channels=[other], region=(3, 4, 20, 40))
    assert layer.data.shape == (6, 40, 50)
    assert [t[1:4] for t in script.told if t[0] == "points"] == [(8, 0, ((5.0, 8.0),))]
    assert [t for t in script.told if t[0] == "mask"] == [("mask", 7, 1, 100)]
    sight = script.opened[0].source
    assert sight.contrast == ((0, 1000), (0, 900))
    assert script.opened[0].stack().shape == (6, 17, 36)
    assert (layer.data[5] == 8).sum() == 100
    assert not layer.data[:, 20:].any()


@pytest.mark.parametrize("region", [(0, 0, 41, 50), (5, 5, 5, 9), "all"])
def test_impossible_region_is_refused(doubled, image, region):
    with pytest.raises(StackError, match="region"):
        doubled(image, Points([(0, 8, 8)]), region=region)


def test_channels_at_another_place_are_refused(doubled, image, blobs):
    with pytest.raises(StackError, match="cannot be another channel"):
        doubled(image, Points([(0, 8, 8)]), channels=[Image(blobs(), name="elsewhere")])


def test_many_ids_get_a_wider_dtype(doubled, blobs):
    plane = np.zeros((40, 50), np.int64)
    plane[5:15, 5:15] = 70_000
    layer = doubled(Image(blobs(), contrast_limits=(0, 1000)), labels=Labels(plane))
    assert (layer.data[0] == 70_000).sum() == 100


@pytest.mark.parametrize("axis", [-1, 1, 7])
def test_impossible_axis_is_refused(doubled, image, axis):
    with pytest.raises(StackError, match="cannot be the video"):
        doubled(image, Points([(0, 8, 8)]), axis=axis)


def test_points_of_other_dimensions_are_refused(doubled, image):
    with pytest.raises(PromptError, match="2 dimensions"):
        doubled(image, Points([(8, 8)]))


@pytest.mark.parametrize("points", [None, Points(ndim=3), Points([(99, 8, 8)])])
def test_missing_prompts_are_an_error(doubled, image, points):
    with pytest.raises(PromptError, match="no prompt"):
        doubled(image, points)


def test_refused_prompts_are_reported_and_others_propagated(doubled, blobs):
    image = Image(blobs(), contrast_limits=(0, 1000))
    with pytest.warns(UserWarning, match="Unlucky"):
        layer = doubled(image, Points([(0, 8, 8), (0, 13, 13)]))
    assert (layer.data == 1).any()
    with pytest.raises(PromptError, match="Unlucky"):
        doubled(image, Points([(0, 13, 13)]))


def test_kind_is_what_the_axis_is_called_unless_it_is_given(doubled, blobs, script):
    image = Image(blobs(), axis_labels=("z", "y", "x"), contrast_limits=(0, 1000))
    points = Points([(0, 8, 8)])
    doubled(image, points)
    doubled(image, points, kind="time-lapse")
    assert [each.stack().kind for each in script.opened] == ["z-stack", "time-lapse"]
    with pytest.raises(StackError, match="kind of stack"):
        doubled(image, points, kind="volume")
