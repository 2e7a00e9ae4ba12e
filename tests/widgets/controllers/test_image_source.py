"""Channels, regions, and the preview of what the model sees."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.layers import Image
from napari.utils.notifications import notification_manager

from napari_sam2.prompts import read_session
from napari_sam2.types import Region
from napari_sam2.widgets.controllers.preview import small_picture
from napari_sam2.widgets.layers.image_axes import image_source_of, may_join
from napari_sam2.widgets.state import hints
from napari_sam2.widgets.worker.thread import THREAD_NAME


def draw_part(panel, y0, x0, y1, x1, lead=1) -> None:
    """Choose a rectangle by dragging one over pixels of an image that is placed anywhere."""
    panel.choose_part("rectangle")
    zero = (0,) * lead
    panel.draw_part((*zero, y0, x0), (*zero, y1, x1))
    panel.wait_idle()


# Channels.


def test_only_aligned_layers_are_offered_as_channels(make_panel, blobs):
    panel = make_panel(blobs(), scale=(2, 0.5, 0.5))
    viewer = panel.viewer
    viewer.add_image(blobs(), name="other place")
    viewer.add_image(blobs((5, 40, 50)), name="other size", scale=(2, 0.5, 0.5))
    viewer.add_image(np.zeros((6, 40, 50, 3), np.uint8), name="colours", scale=(2, 0.5, 0.5))
    fitting = viewer.add_image(blobs(), name="fits", scale=(2, 0.5, 0.5))
    panel.choose_image(viewer.layers["blobs"])
    assert panel.channels_offered(2) == ["none", "fits"]
    panel.unfold_preview()
    assert panel.shows_channel_box(2)
    panel.choose_channel(2, fitting)
    assert not panel.shows_channel_box(3), "there is no third one to choose"
    viewer.layers.remove("fits")
    assert panel.channels_offered(2) == ["none"]
    assert panel.further_channels == ()
    assert not panel.shows_channel_box(2)


def test_layer_channels_have_the_contrast_of_their_layers(make_panel, blobs, script):
    panel = make_panel(blobs())
    dim = panel.viewer.add_image(blobs() // 10, name="dim", contrast_limits=(0, 100))
    grey = panel.viewer.layers["blobs"]
    panel.choose_image(grey)
    panel.choose_channel(2, dim)
    panel.start()
    panel.wait_idle()
    frame = script.opened[-1].stack().read(0)
    expected = np.stack([blobs()[0] / 1000, (blobs()[0] // 10) / 100, np.zeros((40, 50))], axis=-1)
    np.testing.assert_allclose(frame, expected, atol=1e-6)
    dim.contrast_limits = (0, 50)
    np.testing.assert_allclose(script.opened[-1].stack().read(0), expected, atol=1e-6)
    panel.viewer.layers.remove(dim)
    assert panel.started
    panel.add_point(0, 8, 8)
    panel.wait_idle()
    assert (panel.labels[0] == 1).sum() == 100, "the session keeps what it sees"
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].stack().n_channels == 1


def test_replaced_channel_data_is_used_after_a_restart(make_panel, blobs, script):
    panel = make_panel(blobs())
    dim = panel.viewer.add_image(blobs() // 10, name="dim", contrast_limits=(0, 100))
    panel.choose_image(panel.viewer.layers["blobs"])
    panel.choose_channel(2, dim)
    panel.start()
    panel.wait_idle()
    assert panel.source.same_as(panel.chosen_source)
    dim.data = np.full_like(dim.data, 50)
    assert panel.started, "the session keeps what it sees"
    assert not panel.source.same_as(panel.chosen_source)
    panel.start()
    panel.wait_idle()
    np.testing.assert_allclose(script.opened[-1].stack().read(0)[..., 1], 0.5)
    dim.data = blobs((3, 40, 50))
    assert panel.further_channels == (), "it fits no longer"
    assert panel.chosen_source.channel_axis is None


@pytest.fixture
def two_channels(make_panel, blobs, qtbot):
    """``two_channels(name)``: a panel on an image, with another layer of this name over it."""

    def make(name: str, **options):
        panel = make_panel(blobs())
        layer = panel.viewer.add_image(blobs() // 10, name=name, **options)
        panel.choose_image(panel.viewer.layers["blobs"])
        qtbot.wait(20)  # what was found is told
        return panel, layer

    return make


def test_resumed_session_has_its_channel_layers_and_contrasts(two_channels, sessions, script):
    panel, dim = two_channels("dim", contrast_limits=(0, 100))
    panel.choose_channel(2, dim)
    panel.start()
    panel.wait_idle()
    panel.click(0, 8, 8)
    panel.wait_idle()
    seen = script.opened[-1].stack().read(0)
    panel.close()
    (path,) = sessions.iterdir()
    assert read_session(path).settings["layer_2"] == "dim"

    again, dim = two_channels("dim", contrast_limits=(0, 50))
    again.viewer.layers["blobs"].contrast_limits = (0, 5)
    again.resume()
    again.wait_idle()
    assert again.chosen_channel(2) is dim
    assert tuple(dim.contrast_limits) == (0, 100)
    np.testing.assert_array_equal(script.opened[-1].stack().read(0), seen)

    other, _ = two_channels("another")
    notification_manager.records.clear()
    other.resume()
    other.wait_idle()
    assert other.chosen_channel(2) is None
    assert "the layer dim" in notification_manager.records[0].message
    assert other.prompted_objects == {1}, "all else comes back"


def test_same_layer_cannot_be_two_channels(make_panel, blobs):
    panel = make_panel(blobs())
    other, another = (panel.viewer.add_image(blobs(), name=n) for n in ("other", "another"))
    panel.choose_image(panel.viewer.layers["blobs"])
    panel.choose_channel(2, other)
    panel.choose_channel(3, another)
    assert panel.further_channels == (other, another)
    panel.choose_channel(3, other)
    assert panel.further_channels == (other,)


def test_sources_are_compared_by_layers_contrast_and_region(blobs):
    image, other = (Image(blobs(), contrast_limits=(0, 1000)) for _ in range(2))
    assert may_join(image, other)
    sight = image_source_of(image, [other], Region(0, 0, 9, 9))
    assert sight.same_as(image_source_of(image, [other], Region(0, 0, 9, 9)))
    assert not sight.same_as(image_source_of(image, [other], Region(0, 0, 9, 8)))
    assert not sight.same_as(image_source_of(image))
    image.contrast_limits = (0, 900)
    assert not sight.same_as(image_source_of(image, [other], Region(0, 0, 9, 9)))


# A part of the image.


@pytest.mark.parametrize(
    ("shape", "placed"),
    [
        ((6, 40, 50), {}),
        ((6, 40, 50), {"scale": (3, 0.5, 0.25), "translate": (1, -20, 300)}),
        ((2, 6, 40, 50), {"scale": (7, 3, 0.5, 0.5), "translate": (0, 1, 2, 3)}),
    ],
)
def test_masks_and_prompts_in_a_region_are_in_place(make_panel, blobs, script, shape, placed):
    panel = make_panel(blobs(shape), **placed)
    lead = len(shape) - 2
    draw_part(panel, 2.2, 3.4, 20.4, 30, lead)
    panel.choose_axis(lead - 1)
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    spec = script.opened[-1]
    assert spec.source.region == Region(3, 4, 21, 31)
    assert spec.labels.shape == (6, 18, 27)
    np.testing.assert_allclose(
        spec.stack().read(2)[..., 0], blobs()[2, 3:21, 4:31] / 1000, atol=1e-6
    )
    zero = (0,) * lead
    panel.click(*zero, 8, 12)
    panel.wait_idle()
    assert [t[1:4] for t in script.told if t[0] == "points"] == [(1, 0, ((5.0, 8.0),))]
    panel.propagate("both")
    panel.wait_idle()
    labels = panel.labels_layer.data
    assert labels.shape == shape
    stack = labels.reshape(-1, 6, 40, 50)[0]
    assert np.array_equal(stack == 1, blobs() == 1000)


def test_hint_says_that_prompts_outside_the_region_are_ignored(make_panel, blobs):
    panel = make_panel(blobs())
    draw_part(panel, 0, 0, 20, 49)
    panel.start()
    panel.wait_idle()
    panel.viewer.dims.set_current_step(0, 0)
    panel.click(0, 30, 30)
    panel.wait_idle()
    assert "1 mark is ignored" in panel.hint
    assert not panel.labels.any()


def test_brush_undo_and_other_labels_work_in_a_region(make_panel, blobs, script):
    panel = make_panel(blobs())
    draw_part(panel, 4, 3, 20, 40)
    panel.start()
    panel.wait_idle()
    panel.viewer.dims.set_current_step(0, 0)
    panel.paint((0, 10, 10), (0, 10, 12), size=5)
    panel.wait_idle()
    painted = panel.labels
    rows, columns = np.nonzero(painted[0] == 1)
    ((_, prompt),) = panel.painted.items()
    assert np.array_equal(np.argwhere(prompt.mask), np.stack([rows - 4, columns - 3], axis=1))
    panel.undo()
    panel.wait_idle()
    assert not panel.labels.any()
    panel.redo()
    panel.wait_idle()
    assert np.array_equal(panel.labels, painted)
    given = np.zeros((6, 40, 50), int)
    given[0, 14:18, 30:36] = 5
    given[0, 30:36, 30:36] = 6
    panel.viewer.add_labels(given, name="cells")
    panel.take_labels(panel.viewer.layers["cells"])
    panel.wait_idle()
    assert ("mask", 5, 0, 24) in script.told
    assert 6 not in {t[1] for t in script.told if t[0] == "mask"}


def test_restart_with_another_part_keeps_the_history(make_panel, blobs):
    panel = make_panel(blobs())
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    panel.click(0, 8, 12)
    panel.wait_idle()
    clicked = panel.labels
    panel.propagate("both")
    panel.wait_idle()
    carried = panel.labels
    panel.paint((0, 17, 12), size=4)
    panel.wait_idle()
    painted, mask = panel.labels, next(iter(panel.painted.values())).mask
    draw_part(panel, 2, 3, 24, 40)
    panel.start()
    panel.wait_idle()
    assert panel.region == Region(2, 3, 25, 41)
    np.testing.assert_array_equal(panel.labels, painted)
    np.testing.assert_array_equal(next(iter(panel.painted.values())).mask, mask[2:25, 3:41])
    assert len(panel.undo_texts) == 3
    for expected in (carried, clicked, 0 * clicked):
        panel.undo()
        panel.wait_idle()
        np.testing.assert_array_equal(panel.labels, expected)
    for expected in (clicked, carried, painted):
        panel.redo()
        panel.wait_idle()
        np.testing.assert_array_equal(panel.labels, expected)
    area, centre = painted[0].sum(), np.argwhere(painted[0]).mean(axis=0) - (2, 3)
    record = panel.records_of(1)[0]
    assert record.area == area
    assert record.centre == pytest.approx(tuple(centre))
    # Back in the whole image, a step that was made in the part is undone there.
    panel.paint((0, 4, 12), size=3)
    panel.wait_idle()
    panel.choose_part("whole")
    panel.start()
    panel.wait_idle()
    assert panel.region is None
    panel.undo()
    panel.wait_idle()
    np.testing.assert_array_equal(panel.labels, painted)
    np.testing.assert_array_equal(next(iter(panel.painted.values())).mask, mask)


def test_current_view_can_be_the_region(make_panel, blobs, script):
    panel = make_panel(blobs(), scale=(1, 2, 2))
    image = panel.viewer.layers["blobs"]
    image.corner_pixels = np.array([(0, 5, 10), (0, 24, 39)])
    panel.choose_part("view")
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].source.region == Region(5, 10, 25, 40)
    assert np.allclose(panel.part_layer.data[0].min(axis=0), (4.5, 9.5))
    assert np.allclose(panel.part_layer.data_to_world((4.5, 9.5)), (9, 19))


def test_view_along_another_axis_is_refused_as_region(make_panel, blobs):
    panel = make_panel(blobs())
    panel.viewer.dims.order = (1, 0, 2)
    panel.choose_part("view")
    assert "no part of the frames" in notification_manager.records[-1].message
    assert panel.chosen_part == "whole"


def test_region_beside_the_image_is_refused(make_panel, blobs, script):
    panel = make_panel(blobs())
    draw_part(panel, 60, 60, 80, 90)
    assert "nothing of the image" in notification_manager.records[-1].message
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].source.region is None


def test_hint_asks_for_the_region_to_be_drawn(make_panel, blobs, qtbot):
    panel = make_panel(blobs())
    panel.choose_part("rectangle")
    assert panel.hint == hints.DRAW_THE_PART
    draw_part(panel, 2, 2, 20, 20)
    qtbot.waitUntil(lambda: panel.part_layer.mode == "pan_zoom")
    assert panel.hint == hints.PRESS_START
    panel.choose_part("whole")
    panel.choose_part("rectangle")
    panel.start()
    panel.wait_idle()
    assert panel.hint == hints.CLICK, "nobody has to"


def test_hint_follows_the_layer_that_the_region_is_drawn_in(make_panel, blobs):
    panel = make_panel(blobs())
    panel.choose_part("rectangle")
    selection = panel.viewer.layers.selection
    outline, image = panel.part_layer, panel.viewer.layers[0]
    for layer, hint in ((outline, hints.DRAW_THE_PART), (image, hints.PRESS_START)) * 2:
        selection.active = layer
        assert panel.hint == hint
    panel.viewer.layers.remove(outline)
    assert panel.hint == hints.PRESS_START


def test_last_rectangle_counts_and_its_layer_can_be_removed(make_panel, blobs, script):
    panel = make_panel(blobs())
    draw_part(panel, 1, 1, 9, 9)
    outline = panel.part_layer
    outline.add(
        np.array([(2.0, 2.0), (2.0, 30.0), (22.0, 30.0), (22.0, 2.0)]), shape_type="rectangle"
    )
    panel.wait_idle()
    assert len(outline.data) == 1
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].source.region == Region(2, 2, 23, 31)
    panel.viewer.layers.remove(outline)
    assert panel.chosen_part == "whole"
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].source.region is None
    panel.choose_part("rectangle")
    panel.choose_part("whole")
    assert panel.part_layer is None


def test_rectangle_that_is_chosen_again_can_be_changed(make_panel, blobs):
    panel = make_panel(blobs())
    draw_part(panel, 1, 1, 9, 9)
    layers = panel.viewer.layers
    layers.selection.active = layers["blobs"]
    panel.choose_part("rectangle")
    assert layers.selection.active is panel.part_layer
    assert panel.part_layer.mode == "select"


def test_removed_layer_of_a_rectangle_that_was_not_drawn_leaves_the_whole_image(make_panel, blobs):
    panel = make_panel(blobs())
    panel.choose_part("rectangle")
    panel.viewer.layers.remove(panel.part_layer)
    assert panel.chosen_part == "whole"


def test_another_image_has_no_region(make_panel, blobs):
    panel = make_panel(blobs())
    draw_part(panel, 1, 1, 9, 9)
    panel.viewer.add_image(blobs(), name="other")
    assert panel.chosen_image_name == "other"
    assert panel.part_layer is None
    assert panel.chosen_part == "whole"


# The preview.


@pytest.fixture
def previewed(make_panel, blobs, qtbot):
    panel = make_panel(blobs())
    panel.unfold_preview()
    qtbot.waitUntil(lambda: panel.preview is not None)
    return panel


def test_folded_preview_reads_nothing(make_panel, blobs, our_threads, qtbot):
    panel = make_panel(blobs())
    panel.viewer.dims.set_current_step(0, 3)
    qtbot.wait(150)
    assert f"{THREAD_NAME}-preview" not in our_threads()
    assert panel.preview is None


def test_preview_shows_the_frame_as_the_model_gets_it(previewed, qtbot):
    assert previewed.preview_caption == "50 by 40 pixels"
    assert previewed.preview[60, 110].tolist() == [0, 0, 0]
    assert previewed.preview[44, 44].tolist() == [255] * 3
    previewed.viewer.layers["blobs"].contrast_limits = (0, 2000)
    qtbot.waitUntil(lambda: 120 < previewed.preview[44, 44, 0] < 135)
    draw_part(previewed, 5, 5, 14, 14)
    qtbot.waitUntil(lambda: previewed.preview_caption == "10 by 10 pixels")
    previewed.viewer.dims.set_current_step(0, 5)
    qtbot.waitUntil(lambda: previewed.preview[100, 20, 0] == 0)


def test_preview_says_when_the_session_uses_another_source(previewed, qtbot):
    previewed.start()
    previewed.wait_idle()
    previewed.unfold_setup()
    assert not previewed.preview_caption.startswith("After")
    previewed.viewer.layers["blobs"].contrast_limits = (0, 500)
    qtbot.waitUntil(lambda: previewed.preview_caption.startswith("After Restart"))
    previewed.start()
    previewed.wait_idle()
    qtbot.waitUntil(lambda: not previewed.preview_caption.startswith("After Restart"))


class Slow:
    """An array-like that notes who reads it, and waits for a gate."""

    def __init__(self, array: np.ndarray, gate: threading.Event) -> None:
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim
        self.gate, self.threads = gate, []

    def __getitem__(self, index: object) -> np.ndarray:
        name = threading.current_thread().name
        if name.startswith(THREAD_NAME):
            self.threads.append((name, index))
            assert self.gate.wait(10)
        return self.array[index]


def test_pixels_are_read_off_the_main_thread_and_only_the_newest(make_panel, blobs, qtbot):
    gate = threading.Event()
    slow = Slow(blobs((30, 40, 50)), gate)
    panel = make_panel(slow)
    panel.unfold_preview()
    qtbot.waitUntil(lambda: len(slow.threads) == 1)
    for step in range(1, 20):
        panel.viewer.dims.set_current_step(0, step)
        qtbot.wait(10)
    assert panel.preview is None, "the window did not wait"
    gate.set()
    qtbot.waitUntil(lambda: panel.preview is not None)
    qtbot.wait(200)
    assert {name for name, _ in slow.threads} == {f"{THREAD_NAME}-preview"}
    assert slow.threads[-1][1][0] == 19
    assert len(slow.threads) < 10, "frames that nobody waits for are not read"


def test_preview_reports_an_unreadable_frame(make_panel, blobs, qtbot):
    class Broken(Slow):
        def __getitem__(self, index: object) -> np.ndarray:
            if threading.current_thread().name.startswith(THREAD_NAME):
                raise OSError("the disk is gone")
            return self.array[index]

    panel = make_panel(Broken(blobs(), threading.Event()))
    panel.unfold_preview()
    qtbot.waitUntil(lambda: "the disk is gone" in panel.preview_caption)
    assert panel.preview is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (3000, 20, 3), (441, 440, 1)])
def test_pictures_are_small(shape):
    small = small_picture(np.ones(shape, np.float32))
    assert max(small.shape[:2]) <= 440
    assert small.shape[2] == 3
    assert (small == 255).all()
