"""The panel for single images: every frame is an image of its own."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

from napari_sam2.prompts import read_sessions
from napari_sam2.widgets.stack_panel import ImagePanel


@pytest.fixture
def make_image_panel(make_panel):
    """``make_image_panel(image)``: as `make_panel`."""

    def make(image):
        return make_panel(image, kind=ImagePanel)

    return make


def test_each_frame_is_an_image_of_its_own(make_image_panel, blobs, sessions):
    panel = make_image_panel(blobs())
    assert isinstance(panel.widget, ImagePanel)
    panel.viewer.dims.set_current_step(0, 1)
    panel.start()
    panel.wait_idle()
    panel.click(1, 8, 8)
    panel.wait_idle()
    panel.viewer.dims.set_current_step(0, 4)
    panel.next_object()
    panel.click(4, 25, 30)
    panel.wait_idle()
    labels = panel.labels_layer.data
    assert [np.unique(plane[plane > 0]).tolist() for plane in labels] == [[], [1], [], [], [2], []]
    panel.undo()
    panel.wait_idle()
    assert not labels[4].any()
    assert labels[1].any()
    (path,) = sessions.iterdir()
    assert path.name == "blobs 6x40x50.sam2.json"
    assert [(saved.axis, dict(saved.at)) for saved in read_sessions(path)] == [(None, {0: 1})]


def test_click_segments_a_single_image(make_image_panel, blobs):
    panel = make_image_panel(blobs()[0])
    panel.start()
    panel.wait_idle()
    panel.click(8, 8)
    panel.wait_idle()
    assert (panel.labels == 1).sum() == 100
    assert "Propagate" not in panel.hint


def test_image_panel_has_no_stack_controls(make_image_panel, blobs):
    panel = make_image_panel(blobs())
    panel.start()
    panel.wait_idle()
    for part in (
        panel.propagation_section,
        panel.review_section,
        panel.object_section.split,
    ):
        assert part.isHidden()
    assert not panel.prompt_section.isHidden()
    assert not {field.name for field in panel.settings} & {"axis", "first", "last", "recompute"}
    assert panel.settings.value.axis is None
    keys = {str(key) for key in panel.viewer.keymap}
    assert "N" in keys
    assert not keys & {"P", "D", "E", "Shift+D"}


@pytest.mark.gl
def test_napari_opens_the_image_panel(make_napari_viewer, qtbot, our_threads):
    viewer = make_napari_viewer()
    dock, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "SAM 2: current image")
    assert isinstance(panel, ImagePanel)
    dock.destroyOnClose()
    qtbot.waitUntil(lambda: not our_threads(), timeout=60_000)


def test_two_panels_on_one_image_take_turns(started, make_panel, script):
    other = make_panel(viewer=started.viewer, kind=ImagePanel)
    labels = started.labels_layer
    started.click(0, 8, 8)
    started.wait_idle()
    other.start()
    other.wait_idle()
    assert not started.started
    assert other.labels_layer is labels
    script.told.clear()
    other.next_object()
    other.click(0, 25, 30)
    started.wait_idle()
    other.wait_idle()
    assert [told[:2] for told in script.told if told[0] == "points"].count(("points", 2)) == 1
    assert set(np.unique(labels.data)) == {0, 1, 2}
    started.start()
    started.wait_idle()
    assert not other.started
    assert started.prompted_objects == {1, 2}
    duplicate = deepcopy(labels.metadata)
    assert duplicate.keys() == labels.metadata.keys(), "napari copies layers"


def test_saved_work_of_single_images_can_be_continued_along_an_axis(
    make_image_panel, make_panel, blobs, qtbot
):
    single = make_image_panel(blobs())
    single.viewer.dims.set_current_step(0, 2)
    single.start()
    single.wait_idle()
    single.click(2, 8, 12)
    single.wait_idle()
    single.close()
    stack = make_panel(blobs())
    stack.wait_idle()
    qtbot.waitUntil(lambda: stack.offers_to_resume)
    stack.resume()
    stack.wait_idle()
    assert (stack.axis, stack.can_propagate) == (None, False)
    assert stack.can_choose_axis, "there is but one, and it is not the one of this work"
    stack.choose_axis(0)
    stack.wait_idle()
    assert (stack.axis, stack.can_propagate) == (0, True)
    assert stack.points.tolist() == [[2, 8, 12]]
    stack.propagate()
    stack.wait_idle()
    assert (stack.labels == 1).any(axis=(1, 2)).all()
