"""Channels along an axis of one layer, composed for the model."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image
from napari.utils.notifications import notification_manager

from napari_sam2.prompts import read_session
from napari_sam2.stack import open_stack
from napari_sam2.widgets.layers.image_axes import channel_axis, image_source_of, nameless_sliders
from napari_sam2.widgets.stack_panel import ImagePanel, StackPanel
from napari_sam2.widgets.state.image_source import ChannelChoice
from napari_sam2.widgets.state.session_spec import Through

TCZYX = ("t", "c", "z", "y", "x")


@pytest.fixture
def cells(blobs):
    """Two time points of four z slices: one square in channel 0, a dim one in channel 2."""
    squares = blobs((2, 4, 40, 50))
    image = np.zeros((2, 3, 4, 40, 50), np.uint16)
    image[:, 0, ..., :20, :] = squares[..., :20, :]
    image[:, 2, ..., 20:, :] = squares[..., 20:, :] // 100
    return image


@pytest.fixture
def panel(make_panel, cells):
    panel = make_panel(cells, axis_labels=TCZYX, scale=(1, 1, 4, 0.5, 0.5))
    panel.choose_axis(2)
    return panel


@pytest.fixture
def composed(panel):
    """Channels 0 and 2 composed, the work begun."""
    panel.choose_channel(1, 0)
    panel.choose_channel(2, 2)
    panel.viewer.dims.set_current_step((0, 1, 2), (0, 1, 0))
    panel.start()
    panel.wait_idle()
    return panel


def click(panel, *pixel) -> None:
    panel.click(*pixel)
    panel.wait_idle()


@pytest.mark.parametrize(
    ("shape", "names", "expected"),
    [
        ((3, 40, 50), ("c", "y", "x"), 0),
        ((9, 12, 40, 50), ("z", "channel", "y", "x"), 1),
        ((3, 9, 40, 50), ("t", "z", "y", "x"), None),
        ((20, 2, 9, 40, 50), None, None),
        ((1, 40, 50), ("c", "y", "x"), None),
        ((40, 50), None, None),
    ],
)
def test_channel_axis_is_recognized_by_its_name(shape, names, expected):
    assert channel_axis(Image(np.zeros(shape, np.uint8), axis_labels=names)) == expected


@pytest.mark.parametrize(
    ("shape", "names", "expected"),
    [
        ((5, 40, 50), None, [0]),
        ((20, 2, 9, 40, 50), None, [1]),
        ((4, 3, 40, 50), None, [0, 1]),
        ((5, 40, 50), ("z", "y", "x"), []),
        ((4, 3, 40, 50), ("-4", "-3", "y", "x"), [0, 1]),
        ((4, 3, 40, 50), ("t", "-3", "y", "x"), []),
        ((7, 40, 50), None, []),
        ((1, 3, 40, 50), None, [1]),
        ((40, 50), None, []),
    ],
)
def test_short_unnamed_axes_may_be_channels(shape, names, expected):
    image = Image(np.zeros(shape, np.uint8), axis_labels=names)
    assert [axis for _name, axis in nameless_sliders(image)] == expected


def test_rgb_image_has_no_channel_axis():
    assert channel_axis(Image(np.zeros((5, 40, 50, 3), np.uint8), rgb=True)) is None


def test_model_gets_the_channel_in_view_by_default(panel, script):
    assert panel.channels_offered(1) == ["the one in view", "channel 0", "channel 1", "channel 2"]
    assert not panel.shows_channel_box(2)
    panel.viewer.dims.set_current_step((0, 1, 2), (0, 2, 0))
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].stack().n_channels == 1
    assert dict(script.opened[-1].stack().at) == {0: 0, 1: 2}


def test_layer_without_channels_offers_no_channels(make_panel, blobs):
    panel = make_panel(blobs((20, 40, 50)))
    assert not panel.shows_channel_box(1)
    assert not panel.shows_channel_axis_box


def test_short_unnamed_stack_is_taken_as_slices(make_panel, blobs, script):
    panel = make_panel(blobs((5, 40, 50)))
    assert panel.chosen_axis == 0
    assert not panel.shows_channel_box(1), "nobody said that these are channels"
    assert not any(panel.shows_channel_box(place) for place in (2, 3))
    assert panel.chosen_channel_axis is None
    assert panel.channel_axes_offered == ["slices or frames", "axis 0 (slider -3): channels"]
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].stack().shape == (5, 40, 50)


@pytest.mark.parametrize("kind", [StackPanel, ImagePanel])
def test_user_can_declare_a_channel_axis(make_panel, blobs, script, kind):
    panel = make_panel(blobs((5, 40, 50)), kind=kind)
    panel.choose_channel_axis(0)
    assert panel.shows_channel_box(1)
    assert panel.channels_offered(1)[1:] == [f"channel {i}" for i in range(5)]
    assert (panel.chosen_channel(1), *panel.further_channels) == (0, 1, 2)
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].stack().channels == (0, 1, 2)
    click(panel, 1, 8, 8)
    assert panel.labels.shape == (1, 40, 50)
    panel.choose_channel(1, None)
    assert panel.shows_channel_box(1), "they are channels still"
    panel.choose_channel_axis(None)
    assert not panel.shows_channel_box(1)
    assert panel.chosen_source.picked is None


def test_first_axis_can_be_the_channel_axis(make_panel, blobs):
    panel = make_panel(blobs((2, 4, 40, 50)))
    panel.choose_channel_axis(0)
    assert panel.chosen_source.picked == (0, 1)
    assert panel.chosen_axis == 1
    panel.choose_channel_axis(1)
    assert panel.chosen_source.composed == 1
    assert panel.chosen_axis == 0


def test_up_to_three_channels_are_composed_each_once(panel):
    panel.choose_channel(1, 2)
    assert panel.channels_offered(2) == ["none", "channel 0", "channel 1"]
    panel.choose_channel(2, 1)
    panel.choose_channel(3, 0)
    picked = panel.chosen_source.picked
    assert picked == (2, 1, 0)
    panel.choose_channel(3, 1)
    assert panel.chosen_source.picked == (2, 1)
    panel.choose_channel(1, 1)
    assert panel.chosen_source.picked == (1,)
    panel.choose_channel(1, None)
    assert panel.chosen_source.picked is None


def test_each_channel_has_its_own_contrast(composed, script):
    frame = script.opened[-1].stack().read(0)
    assert frame.shape == (40, 50, 3)
    np.testing.assert_allclose(frame[5:15, 5:15, 0], 1)
    np.testing.assert_allclose(frame[22:34, 25:38, 1], 1)
    assert not frame[..., 2].any()


def test_labels_and_points_are_visible_in_every_channel(composed, cells):
    viewer = composed.viewer
    steps = viewer.dims.nsteps
    click(composed, 0, 1, 0, 8, 8)
    assert composed.labels.shape == (2, 1, 4, 40, 50)
    assert (composed.labels[0, 0, 0] == 1).sum() == 100
    assert viewer.dims.nsteps == steps, "the sliders are those of the image"
    for channel in range(3):
        viewer.dims.set_current_step(1, channel)
        where = composed.image_layer.data_to_world((0, channel, 0, 8, 8))
        assert composed.labels_layer.get_value(where, world=True) == 1
        assert composed.points_layer.get_value(where, world=True) == 0, "the first point"
        assert (composed.stack_in_view, composed.frame) == (((0, 0), (1, 0)), 0)


def test_clicks_in_any_channel_are_prompts_of_one_stack(composed):
    for channel in (0, 2):
        composed.viewer.dims.set_current_step(1, channel)
        click(composed, 0, channel, 0, 8, 8 + channel)
    prompts = composed.prompts
    assert list(prompts.by_position) == [((0, 0), (1, 0))]
    ((prompt,),) = prompts.by_position.values()
    np.testing.assert_allclose(prompt.prompt.points, [(8, 8), (8, 10)])
    assert prompts.ignored == ()


def test_boxes_and_strokes_in_any_channel_are_prompts(composed, script):
    composed.viewer.dims.set_current_step(1, 2)
    composed.draw_box((0, 2, 0, 4, 4), (0, 2, 0, 16, 16))
    composed.wait_idle()
    assert script.told[-1][0] == "box"
    composed.next_object()
    composed.paint((0, 2, 0, 30, 10), size=5)
    composed.wait_idle()
    assert composed.labels[0, 0, 0, 30, 10] == 2
    assert script.told[-1][:3] == ("mask", 2, 0)
    composed.undo()
    composed.wait_idle()
    assert not (composed.labels == 2).any()


def test_propagation_continues_through_time_with_channels(composed):
    click(composed, 0, 1, 0, 8, 8)
    ways = composed.next_volumes_offered
    assert [way for way in ways if "forward" in way] == ["on forward through t"]
    composed.choose_next_volume(Through(0, 1))
    notification_manager.records.clear()
    composed.propagate("forward")
    composed.wait_idle()
    assert (composed.labels[1, 0] == 1).any()
    assert notification_manager.records == []


def test_channel_axis_is_not_offered_as_video_axis(make_panel, blobs):
    panel = make_panel(blobs((3, 40, 50)), axis_labels=("c", "y", "x"))
    assert panel.chosen_axis == 0
    panel.choose_channel(1, 0)
    assert panel.axes_offered == ["none: a single image"]
    panel.start()
    panel.wait_idle()
    click(panel, 1, 8, 8)
    assert panel.labels.shape == (1, 40, 50)
    assert (panel.labels == 1).sum() == 100
    panel.choose_channel(1, None)
    panel.wait_idle()
    assert panel.chosen_axis == 0
    assert panel.labels.shape == (3, 40, 50)


def test_labels_of_composed_channels_stay_when_one_channel_is_chosen(composed):
    click(composed, 0, 1, 0, 8, 8)
    before = composed.labels_layer
    composed.choose_channel(1, None)
    assert composed.labels_layer is before, "at the next restart"
    composed.start()
    composed.wait_idle()
    assert composed.labels.shape == composed.image_layer.data.shape
    assert (before.data[0, 0, 0] == 1).sum() == 100
    composed.choose_channel(1, 0)
    composed.start()
    composed.wait_idle()
    assert composed.labels_layer is before, "they are taken up again"
    assert composed.prompted_objects == {1}


def test_resumed_session_has_its_channels(composed, sessions, make_panel, cells, qtbot, script):
    click(composed, 0, 1, 0, 8, 8)
    composed.close()
    (path,) = sessions.iterdir()
    saved = read_session(path)  # of one stack: the slider of the channels makes no difference
    assert (saved.settings["channel_axis"], saved.channels) == (1, (0, 2))
    assert dict(saved.at) == {0: 0}
    panel = make_panel(cells, axis_labels=TCZYX, scale=(1, 1, 4, 0.5, 0.5))
    qtbot.waitUntil(lambda: panel.offers_to_resume)
    panel.resume()
    panel.wait_idle()
    assert panel.chosen_channel(1) == 0
    assert panel.further_channels == (2,)
    assert panel.chosen_axis == 2
    assert script.opened[-1].stack().channels == (0, 2)
    assert (panel.labels[0, 0, 0] == 1).sum() == 100


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif", "a.ome.zarr"])
def test_labels_are_saved_once_for_all_channels(composed, tmp_path, name):
    click(composed, 0, 1, 0, 8, 8)
    notification_manager.records.clear()
    composed.save_labels(tmp_path / name)
    composed.wait_idle()
    assert [note.severity.name for note in notification_manager.records] == ["INFO"]
    opened = open_stack(tmp_path / name)
    sizes = dict(zip(opened.axes, opened.data.shape, strict=True))
    assert sizes | {"C": sizes.get("C", 1)} == {"T": 2, "C": 1, "Z": 4, "Y": 40, "X": 50}
    assert (np.asarray(opened.data[:]) == 1).sum() == 100
    # The layer has no units, and a TIFF could only claim micrometres.
    assert opened.scale[-3:] == ((4, 0.5, 0.5) if name.endswith(".zarr") else (1, 1, 1))


def test_sources_with_other_channels_differ(cells):
    image = Image(cells)
    sight = image_source_of(image, picked=ChannelChoice(1, (0, 2)))
    assert sight.same_as(image_source_of(image, picked=ChannelChoice(1, (0, 2))))
    assert not sight.same_as(image_source_of(image, picked=ChannelChoice(1, (2, 0))))
    assert not sight.same_as(image_source_of(image))
