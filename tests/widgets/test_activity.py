"""The progress in napari's activity dock: its spinner must not cost what the work needs."""

from __future__ import annotations

from typing import Any

import pytest
from napari.utils import progress

from napari_sam2.widgets.activity import Activity, spinners


def test_the_spinner_turns_slowly_while_something_is_in_progress(
    make_napari_viewer: Any, qtbot: Any
) -> None:
    make_napari_viewer()
    assert spinners(), "napari has another sign that something is in progress"
    activity = Activity()

    activity.start(5, "carrying")
    qtbot.waitUntil(lambda: bool(progress._all_instances))

    assert [bar.desc for bar in progress._all_instances] == ["carrying"]
    assert all(0 < movie.speed() <= 10 for movie in spinners())
    activity.end()
    assert not progress._all_instances
    assert all(movie.speed() == 100 for movie in spinners())


def test_it_turns_slowly_until_the_last_activity_ends(make_napari_viewer: Any, qtbot: Any) -> None:
    make_napari_viewer()
    carrying, saving = Activity(), Activity()
    for count, activity in enumerate((carrying, saving), 1):
        activity.start(5, "work")
        qtbot.waitUntil(lambda count=count: len(progress._all_instances) == count)

    carrying.end()
    carrying.end()
    assert all(0 < movie.speed() <= 10 for movie in spinners())
    saving.end()
    assert all(movie.speed() == 100 for movie in spinners())


def test_a_window_that_closes_first_takes_its_spinner_with_it(
    make_napari_viewer: Any, qtbot: Any
) -> None:
    closing, staying = make_napari_viewer(), make_napari_viewer()
    activity = Activity()
    activity.start(5, "carrying")
    qtbot.waitUntil(lambda: bool(progress._all_instances))
    closing.close()
    qtbot.waitUntil(lambda: len(spinners()) == 1)

    activity.end()

    assert staying.window is not None
    assert [movie.speed() for movie in spinners()] == [100]


def test_what_ends_before_its_bar_is_made_leaves_the_spinner_alone(
    make_napari_viewer: Any, qtbot: Any
) -> None:
    make_napari_viewer()
    activity = Activity()

    activity.start(5, "carrying")
    activity.end()
    qtbot.wait(250)

    assert not progress._all_instances
    assert all(movie.speed() == 100 for movie in spinners())


@pytest.mark.gl
def test_the_canvas_keeps_its_size_when_the_spinner_appears(
    make_napari_viewer: Any, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    bar = viewer.window._qt_window.statusBar()
    qtbot.wait(200)  # until it is laid out
    height = bar.height()
    activity = Activity()

    activity.start(5, "carrying")
    qtbot.waitUntil(lambda: bool(progress._all_instances))
    qtbot.waitUntil(lambda: all(movie.state() == movie.MovieState.Running for movie in spinners()))
    qtbot.wait(50)

    assert bar.height() == height
    activity.end()
