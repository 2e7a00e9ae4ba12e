"""The form of `segment_stack` in a real window: off the main thread, cancelled, closed."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.notifications import notification_manager

from napari_sam2.types import Direction, Speed
from napari_sam2.widgets.segment_form import SegmentForm
from napari_sam2.widgets.state.settings import ModelUse, store_defaults
from napari_sam2.widgets.views.fields import PanelFields
from napari_sam2.widgets.worker.thread import THREAD_NAME

pytestmark = pytest.mark.gl


@pytest.fixture
def viewer(make_napari_viewer, blobs):
    """The blobs, and two points on them."""
    viewer = make_napari_viewer()
    viewer.add_image(blobs(), contrast_limits=(0, 1000), name="blobs")
    viewer.add_points([(0, 8, 8), (0, 25, 30)], name="clicks")
    return viewer


@pytest.fixture
def form(viewer, script, sources, qtbot, our_threads):
    """A form in the dock of that viewer."""
    store_defaults(ModelUse())
    form = SegmentForm(script.open, sources)
    viewer.window.add_dock_widget(form, name="SAM 2")
    form.points.value = viewer.layers["clicks"]
    qtbot.waitUntil(lambda: "cpu" in form.device.choices)
    notification_manager.records.clear()
    yield form
    script.gate.set()
    form.close_down()
    qtbot.waitUntil(lambda: not our_threads(), timeout=20_000)


@pytest.fixture
def held(form, script, qtbot):
    """The form in the middle of a run that is held after two frames."""
    script.seconds = 0.05
    form()
    qtbot.waitUntil(lambda: ("frame", 1) in script.told, timeout=20_000)
    script.gate.clear()
    return form


def labels(viewer) -> list[Labels]:
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def texts(combo) -> list[str]:
    return [combo.itemText(i) for i in range(combo.count())]


def test_fields_match_the_parameters_and_say_what_they_are(form):
    assert [widget.name for widget in form][:9] == [
        *("image", "points", "points_note", "shapes", "labels", "model", "device", "axis"),
        "direction",
    ]
    assert form.axis.value is None
    assert form.axis.choices == (None, 0)
    assert form.model.choices == ("bundled",), "models that are not here are not offered"
    assert Direction(form.direction.value) is Direction.BOTH  # PySide6 gives the text of it
    names = ("image", "points", "shapes", "labels", "model", "device", "axis", "direction")
    titles = [form[name].label for name in (*names, "through", "speed", "precision")]
    assert titles == [
        *("Image", "Points", "Shapes", "Labels", "Model", "Device", "Video axis", "Direction"),
        *("Then go on along", "Speed", "Precision"),
    ]
    assert "Each point is an object" in form["points_note"].value
    assert form.index(form["points_note"]) == form.index(form["points"]) + 1


def test_speed_and_precision_have_the_titles_of_the_panel(form, script, qtbot):
    panel = PanelFields()
    qtbot.addWidget(panel.native)
    for field, of_panel in ((form.speed, panel.speed), (form.precision, panel.precision)):
        assert texts(field.native) == texts(of_panel.native)
    form.precision.native.setCurrentIndex(2)
    form()
    qtbot.waitUntil(lambda: not form.busy, timeout=20_000)
    assert script.opened[-1].use == ModelUse("bundled", "auto", "bfloat16", Speed.EXACT)


@pytest.mark.stored_choices
def test_form_starts_with_the_stored_settings(viewer, script, sources, qtbot):
    use = ModelUse("/models/mine.safetensors", "cpu", "bfloat16", Speed.BALANCED)
    store_defaults(use)
    form = SegmentForm(script.open, sources)
    qtbot.waitUntil(lambda: "auto" in form.device.choices and "bundled" in form.model.choices)
    chosen = (form.model.value, form.device.value, form.precision.value, form.speed.value)
    assert ModelUse(*chosen) == use
    assert sorted(texts(form.model.native)) == ["Bundled", "mine.safetensors"]
    form.close_down()


def test_button_segments_in_another_thread_and_gives_the_layer(form, viewer, script, qtbot):
    given = []
    form.called.connect(given.append)
    form.call_button.native.click()
    assert form.busy
    qtbot.waitUntil(lambda: bool(given) and not form.busy, timeout=20_000)
    (layer,) = labels(viewer)
    assert given == [layer]
    assert layer.name == "blobs · SAM 2"
    assert set(np.unique(layer.data)) == {0, 1, 2}
    assert script.threads == {f"{THREAD_NAME}-script"}
    assert not form.call_button.native.isHidden()
    assert form.cancel_button.native.isHidden()


def test_call_accepts_a_region(form, viewer, qtbot):
    form(region=(0, 0, 12, 50))
    qtbot.waitUntil(lambda: not form.busy, timeout=20_000)
    (layer,) = labels(viewer)
    assert set(np.unique(layer.data)) == {0, 1}
    assert not layer.data[:, 12:].any()


def test_cancel_keeps_the_frames_that_are_done(held, viewer, script, qtbot):
    assert held.call_button.native.isHidden()
    held.cancel_button.native.click()
    script.gate.set()
    qtbot.waitUntil(lambda: not held.busy, timeout=20_000)
    (layer,) = labels(viewer)
    assert layer.data[0].any()
    assert not layer.data[-1].any()


def test_errors_are_shown_and_the_form_can_be_used_again(form, viewer, script, qtbot):
    form.points.value = None
    form()
    qtbot.waitUntil(lambda: not form.busy, timeout=20_000)
    assert "no prompt" in notification_manager.records[-1].message
    form.points.value = viewer.layers["clicks"]
    script.fault = lambda step: RuntimeError("device lost") if step == "frame" else None
    form()
    qtbot.waitUntil(lambda: not form.busy, timeout=20_000)
    assert "device lost" in notification_manager.records[-1].message
    assert not labels(viewer)
    script.fault = lambda _: None
    form()
    qtbot.waitUntil(lambda: not form.busy, timeout=20_000)
    assert len(labels(viewer)) == 1


def test_unreadable_frames_are_reported(form, viewer, qtbot):
    image = viewer.layers["blobs"]
    image.data = image.data.astype(np.float32)
    image.data[[1, 3, 4, 5]] = np.nan
    form()
    qtbot.waitUntil(lambda: not form.busy, timeout=20_000)
    assert labels(viewer)[0].data.any(axis=(1, 2)).tolist() == [1, 0, 1, 0, 0, 0]
    (note,) = notification_manager.records
    assert note.message.startswith("4 frames were skipped")
    assert "Frame 1 holds" in note.message
    assert "And 1 more." in note.message


def test_removing_the_image_mid_run_is_no_error(form, viewer, script, qtbot):
    script.gate.clear()
    form()
    viewer.layers.remove("blobs")
    script.gate.set()
    qtbot.waitUntil(lambda: not form.busy, timeout=20_000)
    assert labels(viewer)[0].data.any()
    assert notification_manager.records == []


def test_closing_the_window_mid_run_leaves_no_thread(held, viewer, script, qtbot, our_threads):
    viewer.close()
    qtbot.waitUntil(lambda: held.closed, timeout=9_000)
    script.gate.set()
    qtbot.waitUntil(lambda: not our_threads(), timeout=20_000)
    assert ("frame", 5) not in script.told
    assert notification_manager.records == []


def test_closing_the_dock_mid_run_leaves_no_thread(held, viewer, script, qtbot, our_threads):
    held.native.parent().destroyOnClose()
    qtbot.waitUntil(lambda: held.closed, timeout=9_000)
    script.gate.set()
    qtbot.waitUntil(lambda: not our_threads(), timeout=20_000)
    assert ("frame", 5) not in script.told
    assert notification_manager.records == []
    assert not labels(viewer)
