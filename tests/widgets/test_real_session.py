"""The whole way: clicks in real layers, real sessions of the bundled model, labels in the layer.

Masks are those of the Python API, and there are some: bright discs are segmented for certain.
"""

from __future__ import annotations

import numpy as np
import pytest
from half_precision import needs_half_precision
from napari.utils.notifications import NotificationSeverity, notification_manager

from napari_sam2.prompts import read_session
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import TrackingSession, load_model
from napari_sam2.types import Speed
from napari_sam2.widgets.model_choice import Sources
from napari_sam2.widgets.model_use import ModelUse
from napari_sam2.widgets.opening import ModelEntry, device_names, model_entries
from napari_sam2.widgets.stack_panel import Wiring

MODEL = "bundled"


def discs(*shape: int) -> np.ndarray:
    """Two bright discs in noise, in every frame: around (20, 24) and around (38, 44)."""
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    bright = (np.hypot(y - 20, x - 24) < 9) | (np.hypot(y - 38, x - 44) < 7)
    noise = np.random.default_rng(0).normal(0, 20, shape)
    return (150 + 600 * bright + noise).clip(0, 1000).astype(np.float32)


def api_session(image, axis=0, at=None) -> TrackingSession:
    stack = FrameStack(image, axis, channel_axis=None, contrast=(0, 1000), at=at or {})
    return TrackingSession(load_model(MODEL, "cpu"), stack)


@pytest.fixture
def real_panel(make_panel, monkeypatch, qtbot):
    """A panel on the bundled model, all of it real."""
    entries = (ModelEntry(MODEL, "Bundled", "Small.", "BSD-3-Clause", None, True),)
    monkeypatch.setattr(
        "napari_sam2.widgets.model_picker.read_defaults", lambda: ModelUse(MODEL, "cpu")
    )
    monkeypatch.setattr("napari_sam2.widgets.model_picker.store_defaults", lambda _: None)

    def make(image, **settings):
        wiring = Wiring(sources=Sources(lambda: entries, device_names))
        panel = make_panel(image, wiring=wiring, **settings)
        qtbot.waitUntil(lambda: panel.model.devices.count() > 1, timeout=60_000)
        return panel

    return make


def test_the_window_gives_what_the_api_gives(real_panel, settled, mouse):
    image = discs(5, 48, 56)
    panel = real_panel(image, scale=(4, 0.5, 0.5), translate=(-3, 10, 20))
    viewer = panel.viewer
    viewer.dims.set_current_step(0, 2)
    panel.start.click()
    settled(panel)
    workspace = panel.coordinator.workspace

    def world(*position):
        return workspace.image.data_to_world(position)

    mouse(viewer, workspace.points, [world(2, 20, 24)])
    settled(panel)
    mouse(viewer, workspace.points, [world(2, 40, 50)], modifiers=["Shift"])
    settled(panel)
    panel.prompts.next_object.click()
    panel.prompts.tool_buttons["boxes"].click()
    mouse(viewer, workspace.shapes, [world(2, 29, 35), world(2, 38, 44), world(2, 47, 53)])
    settled(panel)

    session = api_session(image)
    session.add_points(1, 2, [(20, 24)])
    session.add_points(1, 2, [(40, 50)], [False])
    session.add_box(2, 2, (29, 35, 47, 53))
    assert np.array_equal(workspace.labels.data[2], session.labels[2])
    assert workspace.labels.data[2].any(), "there is something to compare"

    panel.run.both.click()
    settled(panel)
    for _ in session.propagate("both"):
        pass
    assert np.array_equal(workspace.labels.data, session.labels)
    assert workspace.labels.data.any(axis=(1, 2)).all()

    workspace.points.selected_data = {1}
    workspace.points.remove_selected()
    settled(panel)
    session.set_points(1, 2, [(20, 24)])
    assert np.array_equal(workspace.labels.data, session.labels)


def test_4d_gives_what_the_api_gives_for_that_stack(real_panel, settled, mouse):
    image = discs(3, 4, 48, 56)
    panel = real_panel(image, axis_labels=("t", "z", "y", "x"), scale=(1, 2, 0.3, 0.3))
    viewer = panel.viewer
    panel.stack.axes.choose(1)
    panel.stack.axes.activated.emit(1)
    viewer.dims.set_current_step(0, 2)
    viewer.dims.set_current_step(1, 1)
    panel.start.click()
    settled(panel)
    workspace = panel.coordinator.workspace
    mouse(viewer, workspace.points, [workspace.image.data_to_world((2, 1, 20, 24))])
    panel.run.both.click()
    settled(panel)
    session = api_session(image, axis=1, at={0: 2})
    session.add_points(1, 1, [(20, 24)])
    for _ in session.propagate("both"):
        pass
    assert session.labels.any()
    assert np.array_equal(workspace.labels.data[2], session.labels)
    assert not workspace.labels.data[:2].any()


