"""The panel with real sessions of the bundled model gives the labels that the Python API gives.

Bright discs in noise are segmented for certain, so that there are masks to compare.
"""

from __future__ import annotations

import numpy as np
import pytest
from dividing_cell import FIRST, FRAMES, dividing_cell
from half_precision import needs_half_precision
from napari.components import ViewerModel
from napari.layers._source import layer_source
from napari.utils.notifications import NotificationSeverity, notification_manager

from napari_sam2.prompts import read_session
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import TrackingSession, load_model
from napari_sam2.types import Speed
from napari_sam2.widgets.stack_panel import Wiring
from napari_sam2.widgets.state.model_catalog import ModelEntry, device_names, model_entries
from napari_sam2.widgets.state.settings import ModelUse
from napari_sam2.widgets.worker.model_fetcher import Sources

MODEL = "bundled"

pytestmark = pytest.mark.usefixtures("bundled_stays_loaded")


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
        "napari_sam2.widgets.controllers.model.read_defaults", lambda: ModelUse(MODEL, "cpu")
    )
    monkeypatch.setattr("napari_sam2.widgets.controllers.model.store_defaults", lambda _: None)

    def make(image, **settings):
        wiring = Wiring(sources=Sources(lambda: entries, device_names))
        panel = make_panel(image, wiring=wiring, **settings)
        qtbot.waitUntil(lambda: len(panel.devices_offered) > 1, timeout=60_000)
        return panel

    return make


def test_panel_and_api_give_the_same_labels(real_panel):
    image = discs(5, 48, 56)
    panel = real_panel(image, scale=(4, 0.5, 0.5), translate=(-3, 10, 20))
    viewer = panel.viewer
    viewer.dims.set_current_step(0, 2)
    panel.start()
    panel.wait_idle()

    def world(*position):
        return panel.image_layer.data_to_world(position)

    panel.click(2, 20, 24)
    panel.wait_idle()
    panel.click(2, 40, 50, shift=True)
    panel.wait_idle()
    panel.next_object()
    panel.choose_tool("boxes")
    panel.draw_box((2, 29, 35), (2, 47, 53))
    panel.wait_idle()

    session = api_session(image)
    session.add_points(1, 2, [(20, 24)])
    session.add_points(1, 2, [(40, 50)], [False])
    session.add_box(2, 2, (29, 35, 47, 53))
    assert np.array_equal(panel.labels[2], session.labels[2])
    assert panel.labels[2].any(), "there is something to compare"

    panel.propagate("both")
    panel.wait_idle()
    for _ in session.propagate("both"):
        pass
    assert np.array_equal(panel.labels, session.labels)
    assert panel.labels.any(axis=(1, 2)).all()

    panel.delete_point(1)
    panel.wait_idle()
    session.set_points(1, 2, [(20, 24)])
    assert np.array_equal(panel.labels, session.labels)


def test_panel_and_api_give_the_same_labels_for_a_4d_stack(real_panel):
    image = discs(3, 4, 48, 56)
    panel = real_panel(image, axis_labels=("t", "z", "y", "x"), scale=(1, 2, 0.3, 0.3))
    viewer = panel.viewer
    panel.choose_axis(1)
    viewer.dims.set_current_step(0, 2)
    viewer.dims.set_current_step(1, 1)
    panel.start()
    panel.wait_idle()
    panel.click(2, 1, 20, 24)
    panel.propagate("both")
    panel.wait_idle()
    session = api_session(image, axis=1, at={0: 2})
    session.add_points(1, 1, [(20, 24)])
    for _ in session.propagate("both"):
        pass
    assert session.labels.any()
    assert np.array_equal(panel.labels[2], session.labels)
    assert not panel.labels[:2].any()


def test_unreadable_frame_is_reported_and_skipped(real_panel):
    image = discs(6, 48, 56)
    image[4] = np.nan
    panel = real_panel(image)
    panel.start()
    panel.wait_idle()
    panel.click(0, 20, 24)
    notification_manager.records.clear()
    panel.propagate("both")
    panel.wait_idle()
    there = panel.labels.any(axis=(1, 2)).tolist()
    assert there == [True, True, True, True, False, True]
    (note,) = notification_manager.records
    assert note.severity == NotificationSeverity.WARNING
    assert note.message.startswith("1 frame was skipped")
    assert "Frame 4 holds no finite pixel" in note.message
    assert panel.hint.startswith("Done: 6 frames, 1 of them skipped.")


