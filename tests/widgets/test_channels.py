"""Channels along a slider of one layer, composed to what the model sees."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image
from napari.utils.notifications import notification_manager

from napari_sam2.prompts import read_session
from napari_sam2.stack import open_stack
from napari_sam2.widgets.image_choice import channel_axis, nameless_sliders
from napari_sam2.widgets.image_panel import ImagePanel
from napari_sam2.widgets.looking import look
from napari_sam2.widgets.sight import Picked
from napari_sam2.widgets.stack_panel import StackPanel

TCZYX = ("t", "c", "z", "y", "x")


def choose(combo, value) -> None:
    """Choose an item as the user does."""
    combo.choose(value)
    combo.activated.emit(combo.currentIndex())


def texts(combo) -> list[str]:
    return [combo.itemText(i) for i in range(combo.count())]


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
    choose(panel.stack.axes, 2)
    return panel


@pytest.fixture
def composed(panel, settled):
    """Channels 0 and 2 composed, the work begun."""
    choose(panel.stack.sight.first, 0)
    choose(panel.stack.sight.second, 2)
    panel.viewer.dims.set_current_step((0, 1, 2), (0, 1, 0))
    panel.start.click()
    settled(panel)
    return panel


def click(panel, settled, mouse, *pixel) -> None:
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [workspace.image.data_to_world(pixel)])
    settled(panel)


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
def test_the_slider_of_the_channels_is_known_by_its_name(shape, names, expected):
    assert channel_axis(Image(np.zeros(shape, np.uint8), axis_labels=names)) == expected


@pytest.mark.parametrize(
    ("shape", "names", "expected"),
    [
        ((5, 40, 50), None, [0]),
        ((20, 2, 9, 40, 50), None, [1]),
        ((4, 3, 40, 50), None, [0, 1]),
        ((5, 40, 50), ("z", "y", "x"), []),
        ((7, 40, 50), None, []),
        ((1, 3, 40, 50), None, [1]),
        ((40, 50), None, []),
    ],
)
def test_short_sliders_without_a_name_are_asked_about(shape, names, expected):
    image = Image(np.zeros(shape, np.uint8), axis_labels=names)
    assert [axis for _name, axis in nameless_sliders(image)] == expected


def test_colours_are_no_channels_to_choose():
    assert channel_axis(Image(np.zeros((5, 40, 50, 3), np.uint8), rgb=True)) is None


def test_the_channel_in_view_is_seen_unless_others_are_chosen(panel, settled, script):
    box = panel.stack.sight
    assert texts(box.first) == ["the one in view", "channel 0", "channel 1", "channel 2"]
    assert box._channels[0].isHidden()
    panel.viewer.dims.set_current_step((0, 1, 2), (0, 2, 0))
    panel.start.click()
    settled(panel)
    assert script.opened[-1].stack().n_channels == 1
    assert dict(script.opened[-1].stack().at) == {0: 0, 1: 2}


def test_a_layer_without_channels_offers_none(make_panel, blobs):
    box = make_panel(blobs((20, 40, 50))).stack.sight
    assert box._own.isHidden()
    assert box._sliders.isHidden()


def test_a_short_stack_without_names_is_one_of_slices(make_panel, blobs, settled, mouse, script):
    panel = make_panel(blobs((5, 40, 50)))
    box = panel.stack.sight
    assert panel.stack.axes.value == 0
    assert box._own.isHidden(), "nobody said that these are channels"
    assert all(channel.isHidden() for channel in box._channels)
    assert (box.sliders.value, texts(box.sliders)) == (
        None,
        ["slices or frames", "axis 0: channels"],
    )
    panel.start.click()
    settled(panel)
    assert script.opened[-1].stack().shape == (5, 40, 50)


@pytest.mark.parametrize("kind", [StackPanel, ImagePanel])
def test_the_user_can_say_that_a_slider_holds_channels(
    make_panel, blobs, settled, mouse, script, kind
):
    panel = make_panel(blobs((5, 40, 50)), kind=kind)
    box = panel.stack.sight
    choose(box.sliders, 0)
    assert not box._own.isHidden()
    assert texts(box.first)[1:] == [f"channel {i}" for i in range(5)]
    assert (box.first.value, *box.further) == (0, 1, 2)
    panel.start.click()
    settled(panel)
    assert script.opened[-1].stack().channels == (0, 1, 2)
    click(panel, settled, mouse, 1, 8, 8)
    assert panel.coordinator.workspace.labels.data.shape == (1, 40, 50)
    choose(box.first, None)
    assert not box._own.isHidden(), "they are channels still"
    choose(box.sliders, None)
    assert box._own.isHidden()
    assert panel.coordinator._images.sights.sight().picked is None


def test_two_channels_that_are_the_slower_slider(make_panel, blobs):
    panel = make_panel(blobs((2, 4, 40, 50)))
    choose(panel.stack.sight.sliders, 0)
    assert panel.coordinator._images.sights.sight().picked == (0, 1)
    assert panel.stack.axes.value == 1
    choose(panel.stack.sight.sliders, 1)
    assert panel.coordinator._images.sights.sight().composed == 1
    assert panel.stack.axes.value == 0


def test_up_to_three_are_composed_each_once(panel):
    box = panel.stack.sight
    choose(box.first, 2)
    assert texts(box.second) == ["none", "channel 0", "channel 1"]
    choose(box.second, 1)
    choose(box.third, 0)
    picked = panel.coordinator._images.sights.sight().picked
    assert picked == (2, 1, 0)
    choose(box.third, 1)
    assert panel.coordinator._images.sights.sight().picked == (2, 1)
    choose(box.first, 1)
    assert panel.coordinator._images.sights.sight().picked == (1,)
    choose(box.first, None)
    assert panel.coordinator._images.sights.sight().picked is None


def test_each_has_its_own_contrast(composed, script):
    frame = script.opened[-1].stack().read(0)
    assert frame.shape == (40, 50, 3)
    np.testing.assert_allclose(frame[5:15, 5:15, 0], 1)
    np.testing.assert_allclose(frame[22:34, 25:38, 1], 1)
    assert not frame[..., 2].any()


def test_labels_and_points_are_seen_in_every_channel(composed, settled, mouse, cells):
    viewer, workspace = composed.viewer, composed.coordinator.workspace
    steps = viewer.dims.nsteps
    click(composed, settled, mouse, 0, 1, 0, 8, 8)
    assert workspace.labels.data.shape == (2, 1, 4, 40, 50)
    assert (workspace.labels.data[0, 0, 0] == 1).sum() == 100
    assert viewer.dims.nsteps == steps, "the sliders are those of the image"
    for channel in range(3):
        viewer.dims.set_current_step(1, channel)
        where = workspace.image.data_to_world((0, channel, 0, 8, 8))
        assert workspace.labels.get_value(where, world=True) == 1
        assert workspace.points.get_value(where, world=True) == 0, "the first point"
        assert workspace.here() == (((0, 0), (1, 0)), 0)


def test_clicks_in_any_channel_are_prompts_of_one_stack(composed, settled, mouse):
    for channel in (0, 2):
        composed.viewer.dims.set_current_step(1, channel)
        click(composed, settled, mouse, 0, channel, 0, 8, 8 + channel)
    prompts = composed.coordinator.dialogue.prompts
    assert list(prompts.by_place) == [((0, 0), (1, 0))]
    ((prompt,),) = prompts.by_place.values()
    np.testing.assert_allclose(prompt.prompt.points, [(8, 8), (8, 10)])
    assert prompts.ignored == 0


def test_boxes_and_strokes_go_the_same_way(composed, settled, mouse, script):
    workspace = composed.coordinator.workspace
    composed.viewer.dims.set_current_step(1, 2)

    def world(*pixel):
        return workspace.image.data_to_world(pixel)

    composed.prompts.tool_buttons["boxes"].click()
    mouse(composed.viewer, workspace.shapes, [world(0, 2, 0, 4, 4), world(0, 2, 0, 16, 16)])
    settled(composed)
    assert script.told[-1][0] == "box"
    composed.prompts.next_object.click()
    composed.prompts.tool_buttons["brush"].click()
    workspace.labels.brush_size = 5
    mouse(composed.viewer, workspace.labels, [world(0, 2, 0, 30, 10)])
    settled(composed)
    assert workspace.labels.data[0, 0, 0, 30, 10] == 2
    assert script.told[-1][:3] == ("mask", 2, 0)
    composed.history.undo.click()
    settled(composed)
    assert not (workspace.labels.data == 2).any()


def test_volumes_over_time_go_on(composed, settled, mouse):
    click(composed, settled, mouse, 0, 1, 0, 8, 8)
    ways = [composed.run.then.itemText(i) for i in range(composed.run.then.count())]
    assert [way for way in ways if "forward" in way] == ["on forward through t"]
    composed.run.then.setCurrentIndex(1)
    notification_manager.records.clear()
    composed.run.forward.click()
    settled(composed)
    assert (composed.coordinator.workspace.labels.data[1, 0] == 1).any()
    assert notification_manager.records == []


def test_the_video_gives_way_to_the_channels(make_panel, blobs, settled, mouse):
    panel = make_panel(blobs((3, 40, 50)), axis_labels=("c", "y", "x"))
    assert panel.stack.axes.value == 0
    choose(panel.stack.sight.first, 0)
    assert texts(panel.stack.axes) == ["none: a single image"]
    panel.start.click()
    settled(panel)
    click(panel, settled, mouse, 1, 8, 8)
    assert panel.coordinator.workspace.labels.data.shape == (1, 40, 50)
    assert (panel.coordinator.workspace.labels.data == 1).sum() == 100
    choose(panel.stack.sight.first, None)
    settled(panel)
    assert panel.stack.axes.value == 0
    assert panel.coordinator.workspace.labels.data.shape == (3, 40, 50)


def test_back_to_one_channel_leaves_the_labels_of_all(composed, settled, mouse):
    click(composed, settled, mouse, 0, 1, 0, 8, 8)
    before = composed.coordinator.workspace.labels
    choose(composed.stack.sight.first, None)
    assert composed.coordinator.workspace.labels is before, "at the next restart"
    composed.start.click()
    settled(composed)
    workspace = composed.coordinator.workspace
    assert workspace.labels.data.shape == workspace.image.data.shape
    assert (before.data[0, 0, 0] == 1).sum() == 100
    choose(composed.stack.sight.first, 0)
    composed.start.click()
    settled(composed)
    assert composed.coordinator.workspace.labels is before, "they are taken up again"
    assert composed.coordinator.dialogue.prompts.object_ids == {1}


def test_the_session_comes_back_with_its_channels(
    composed, settled, mouse, sessions, make_panel, cells, qtbot, script
):
    click(composed, settled, mouse, 0, 1, 0, 8, 8)
    composed.coordinator.close()
    (path,) = sessions.iterdir()
    assert path.name.endswith(".0=0.sam2.json"), "the slider of the channels makes no difference"
    saved = read_session(path)
    assert (saved.settings["channel_axis"], saved.channels) == (1, (0, 2))
    assert dict(saved.at) == {0: 0}
    panel = make_panel(cells, axis_labels=TCZYX, scale=(1, 1, 4, 0.5, 0.5))
    qtbot.waitUntil(lambda: not panel.offer.isHidden())
    panel.offer.resume.click()
    settled(panel)
    assert panel.stack.sight.first.value == 0
    assert panel.stack.sight.further == (2,)
    assert panel.stack.axes.value == 2
    assert script.opened[-1].stack().channels == (0, 2)
    assert (panel.coordinator.workspace.labels.data[0, 0, 0] == 1).sum() == 100


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif", "a.ome.zarr"])
def test_labels_are_saved_once_for_all_channels(composed, settled, mouse, tmp_path, name):
    click(composed, settled, mouse, 0, 1, 0, 8, 8)
    notification_manager.records.clear()
    composed.save.labels_requested.emit(tmp_path / name)
    settled(composed)
    assert [note.severity.name for note in notification_manager.records] == ["INFO"]
    opened = open_stack(tmp_path / name)
    sizes = dict(zip(opened.axes, opened.data.shape, strict=True))
    assert sizes | {"C": sizes.get("C", 1)} == {"T": 2, "C": 1, "Z": 4, "Y": 40, "X": 50}
    assert (np.asarray(opened.data[:]) == 1).sum() == 100
    assert opened.scale[-3:] == (4, 0.5, 0.5)


def test_looks_are_told_apart_by_their_channels(cells):
    image = Image(cells)
    sight = look(image, picked=Picked(1, (0, 2)))
    assert sight.same_as(look(image, picked=Picked(1, (0, 2))))
    assert not sight.same_as(look(image, picked=Picked(1, (2, 0))))
    assert not sight.same_as(look(image))
