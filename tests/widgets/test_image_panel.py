"""The small panel for single images: the same flow, every frame for itself, nothing propagated."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

from napari_sam2.prompts import read_session
from napari_sam2.widgets.image_panel import ImagePanel


@pytest.fixture
def make_image_panel(make_panel):
    """``make_image_panel(image)``: as `make_panel`."""

    def make(image):
        return make_panel(image, kind=ImagePanel)

    return make


def test_clicks_in_two_frames_are_two_images(make_image_panel, blobs, settled, mouse, sessions):
    panel = make_image_panel(blobs())
    assert isinstance(panel, ImagePanel)
    panel.viewer.dims.set_current_step(0, 1)
    panel.start.click()
    settled(panel)
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [(1, 8, 8)])
    settled(panel)
    panel.viewer.dims.set_current_step(0, 4)
    panel.prompts.next_object.click()
    mouse(panel.viewer, workspace.points, [(4, 25, 30)])
    settled(panel)
    labels = workspace.labels.data
    assert [np.unique(plane[plane > 0]).tolist() for plane in labels] == [[], [1], [], [], [2], []]
    panel.history.undo.click()
    settled(panel)
    assert not labels[4].any()
    assert labels[1].any()
    names = sorted(path.name for path in sessions.iterdir())
    assert names == ["blobs 6x40x50.0=1.sam2.json", "blobs 6x40x50.0=4.sam2.json"]
    assert read_session(sessions / names[0]).axis is None


def test_single_image(make_image_panel, blobs, settled, mouse):
    panel = make_image_panel(blobs()[0])
    panel.start.click()
    settled(panel)
    mouse(panel.viewer, panel.coordinator.workspace.points, [(8, 8)])
    settled(panel)
    assert (panel.coordinator.workspace.labels.data == 1).sum() == 100
    assert "Propagate" not in panel.hint.text()


def test_nothing_of_a_stack_is_there(make_image_panel, blobs, settled):
    panel = make_image_panel(blobs())
    panel.start.click()
    settled(panel)
    for part in (panel.run, panel.review, panel.stack.axes, panel.objects.split):
        assert part.isHidden()
    assert not panel.prompts.isHidden()
    keys = {str(key) for key in panel.viewer.keymap}
    assert "N" in keys
    assert not keys & {"P", "D", "E", "Shift+D"}


@pytest.mark.gl
def test_napari_opens_it(make_napari_viewer, qtbot, our_threads):
    viewer = make_napari_viewer()
    dock, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "SAM 2: current image")
    assert isinstance(panel, ImagePanel)
    dock.destroyOnClose()
    qtbot.waitUntil(lambda: not our_threads(), timeout=60_000)


def test_two_panels_on_one_image_take_turns(started, make_panel, settled, mouse, script):
    other = make_panel(viewer=started.viewer, kind=ImagePanel)
    labels = started.coordinator.workspace.labels
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    other.start.click()
    settled(other)
    assert started.coordinator.workspace is None
    assert other.coordinator.workspace.labels is labels
    script.told.clear()
    other.prompts.next_object.click()
    mouse(other.viewer, other.coordinator.workspace.points, [(0, 25, 30)])
    settled(started)
    settled(other)
    assert [told[:2] for told in script.told if told[0] == "points"].count(("points", 2)) == 1
    assert set(np.unique(labels.data)) == {0, 1, 2}
    started.start.click()
    settled(started)
    assert other.coordinator.workspace is None
    assert started.coordinator.dialogue.prompts.object_ids == {1, 2}
    duplicate = deepcopy(labels.metadata)
    assert duplicate.keys() == labels.metadata.keys(), "napari copies layers"