def test_saved_session_replays_click_by_click(real_panel, sessions, qtbot):
    """In a script, in the command and in another window."""
    image = discs(5, 48, 56)
    panel = real_panel(image, scale=(4, 0.5, 0.5))
    panel.viewer.dims.set_current_step(0, 2)
    panel.start()
    panel.wait_idle()
    for y, x in ((20, 24), (24, 20)):
        panel.click(2, y, x)
        panel.wait_idle()
    panel.propagate("both")
    panel.wait_idle()
    panel.viewer.dims.set_current_step(0, 4)
    panel.click(4, 30, 30, shift=True)
    panel.wait_idle()
    panel.viewer.dims.set_current_step(0, 0)
    panel.accept("here")
    panel.wait_idle()
    shown = panel.labels_layer.data
    decided = [0, 2, 4]
    assert shown[0].any()

    (path,) = sessions.glob("*.json")
    session = TrackingSession.load(path, load_model(MODEL, "cpu"), image)
    assert session.prompts.get(1, 2).rounds == (1, 1)
    assert session.accepted == ((1, 0),)
    assert session.corrected_masks().keys() == {(1, 4)}, "what came of the correction is kept"
    assert np.array_equal(session.labels[decided], shown[decided])

    again = real_panel(image, scale=(4, 0.5, 0.5))
    qtbot.waitUntil(lambda: again.offers_to_resume, timeout=10_000)
    again.resume()
    again.wait_idle()
    resumed = again.labels_layer.data
    assert np.array_equal(resumed[decided], shown[decided])
    assert not again.painted, "nobody painted"
    for _ in session.propagate("both"):
        pass
    again.propagate("both")
    again.wait_idle()
    assert np.array_equal(resumed, session.labels)
    assert read_session(path).book.get(1, 2).rounds == (1, 1), "still click by click"


def test_models_of_this_machine_are_listed():
    entries = model_entries()
    assert entries[0].name == "bundled"
    assert entries[0].present
    assert {entry.name for entry in entries[1:]} >= {"sam2.1-tiny", "sam2-large"}
    assert device_names()[-1] == "cpu"


@needs_half_precision
def test_speed_and_precision_reach_the_model(real_panel):
    panel = real_panel(discs(3, 48, 56))
    panel.viewer.dims.set_current_step(0, 1)
    panel.start()
    panel.choose_speed(Speed.FASTEST)
    panel.choose_precision("bfloat16")
    panel.click(1, 20, 24)
    panel.wait_idle()
    session = panel.session
    assert session.model.half
    assert session.settings.speed is Speed.FASTEST
    assert session.approximations, "there is something to say"
    for said in session.approximations:
        assert said in panel.approximation_text


def test_a_session_of_composed_channels_replays_on_the_whole_array(real_panel, tmp_path):
    image = discs(2, 3, 3, 48, 56)
    image[:, 1] *= 100  # channels in contrasts of their own
    panel = real_panel(image, axis_labels=("t", "c", "z", "y", "x"))
    panel.choose_axis(2)
    panel.choose_channel(1, 1)
    panel.choose_channel(2, 0)
    panel.viewer.dims.set_current_step((0, 1, 2), (1, 2, 0))
    panel.start()
    panel.wait_idle()
    panel.click(1, 2, 0, 20, 24)
    panel.wait_idle()
    path = tmp_path / "chosen.sam2.json"
    panel.keep_session_in(path)
    panel.wait_idle()
    (written,) = tmp_path.glob("chosen*.json")
    replayed = TrackingSession.load(written, load_model(MODEL, "cpu"), image, axis=2)
    assert np.array_equal(panel.labels[1, 0], replayed.labels)
    assert replayed.labels[0].any()


