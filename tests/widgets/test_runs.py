"""Ranges, single objects, pauses; and the keys that do it."""

from __future__ import annotations

import numpy as np
import pytest
from blob_session import BlobSession
from qtpy.QtWidgets import QApplication

from napari_sam2.widgets.keymap import SHORTCUTS
from napari_sam2.widgets.views import Views


@pytest.fixture
def clicked(started, settled, mouse):
    """A panel with a clicked object in frame 2."""
    started.viewer.dims.set_current_step(0, 2)
    mouse(started.viewer, started.coordinator.workspace.points, [(2, 8, 12)])
    settled(started)
    return started


def frames(panel, object_id=1) -> set[int]:
    labels = panel.coordinator.workspace.labels.data
    return set(np.flatnonzero((labels == object_id).any(axis=(1, 2))).tolist())


def press(panel, key) -> None:
    points = panel.coordinator.workspace.points
    found = next(k for k in points.keymap if str(k) == key)
    points.keymap[found](points)


def test_range_limits_the_run(clicked, settled):
    clicked.run.first.setValue(1)
    clicked.run.last.setValue(4)
    clicked.run.both.click()
    settled(clicked)
    assert frames(clicked) == {1, 2, 3, 4}
    clicked.run.whole.click()
    clicked.run.both.click()
    settled(clicked)
    assert frames(clicked) == set(range(6))


def test_nothing_moves_when_a_run_begins_or_the_frame_has_more_to_say(qtbot):
    views = Views()
    qtbot.addWidget(views)
    views.resize(400, 1200)
    views.show_started(True, possible=True)
    views.show()
    qtbot.waitExposed(views)

    def places() -> list[int]:
        QApplication.processEvents()
        parts = (views.objects.table, views.review.doubt, views.history.undo)
        return [part.mapTo(views, part.rect().topLeft()).y() for part in parts]

    before = places()
    views.run.show_running(0, 9)
    assert not views.run.progress.isHidden()
    assert views.run.both.isVisible() is False
    assert places() == before
    views.run.show_idle()
    assert views.run.both.isVisible()
    views.review.summary.setText("Frame 25, area 86 px, score 0.40, prompted, low object score")
    views.show_hint("Propagate to fill the other frames, or press N and click the next object.")
    assert places() == before


def test_a_single_frame_leads_nowhere(make_panel, blobs, settled):
    panel = make_panel(blobs((40, 50)))
    panel.start.click()
    settled(panel)
    assert not panel.run.both.isEnabled()
    volumes = make_panel(blobs((2, 1, 40, 50)), axis_labels=("t", "z", "y", "x"))
    volumes.stack.axes.choose(1)
    volumes.stack.axes.activated.emit(1)
    volumes.start.click()
    settled(volumes)
    assert volumes.run.both.isEnabled(), "it is one of several along t"


def test_range_begins_at_the_frame_in_view(clicked, settled):
    clicked.viewer.dims.set_current_step(0, 3)
    clicked.run.from_here.click()
    assert (clicked.run.first.value(), clicked.run.last.value()) == (3, 5)
    clicked.run.both.click()
    settled(clicked)
    assert frames(clicked) == {2, 3, 4, 5}


def test_only_the_current_object_is_carried(clicked, settled, mouse):
    clicked.prompts.next_object.click()
    mouse(clicked.viewer, clicked.coordinator.workspace.points, [(2, 25, 30)])
    settled(clicked)
    clicked.run.only_current.setChecked(True)
    clicked.run.both.click()
    settled(clicked)
    assert frames(clicked, 1) == {2}
    assert frames(clicked, 2) == set(range(6))


def test_pause_holds_the_run_takes_prompts_in_and_lets_it_go_on(
    clicked, settled, script, qtbot, mouse
):
    script.seconds = 0.3
    press(clicked, "P")
    qtbot.waitUntil(lambda: clicked.run.progress.value() >= 1)
    press(clicked, "P")
    assert clicked.run.pause.text() == "Resume"
    qtbot.wait(300)  # for the frame that was begun before
    begun = [told for told in script.told if told[0] == "frame"]
    qtbot.waitUntil(lambda: clicked.run.progress.value() == len(begun))
    held = clicked.run.progress.value()
    clicked.prompts.next_object.click()
    mouse(clicked.viewer, clicked.coordinator.workspace.points, [(2, 25, 30)])
    qtbot.waitUntil(lambda: 2 in frames(clicked, 2), timeout=5000)
    qtbot.wait(300)
    assert clicked.run.progress.value() == held
    assert clicked.coordinator.running
    clicked.run.pause.click()
    settled(clicked)
    assert frames(clicked, 1) == set(range(6))
    assert 5 in frames(clicked, 2)