def test_a_frame_that_cannot_be_read_is_named_and_the_rest_is_done(real_panel, settled, mouse):
    image = discs(6, 48, 56)
    image[4] = np.nan
    panel = real_panel(image)
    panel.start.click()
    settled(panel)
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [workspace.image.data_to_world((0, 20, 24))])
    notification_manager.records.clear()
    panel.run.both.click()
    settled(panel)
    there = workspace.labels.data.any(axis=(1, 2)).tolist()
    assert there == [True, True, True, True, False, True]
    (note,) = notification_manager.records
    assert note.severity == NotificationSeverity.WARNING
    assert note.message.startswith("1 frame was skipped")
    assert "Frame 4 holds no finite pixel" in note.message
    assert panel.hint.text().startswith("Done: 6 frames, 1 of them skipped.")


def test_what_is_kept_replays_click_by_click(real_panel, settled, mouse, sessions, qtbot):
    """In a script, in the command and in another window."""
    image = discs(5, 48, 56)
    panel = real_panel(image, scale=(4, 0.5, 0.5))
    panel.viewer.dims.set_current_step(0, 2)
    panel.start.click()
    settled(panel)
    workspace = panel.coordinator.workspace
    for y, x in ((20, 24), (24, 20)):
        at = workspace.image.data_to_world((2, y, x))
        mouse(panel.viewer, workspace.points, [at])
        settled(panel)
    panel.run.both.click()
    settled(panel)
    panel.viewer.dims.set_current_step(0, 4)
    at = workspace.image.data_to_world((4, 30, 30))
    mouse(panel.viewer, workspace.points, [at], modifiers=["Shift"])
    settled(panel)
    panel.viewer.dims.set_current_step(0, 0)
    panel.review.accept_requested.emit("here")
    settled(panel)
    shown = workspace.labels.data
    decided = [0, 2, 4]
    assert shown[0].any()

    (path,) = sessions.iterdir()
    session = TrackingSession.load(path, load_model(MODEL, "cpu"), image)
    assert session.prompts.get(1, 2).rounds == (1, 1)
    assert session.accepted == ((0, 1),)
    assert session.corrected_masks().keys() == {(4, 1)}, "what came of the correction is kept"
    assert np.array_equal(session.labels[decided], shown[decided])

    again = real_panel(image, scale=(4, 0.5, 0.5))
    qtbot.waitUntil(lambda: not again.offer.isHidden(), timeout=10_000)
    again.offer.resume.click()
    settled(again)
    resumed = again.coordinator.workspace.labels.data
    assert np.array_equal(resumed[decided], shown[decided])
    assert not again.coordinator.workspace.said.painted, "nobody painted"
    for _ in session.propagate("both"):
        pass
    again.run.both.click()
    settled(again)
    assert np.array_equal(resumed, session.labels)
    assert read_session(path).book.get(1, 2).rounds == (1, 1), "still click by click"


def test_models_of_this_machine_are_listed():
    entries = model_entries()
    assert entries[0].name == "bundled"
    assert entries[0].present
    assert {entry.name for entry in entries[1:]} >= {"sam2.1-tiny", "sam2-large"}
    assert device_names()[-1] == "cpu"


@needs_half_precision
def test_speed_and_precision_reach_the_model(real_panel, settled, mouse):
    panel = real_panel(discs(3, 48, 56))
    panel.viewer.dims.set_current_step(0, 1)
    panel.start.click()
    pace = panel.model.pace
    for combo, value in ((pace.speeds, Speed.FASTEST), (pace.precisions, "bfloat16")):
        combo.choose(value)
        combo.activated.emit(combo.currentIndex())
    mouse(panel.viewer, panel.coordinator.workspace.points, [(1, 20, 24)])
    settled(panel)
    session = panel.coordinator._engine._bench.session
    assert session.model.half
    assert session.settings.speed is Speed.FASTEST
    assert session.approximations, "there is something to say"
    for said in session.approximations:
        assert said in panel.model.approximate.text()


def test_a_session_of_composed_channels_replays_on_the_whole_array(
    real_panel, settled, mouse, tmp_path
):
    image = discs(2, 3, 3, 48, 56)
    image[:, 1] *= 100  # channels in contrasts of their own
    panel = real_panel(image, axis_labels=("t", "c", "z", "y", "x"))
    for combo, value in (
        (panel.stack.axes, 2),
        (panel.stack.sight.first, 1),
        (panel.stack.sight.second, 0),
    ):
        combo.choose(value)
        combo.activated.emit(combo.currentIndex())
    panel.viewer.dims.set_current_step((0, 1, 2), (1, 2, 0))
    panel.start.click()
    settled(panel)
    workspace = panel.coordinator.workspace
    mouse(panel.viewer, workspace.points, [workspace.image.data_to_world((1, 2, 0, 20, 24))])
    settled(panel)
    path = tmp_path / "chosen.sam2.json"
    panel.save.session_requested.emit(path)
    settled(panel)
    (written,) = tmp_path.glob("chosen*.json")
    replayed = TrackingSession.load(written, load_model(MODEL, "cpu"), image, axis=2)
    assert np.array_equal(workspace.labels.data[1, 0], replayed.labels)
    assert replayed.labels[0].any()
