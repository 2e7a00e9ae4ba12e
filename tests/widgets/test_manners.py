"""Nothing of napari is changed but the panel's dock and the panel's layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.utils import progress
from qtpy.QtGui import QMovie
from qtpy.QtWidgets import QApplication, QDockWidget, QLabel, QPushButton, QWidget

State = dict[QWidget, tuple[Any, ...]]


def foreign_state(panel: QWidget) -> State:
    """Return what could be held, slowed or resized of every widget outside the panel's dock."""
    found = {}
    dock = panel
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    assert dock is not None
    for widget in QApplication.allWidgets():
        if widget is dock or dock.isAncestorOf(widget) or widget.window() is not dock.window():
            continue
        movie = widget.movie() if isinstance(widget, QLabel) else None
        found[widget] = (
            widget.updatesEnabled(),
            widget.maximumSize(),
            widget.minimumSize(),
            None if movie is None else movie.speed(),
        )
    return found


def changes(before: State, after: State) -> list[tuple[Any, Any]]:
    """Return the states that differ, of widgets that are in both."""
    both = before.keys() & after.keys()
    return [(before[each], after[each]) for each in both if before[each] != after[each]]


@pytest.fixture
def docked(make_napari_viewer, make_docked_panel, blobs):
    viewer = make_napari_viewer()
    viewer.window.add_dock_widget(QPushButton("of another plugin"), name="other")
    panel = make_docked_panel(blobs(), viewer=viewer)
    viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    return panel


def test_a_foreign_change_would_be_noticed(docked):
    before = foreign_state(docked.widget)
    assert any(speed == 100 for *_, speed in before.values()), "napari shows its activity otherwise"
    assert changes(before, foreign_state(docked.widget)) == []
    bar = docked.viewer.window._qt_window.statusBar()
    for label in bar.findChildren(QLabel):
        if isinstance(label.movie(), QMovie):
            label.movie().setSpeed(50)
    docked.viewer.window._qt_window.centralWidget().setUpdatesEnabled(False)
    assert len(changes(before, foreign_state(docked.widget))) >= 2
    before.clear()
    docked.viewer.window._qt_window.centralWidget().setUpdatesEnabled(True)


def test_clicks_runs_and_files_leave_the_window_as_it_is(docked, script, qtbot, tmp_path):
    before, found = foreign_state(docked.widget), []
    labels = docked.labels_layer

    def look(_event: object = None) -> None:
        found.append(changes(before, foreign_state(docked.widget)))
        assert not progress._all_instances, "progress is shown in the panel"

    docked.points_layer.events.data.connect(look)
    labels.events.set_data.connect(look)
    docked.click(0, 8, 8)
    look()
    docked.wait_idle()
    script.seconds = 0.05
    docked.propagate("forward")
    qtbot.waitUntil(lambda: docked.frames_done >= 2)
    look()
    docked.wait_idle()
    docked.save_labels(tmp_path / "labels.tif")
    qtbot.waitUntil((tmp_path / "labels.tif").exists)
    look()
    docked.wait_idle()
    look()
    assert np.unique(labels.data).tolist() == [0, 1]
    assert len(found) > 6
    assert not any(found)
    for event in (docked.points_layer.events.data, labels.events.set_data):
        event.disconnect(look)
    before.clear()  # or the window would outlive the test