def test_run_that_is_held_can_be_cancelled(clicked, settled, script, qtbot):
    script.seconds = 0.1
    clicked.run.both.click()
    qtbot.waitUntil(lambda: clicked.run.progress.value() >= 1)
    clicked.run.pause.click()
    press(clicked, "Escape")
    settled(clicked)
    assert len(frames(clicked)) < 6
    assert clicked.run.pause.text() == "Pause"
    clicked.run.both.click()
    settled(clicked)
    assert frames(clicked) == set(range(6)), "the next run is not held"


def test_panel_closed_while_a_run_is_held_leaves_no_thread(clicked, script, qtbot, our_threads):
    script.seconds = 0.1
    clicked.run.both.click()
    qtbot.waitUntil(lambda: clicked.run.progress.value() >= 1)
    clicked.run.pause.click()
    clicked.coordinator.close()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)


def test_every_key_is_bound_and_in_the_list(clicked, qtbot):
    points = clicked.coordinator.workspace.points
    assert len(points.keymap) == len(SHORTCUTS)
    press(clicked, "F1")
    (window,) = [w for w in QApplication.topLevelWidgets() if w.windowTitle() == "SAM 2: keys"]
    text = window.findChildren(type(clicked.hint))[0].text()
    assert all(shortcut.meaning in text for shortcut in SHORTCUTS)
    window.close()


def test_tools_by_key(clicked):
    workspace = clicked.coordinator.workspace
    for key, layer, mode in (
        ("B", "shapes", "add_rectangle"),
        ("L", "shapes", "add_polygon_lasso"),
        ("S", "shapes", "add_path"),
        ("R", "labels", "paint"),
        ("C", "points", "add"),
    ):
        press(clicked, key)
        active = clicked.viewer.layers.selection.active
        assert active is getattr(workspace, layer)
        assert str(active.mode) == mode
    assert clicked.prompts.tool_buttons["points"].isChecked()


def test_scaled_4d_layer_takes_strokes_lassos_and_undo_at_the_other_sliders(
    make_panel, blobs, settled, mouse, script
):
    panel = make_panel(
        blobs((3, 6, 40, 50)),
        scale=(1, 4, 0.5, 0.5),
        translate=(0, -8, 100, 7),
        axis_labels=("t", "z", "y", "x"),
    )
    panel.stack.axes.choose(1)
    panel.stack.axes.activated.emit(1)
    viewer = panel.viewer
    viewer.dims.set_current_step(0, 2)
    viewer.dims.set_current_step(1, 3)
    panel.start.click()
    settled(panel)
    workspace = panel.coordinator.workspace
    world = workspace.image.data_to_world

    workspace.edit("brush")
    workspace.labels.brush_size = 5
    mouse(viewer, workspace.labels, [world((2, 3, 30, 5)), world((2, 3, 30, 8))])
    settled(panel)
    painted = np.argwhere(workspace.labels.data == 1)
    assert set(map(tuple, painted[:, :2].tolist())) == {(2, 3)}
    assert np.abs(painted[:, 2:].mean(axis=0) - (30, 6.5)).max() < 0.5

    panel.prompts.next_object.click()
    square = [(2, 1, y, x) for y, x in ((10, 10), (10, 20), (20, 20), (20, 10))]
    viewer.dims.set_current_step(1, 1)
    workspace.shapes.add(np.array(square, float), shape_type="polygon")
    settled(panel)
    drawn = np.argwhere(workspace.labels.data == 2)
    assert set(map(tuple, drawn[:, :2].tolist())) == {(2, 1)}
    assert np.abs(drawn[:, 2:].mean(axis=0) - (15, 15)).max() < 0.6

    panel.history.undo.click()
    settled(panel)
    assert set(np.unique(workspace.labels.data)) == {0, 1}
    panel.history.undo.click()
    settled(panel)
    assert not workspace.labels.data.any()


def test_frames_that_are_passed_in_both_directions_count_once(clicked, settled, monkeypatch):
    monkeypatch.setattr(BlobSession, "_order", lambda *_: [2, 3, 4, 5, 4, 3, 2, 1, 0])
    clicked.run.both.click()
    settled(clicked)
    assert "Done: 6 frames." in clicked.hint.text()
