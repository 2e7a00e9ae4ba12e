"""Speed and precision are chosen and stored, and approximations are shown."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_sam2.prompts import read_session
from napari_sam2.types import Speed
from napari_sam2.widgets.state.settings import ModelUse, read_defaults, store_defaults

SETUP = "Image and model"


@pytest.fixture
def clicked(started):
    """A panel with an object in frame 0."""
    started.click(0, 8, 8)
    started.wait_idle()
    return started


def test_nothing_is_approximated_by_default(clicked, script):
    assert script.opened[-1].use == ModelUse()
    assert clicked.approximation_text == ""
    assert clicked.setup_title == SETUP


@pytest.mark.parametrize(
    ("choice", "value", "use"),
    [
        ("speed", Speed.FASTEST, ModelUse(speed=Speed.FASTEST)),
        ("precision", "bfloat16", ModelUse(precision="bfloat16")),
    ],
)
@pytest.mark.stored_choices
def test_another_speed_or_precision_gets_all_prompts_again(clicked, script, choice, value, use):
    labels = clicked.labels_layer.data
    before = labels.copy()
    getattr(clicked, f"choose_{choice}")(value)
    clicked.wait_idle()
    assert script.opened[-1].use == use
    assert script.told[-1][:3] == ("points", 1, 0)
    assert (labels == before).all()
    assert read_defaults() == use
    clicked.undo()
    clicked.wait_idle()
    assert not labels.any(), "the click is still a step that can be taken back"


def test_panel_says_what_an_approximate_speed_leaves_out(clicked):
    clicked.choose_speed(Speed.BALANCED)
    assert "smaller input" in clicked.approximation_text, "at once, before a session is open"
    clicked.wait_idle()
    said = "Balanced: approximated with squares for blobs."
    assert clicked.approximation_text == said
    assert clicked.setup_title == f"{SETUP} · balanced", "also where it is folded away"
    assert said in clicked.setup_tooltip
    clicked.choose_speed(Speed.EXACT)
    clicked.wait_idle()
    assert clicked.approximation_text == ""
    assert clicked.setup_title == SETUP
    assert "approximated" not in clicked.setup_tooltip


def test_changed_speed_ends_a_run_and_keeps_its_labels(clicked, script, qtbot):
    labels = clicked.labels_layer.data
    script.seconds = 0.1
    clicked.propagate("forward")
    qtbot.waitUntil(lambda: clicked.frames_done >= 2)
    notification_manager.records.clear()
    clicked.choose_speed(Speed.BALANCED)
    assert not clicked.running
    clicked.wait_idle()
    assert labels[:2].any(axis=(1, 2)).all()
    assert notification_manager.records == []
    script.seconds = 0
    clicked.propagate("forward")
    clicked.wait_idle()
    assert labels[:4].any(axis=(1, 2)).all()


@pytest.mark.stored_choices
def test_stored_speed_is_shown_before_the_start(make_panel, blobs):
    store_defaults(ModelUse(speed=Speed.FASTEST, precision="float32"))
    panel = make_panel(blobs(), keep_settings=True)
    assert panel.chosen_speed is Speed.FASTEST
    assert panel.chosen_precision == "float32"
    assert "windows" in panel.approximation_text
    assert panel.setup_title == f"{SETUP} · fastest"


def test_resumed_session_has_its_speed(clicked, make_panel, sessions, script, qtbot):
    clicked.choose_speed(Speed.BALANCED)
    clicked.wait_idle()
    (path,) = sessions.iterdir()
    assert read_session(path).settings["speed"] == "balanced"
    clicked.close()
    image = clicked.chosen_image
    panel = make_panel(image.data)  # with the defaults
    qtbot.waitUntil(lambda: panel.offers_to_resume)
    panel.resume()
    panel.wait_idle()
    assert script.opened[-1].use.speed is Speed.BALANCED
    assert panel.chosen_speed is Speed.BALANCED
    assert read_defaults() == ModelUse(), "for now only"


def test_keyboard_reaches_speed_and_precision(clicked, script, qtbot):
    section = clicked.speed_section
    clicked.widget.show()
    clicked.unfold_setup()
    assert section.title.focusPolicy() & Qt.FocusPolicy.TabFocus
    qtbot.keyClick(section.title, Qt.Key.Key_Space)
    assert clicked.settings.speed.native.isVisibleTo(clicked.widget)
    qtbot.keyClick(clicked.settings.speed.native, Qt.Key.Key_Down)
    qtbot.keyClick(clicked.settings.precision.native, Qt.Key.Key_Down)
    clicked.wait_idle()
    assert script.opened[-1].use == ModelUse(precision="float32", speed=Speed.BALANCED)


def test_frames_done_before_a_speed_change_stay_listed(clicked, script, qtbot):
    script.seconds = 0.05
    clicked.propagate("both")
    qtbot.waitUntil(lambda: ("frame", 2) in script.told, timeout=20_000)
    script.gate.clear()
    clicked.choose_speed(Speed.FASTEST)
    script.gate.set()
    clicked.wait_idle()
    done = np.flatnonzero((clicked.labels == 1).any(axis=(1, 2))).tolist()
    assert len(done) >= 3
    assert list(clicked.frames_of(1)) == done
