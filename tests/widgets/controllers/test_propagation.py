"""Propagation: ranges, single objects, pauses, and the keys."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QLabel

from napari_sam2.labels import Doubt, FrameRecord
from napari_sam2.widgets.state import hints
from napari_sam2.widgets.state.object_records import ObjectSeries
from napari_sam2.widgets.views.keybindings import SHORTCUTS
from napari_sam2.widgets.views.panel_view import PanelView
from napari_sam2.widgets.views.propagation_section import RunProgress


@pytest.fixture
def clicked(started):
    """A panel with a clicked object in frame 2."""
    started.viewer.dims.set_current_step(0, 2)
    started.click(2, 8, 12)
    started.wait_idle()
    return started


def frames(panel, object_id=1) -> set[int]:
    labels = panel.labels_layer.data
    return set(np.flatnonzero((labels == object_id).any(axis=(1, 2))).tolist())


def test_range_limits_the_run(clicked):
    clicked.choose_range(1, 4)
    clicked.propagate("both")
    clicked.wait_idle()
    assert frames(clicked) == {1, 2, 3, 4}
    clicked.choose_whole_range()
    clicked.propagate("both")
    clicked.wait_idle()
    assert frames(clicked) == set(range(6))


def test_layout_stays_when_a_run_begins_or_texts_grow(qtbot):
    views = PanelView()
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
    views.run.show_running(RunProgress(0, 9, 0, 12, "slices", ""))
    assert not views.run.progress.isHidden()
    assert views.run.both.isVisible() is False
    assert places() == before
    views.run.show_idle()
    assert views.run.both.isVisible()
    doubts = {25: tuple(Doubt)}
    records = (FrameRecord(1, 25, 86, (8, 8), 0.4, 0.9),)
    views.review.show_series(ObjectSeries(30, records, frozenset({25}), doubtful=doubts), 25)
    assert views.review.summary.toolTip().endswith(Doubt.PASSES)
    views.show_hint("Propagate to fill the other frames, or press N and click the next object.")
    assert places() == before


def test_single_frame_cannot_be_propagated(make_panel, blobs):
    panel = make_panel(blobs((40, 50)))
    panel.start()
    panel.wait_idle()
    assert not panel.can_propagate
    volumes = make_panel(blobs((2, 1, 40, 50)), axis_labels=("t", "z", "y", "x"))
    volumes.choose_axis(1)
    volumes.start()
    volumes.wait_idle()
    assert volumes.can_propagate, "it is one of several along t"


def test_range_begins_at_the_frame_in_view(clicked):
    clicked.viewer.dims.set_current_step(0, 3)
    clicked.choose_range_from_here()
    assert clicked.range == (3, 5)
    clicked.propagate("both")
    clicked.wait_idle()
    assert frames(clicked) == {2, 3, 4, 5}


def test_only_the_current_object_is_propagated(clicked):
    clicked.next_object()
    clicked.click(2, 25, 30)
    clicked.wait_idle()
    clicked.tick_only_current_object()
    clicked.propagate("both")
    clicked.wait_idle()
    assert frames(clicked, 1) == {2}
    assert frames(clicked, 2) == set(range(6))


def test_paused_run_answers_prompts_and_can_resume(clicked, script, qtbot):
    script.seconds = 0.3
    clicked.press("P")
    qtbot.waitUntil(lambda: clicked.frames_done >= 1)
    clicked.press("P")
    assert clicked.pause_text == "Resume"
    assert clicked.hint == hints.PAUSED
    qtbot.wait(300)  # for the frame that was begun before
    begun = [told for told in script.told if told[0] == "frame"]
    qtbot.waitUntil(lambda: clicked.frames_done == len(begun))
    held = clicked.frames_done
    clicked.next_object()
    clicked.click(2, 25, 30)
    qtbot.waitUntil(lambda: 2 in frames(clicked, 2), timeout=5000)
    qtbot.wait(300)
    assert clicked.frames_done == held
    assert clicked.running
    clicked.pause()
    assert clicked.hint == hints.RUNNING
    clicked.wait_idle()
    assert frames(clicked, 1) == set(range(6))
    assert 5 in frames(clicked, 2)


def test_paused_run_can_be_cancelled(clicked, script, qtbot):
    script.seconds = 0.1
    clicked.propagate("both")
    qtbot.waitUntil(lambda: clicked.frames_done >= 1)
    clicked.pause()
    clicked.press("Escape")
    clicked.wait_idle()
    assert len(frames(clicked)) < 6
    assert clicked.pause_text == "Pause"
    clicked.propagate("both")
    clicked.wait_idle()
    assert frames(clicked) == set(range(6)), "the next run is not held"


def test_closing_the_panel_during_a_pause_leaves_no_thread(clicked, script, qtbot, our_threads):
    script.seconds = 0.1
    clicked.propagate("both")
    qtbot.waitUntil(lambda: clicked.frames_done >= 1)
    clicked.pause()
    clicked.close()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)


def test_every_key_is_bound_and_listed(clicked, qtbot):
    assert len(clicked.points_layer.keymap) == len(SHORTCUTS)
    clicked.press("F1")
    (window,) = [w for w in QApplication.topLevelWidgets() if w.windowTitle() == "SAM 2: keys"]
    text = window.findChildren(QLabel)[0].text()
    assert all(shortcut.meaning in text for shortcut in SHORTCUTS)
    window.close()


def test_keys_choose_tools(clicked):
    for key, layer, mode in (
        ("B", "shapes", "add_rectangle"),
        ("L", "shapes", "add_polygon_lasso"),
        ("S", "shapes", "add_path"),
        ("R", "labels", "paint"),
        ("C", "points", "add"),
    ):
        clicked.press(key)
        active = clicked.viewer.layers.selection.active
        assert active is getattr(clicked, f"{layer}_layer")
        assert str(active.mode) == mode
    assert clicked.tool == "points"


def test_scaled_4d_layer_takes_strokes_lassos_and_undo_at_the_other_sliders(
    make_panel, blobs, script
):
    panel = make_panel(
        blobs((3, 6, 40, 50)),
        scale=(1, 4, 0.5, 0.5),
        translate=(0, -8, 100, 7),
        axis_labels=("t", "z", "y", "x"),
    )
    panel.choose_axis(1)
    viewer = panel.viewer
    viewer.dims.set_current_step(0, 2)
    viewer.dims.set_current_step(1, 3)
    panel.start()
    panel.wait_idle()

    panel.paint((2, 3, 30, 5), (2, 3, 30, 8), size=5)
    panel.wait_idle()
    painted = np.argwhere(panel.labels == 1)
    assert set(map(tuple, painted[:, :2].tolist())) == {(2, 3)}
    assert np.abs(painted[:, 2:].mean(axis=0) - (30, 6.5)).max() < 0.5

    panel.next_object()
    square = [(2, 1, y, x) for y, x in ((10, 10), (10, 20), (20, 20), (20, 10))]
    viewer.dims.set_current_step(1, 1)
    panel.shapes_layer.add(np.array(square, float), shape_type="polygon")
    panel.wait_idle()
    drawn = np.argwhere(panel.labels == 2)
    assert set(map(tuple, drawn[:, :2].tolist())) == {(2, 1)}
    assert np.abs(drawn[:, 2:].mean(axis=0) - (15, 15)).max() < 0.6

    panel.undo()
    panel.wait_idle()
    assert set(np.unique(panel.labels)) == {0, 1}
    panel.undo()
    panel.wait_idle()
    assert not panel.labels.any()


def test_frames_passed_in_both_directions_count_once(clicked, script):
    script.order = [2, 3, 4, 5, 4, 3, 2, 1, 0]
    clicked.propagate("both")
    clicked.wait_idle()
    assert "Done: 6 frames." in clicked.hint


def test_accepted_masks_alone_are_followed(started):
    started.click(0, 8, 8)
    started.wait_idle()
    started.propagate("forward")
    started.wait_idle()
    started.viewer.dims.set_current_step(0, 2)
    started.accept("here")
    started.delete_point(0)
    started.wait_idle()
    assert (started.accepted, started.prompted_objects) == ({((), 1, 2)}, frozenset())
    started.start()
    started.wait_idle()
    started.propagate()
    started.wait_idle()
    assert started.undo_texts[-1] == "propagation"
    assert (started.labels == 1).any(axis=(1, 2)).all()


def test_progress_counts_frames_and_not_the_passes_over_them(started, script, qtbot):
    started.click(1, 8, 12)
    started.next_object()
    started.viewer.dims.set_current_step(0, 4)
    started.click(4, 25, 30)
    started.wait_idle()
    # Objects from both ends: three frames are visited on the way there and on the way back.
    script.order = [1, 2, 3, 4, 5, 4, 3, 2, 1, 0]
    script.gate.clear()
    started.propagate("both")
    script.gate.set()
    script.seconds = 0.05
    texts = []

    def over() -> bool:
        texts.append(started.progress_text)
        return not started.running

    qtbot.waitUntil(over, timeout=60_000)
    counts = [text for text in dict.fromkeys(texts) if text]
    assert all(text.endswith(" of 6 frames") for text in counts)
    assert [int(text.split()[0]) for text in counts] == sorted(int(t.split()[0]) for t in counts)
    assert started.hint.startswith("Done: 6 frames")


def test_object_that_is_nowhere_else_is_not_done(make_panel):
    image = np.zeros((6, 40, 50), np.uint16)
    image[2, 5:15, 5:15] = 1000
    panel = make_panel(image)
    panel.start()
    panel.wait_idle()
    panel.viewer.dims.set_current_step(0, 2)
    panel.click(2, 8, 8)
    panel.wait_idle()
    panel.propagate("both")
    panel.wait_idle()
    assert panel.hint.startswith("Object 1 was found in one frame only")
    assert "draw a box (B)" in panel.hint
    panel.draw_box((2, 5, 5), (2, 15, 15))
    panel.wait_idle()
    panel.propagate("both")
    panel.wait_idle()
    assert panel.hint.startswith("Object 1 was found in one frame only")
    assert "draw a box" not in panel.hint, "it has one"


def test_hint_forgets_how_the_last_run_ended_when_an_object_is_changed(started):
    started.click(0, 8, 12)
    started.wait_idle()
    started.next_object()
    started.click(0, 25, 28)
    started.wait_idle()
    started.propagate("both")
    started.wait_idle()
    assert started.hint.startswith("Done")
    started.delete(1)
    started.wait_idle()
    assert not started.hint.startswith("Done")
