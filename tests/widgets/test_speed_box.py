"""Speed and precision: chosen, remembered, and never silent about what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_sam2.prompts import read_session
from napari_sam2.types import Speed
from napari_sam2.widgets.model_use import ModelUse
from napari_sam2.widgets.settings import read_defaults, store_defaults

SETUP = "Image and model"


def choose(combo, value) -> None:
    """Choose an item as the user does."""
    combo.choose(value)
    combo.activated.emit(combo.currentIndex())


@pytest.fixture
def clicked(started, settled, mouse):
    """A panel with an object in frame 0."""
    mouse(started.viewer, started.coordinator.workspace.points, [(0, 8, 8)])
    settled(started)
    return started


def test_nothing_is_approximated_unasked(clicked, script):
    assert script.opened[-1].use == ModelUse()
    assert clicked.model.approximate.isHidden()
    assert clicked.setup.title.text() == SETUP


@pytest.mark.parametrize(
    ("combo", "value", "use"),
    [
        ("speeds", Speed.FASTEST, ModelUse(speed=Speed.FASTEST)),
        ("precisions", "bfloat16", ModelUse(precision="bfloat16")),
    ],
)
def test_another_choice_has_the_prompts_told_again(clicked, settled, script, combo, value, use):
    labels = clicked.coordinator.workspace.labels.data
    before = labels.copy()
    choose(getattr(clicked.model.pace, combo), value)
    settled(clicked)
    assert script.opened[-1].use == use
    assert script.told[-1][:3] == ("points", 1, 0)
    assert (labels == before).all()
    assert read_defaults() == use
    clicked.history.undo.click()
    settled(clicked)
    assert not labels.any(), "the click is still a step that can be taken back"


def test_what_is_left_out_is_said_while_it_is(clicked, settled):
    choose(clicked.model.pace.speeds, Speed.BALANCED)
    assert "smaller input" in clicked.model.approximate.text(), "at once, before a session is open"
    settled(clicked)
    said = "Balanced: approximated with squares for blobs."
    assert clicked.model.approximate.text() == said
    assert not clicked.model.approximate.isHidden()
    assert clicked.setup.title.text() == f"{SETUP} · balanced", "also where it is folded away"
    assert said in clicked.setup.title.toolTip()
    choose(clicked.model.pace.speeds, Speed.EXACT)
    settled(clicked)
    assert clicked.model.approximate.isHidden()
    assert clicked.setup.title.text() == SETUP
    assert "approximated" not in clicked.setup.title.toolTip()


def test_a_change_ends_a_run_and_keeps_its_labels(clicked, settled, script, qtbot):
    labels = clicked.coordinator.workspace.labels.data
    script.seconds = 0.1
    clicked.run.forward.click()
    qtbot.waitUntil(lambda: clicked.run.progress.value() >= 2)
    notification_manager.records.clear()
    choose(clicked.model.pace.speeds, Speed.BALANCED)
    assert not clicked.coordinator.running
    settled(clicked)
    assert labels[:2].any(axis=(1, 2)).all()
    assert notification_manager.records == []
    script.seconds = 0
    clicked.run.forward.click()
    settled(clicked)
    assert labels[:4].any(axis=(1, 2)).all()


def test_a_stored_speed_is_said_before_the_start(make_panel, blobs):
    store_defaults(ModelUse(speed=Speed.FASTEST, precision="float32"))
    panel = make_panel(blobs(), keep_settings=True)
    assert panel.model.pace.speed is Speed.FASTEST
    assert panel.model.pace.precisions.value == "float32"
    assert "windows" in panel.model.approximate.text()
    assert panel.setup.title.text() == f"{SETUP} · fastest"


def test_a_session_goes_on_at_its_speed(clicked, make_panel, settled, sessions, script, qtbot):
    choose(clicked.model.pace.speeds, Speed.BALANCED)
    settled(clicked)
    (path,) = sessions.iterdir()
    assert read_session(path).settings["speed"] == "balanced"
    clicked.coordinator.close()
    image = clicked.coordinator._images.image
    panel = make_panel(image.data)  # with the defaults
    qtbot.waitUntil(lambda: not panel.offer.isHidden())
    panel.offer.resume.click()
    settled(panel)
    assert script.opened[-1].use.speed is Speed.BALANCED
    assert panel.model.pace.speed is Speed.BALANCED
    assert read_defaults() == ModelUse(), "for now only"


def test_both_are_within_reach_of_the_keyboard(clicked, settled, script, qtbot):
    pace = clicked.model.pace
    clicked.show()
    clicked.setup.open(True)
    assert pace.title.focusPolicy() & Qt.FocusPolicy.TabFocus
    qtbot.keyClick(pace.title, Qt.Key.Key_Space)
    assert pace.speeds.isVisibleTo(clicked)
    qtbot.keyClick(pace.speeds, Qt.Key.Key_Down)
    qtbot.keyClick(pace.precisions, Qt.Key.Key_Down)
    settled(clicked)
    assert script.opened[-1].use == ModelUse(precision="float32", speed=Speed.BALANCED)


def test_what_was_done_when_the_model_changed_is_known(clicked, settled, script, qtbot):
    script.seconds = 0.05
    clicked.run.both.click()
    qtbot.waitUntil(lambda: ("frame", 2) in script.told, timeout=20_000)
    script.gate.clear()
    choose(clicked.model.pace.speeds, Speed.FASTEST)
    script.gate.set()
    settled(clicked)
    workspace = clicked.coordinator.workspace
    done = np.flatnonzero((workspace.labels.data == 1).any(axis=(1, 2))).tolist()
    assert len(done) >= 3
    assert list(clicked.coordinator.dialogue.shelf.frames((), 1)) == done