@pytest.fixture
def on_disk(real_panel, folder, qtbot):
    """``on_disk(image)``: a panel in a viewer of its own, on an image of a file."""

    def make(image):
        viewer = ViewerModel()
        with layer_source(path=str(folder / "cells.ome.tif")):
            layer = viewer.add_image(image, name="cells")
        layer.contrast_limits = (0, 1000)
        panel = real_panel(None, viewer=viewer)
        panel.wait_idle()
        qtbot.wait(20)  # what was found is told
        return panel

    return make


def propagated(panel):
    panel.viewer.dims.set_current_step(0, 2)
    panel.start()
    panel.wait_idle()
    panel.click(2, 20, 24)
    panel.wait_idle()
    panel.propagate("both")
    panel.wait_idle()
    return panel


def test_resume_shows_labels_and_scores_and_computes_nothing_again(on_disk, folder):
    image = discs(5, 48, 56)
    notification_manager.records.clear()
    panel = propagated(on_disk(image))
    labels = panel.labels.copy()
    assert labels.any(axis=(1, 2)).all()
    panel.close()
    assert (folder / "cells.sam2.zarr").is_dir()
    again = on_disk(image)
    assert again.offers_to_resume
    again.resume()
    again.wait_idle()
    assert [note.message for note in notification_manager.records] == []
    np.testing.assert_array_equal(again.labels, labels)
    again.propagate("both")
    again.wait_idle()
    np.testing.assert_array_equal(again.labels, labels)


def test_a_file_that_was_replaced_by_another_is_not_given_the_work(on_disk):
    panel = propagated(on_disk(discs(5, 48, 56)))
    panel.close()
    assert not on_disk(discs(5, 48, 56)[:, ::-1].copy()).offers_to_resume


def test_found_objects_are_those_of_the_api_in_one_step_and_in_the_file(real_panel, sessions):
    image = discs(3, 48, 56)
    panel = real_panel(image, scale=(4, 0.3, 0.3), translate=(-3, 10.7, 20.1))
    panel.viewer.dims.set_current_step(0, 1)
    panel.start()
    panel.wait_idle()
    panel.find_objects()
    panel.wait_idle()
    session = api_session(image)
    ids = session.find_objects(1)
    assert {session.labels[1, 20, 24], session.labels[1, 38, 44]} <= set(ids)
    assert np.array_equal(panel.labels, session.labels)
    assert panel.found == set(ids)
    panel.click(1, 38, 52, shift=True, object_id=int(session.labels[1, 38, 44]))
    panel.wait_idle()
    others = ids[0], *ids[2:]
    assert panel.found == set(others)
    labels = panel.labels
    assert np.array_equal(np.isin(labels, others), np.isin(session.labels, others)), (
        "not sent again"
    )

    (path,) = sessions.glob("*.json")
    replayed = TrackingSession.load(path, load_model(MODEL, "cpu"), image)
    assert replayed.found_objects == others
    panel.propagate("both")
    panel.wait_idle()
    assert set(np.unique(panel.labels[2])) & set(ids)
    for _ in range(3):
        panel.undo()
        panel.wait_idle()
    assert not panel.labels.any()
    assert len(panel.points) == 0
    panel.redo()
    panel.wait_idle()
    assert np.array_equal(panel.labels, session.labels)


def test_a_division_that_a_search_finds_is_a_part_of_its_step(real_panel, sessions):
    panel = real_panel(dividing_cell() * 4.0, axis_labels=("t", "y", "x"))
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    panel.settings.look_again.value = 4
    panel.find_objects()
    panel.wait_idle()
    (path,) = sessions.glob("*.json")
    (division,) = read_session(path).divisions
    assert division.frame == FIRST
    labels = panel.labels.copy()
    for object_id, frames in [(division.parent, range(FIRST))] + [
        (child, range(FIRST, FRAMES)) for child in division.children
    ]:
        assert np.flatnonzero((labels == object_id).any(axis=(1, 2))).tolist() == list(frames)
    panel.undo()
    panel.wait_idle()
    assert not panel.labels.any()
    assert not path.exists() or read_session(path).divisions == ()
    panel.redo()
    panel.wait_idle()
    assert np.array_equal(panel.labels, labels)
    assert read_session(path).divisions == (division,)
