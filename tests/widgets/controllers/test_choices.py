"""Choices of image, axis, model and device follow layers, files and settings."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_sam2.errors import DownloadError
from napari_sam2.widgets.stack_panel import Wiring
from napari_sam2.widgets.state.model_catalog import ModelEntry
from napari_sam2.widgets.state.settings import ModelUse, read_defaults, store_defaults
from napari_sam2.widgets.worker.model_fetcher import Sources
from napari_sam2.widgets.worker.thread import THREAD_NAME


def test_image_box_follows_the_layer_list(make_panel, blobs):
    panel = make_panel()
    viewer = panel.viewer
    viewer.add_image(blobs(), name="one")
    viewer.add_labels(blobs())
    assert panel.images_offered == ["one"]
    viewer.add_image(blobs(), name="two")
    assert panel.images_offered == ["two", "one"]
    assert panel.chosen_image_name == "two", "the one that was just opened"
    viewer.layers["two"].name = "renamed"
    assert panel.chosen_image_name == "renamed"
    viewer.layers.remove("renamed")
    assert panel.chosen_image_name == "one"
    viewer.layers.clear()
    assert panel.images_offered == []
    assert not panel.can_start


def test_images_with_equal_names_are_distinguished(make_panel, blobs):
    panel = make_panel()
    first, second = (panel.viewer.add_image(blobs(), name=n) for n in ("same", "other"))
    second.name = "same"
    panel.choose_image(first)
    assert panel.chosen_image is first


@pytest.mark.parametrize(
    ("shape", "labels", "expected"),
    [
        ((20, 30), None, None),
        ((5, 20, 30), None, 0),
        ((3, 9, 20, 30), None, 1),
        ((3, 9, 20, 30), ("t", "z", "y", "x"), 0),
        ((9, 2, 20, 30), ("z", "c", "y", "x"), 0),
        ((2, 9, 20, 30), ("c", "z", "y", "x"), 1),
    ],
)
def test_video_axis_is_guessed(make_panel, shape, labels, expected):
    panel = make_panel(np.zeros(shape, np.uint8), axis_labels=labels)
    assert panel.chosen_axis == expected
    assert panel.can_choose_axis == (len(shape) > 3)


def test_axes_have_names_and_lengths(make_panel):
    panel = make_panel(np.zeros((3, 9, 20, 30), np.uint8), axis_labels=("t", "z", "y", "x"))
    assert panel.axes_offered == ["t, axis 0 (3 frames)", "z, axis 1 (9 slices)"]


@pytest.mark.parametrize(
    ("labels", "units", "kinds"),
    [
        (("t", "z", "y", "x"), None, ["time-lapse", "z-stack"]),
        (None, ("s", "um", "um", "um"), ["time-lapse", "unknown"]),
        (None, "um", ["unknown", "unknown"]),  # of all axes, times too
        (None, None, ["unknown", "unknown"]),
    ],
)
def test_what_frames_are_follows_the_axis_and_is_the_users_choice(
    make_panel, script, labels, units, kinds
):
    image = np.zeros((3, 9, 20, 30), np.uint8)
    panel = make_panel(image, axis_labels=labels, units=units)
    for axis, kind in enumerate(kinds):
        panel.choose_axis(axis)
        assert panel.chosen_kind == kind
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].stack().kind == kinds[1]
    panel.choose_kind("time-lapse")
    assert not panel.source.same_as(panel.chosen_source), "the session stays as it is"
    assert panel.source.kind == kinds[1]
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].stack().kind == "time-lapse"
    panel.choose_axis(0)
    assert panel.chosen_kind == kinds[0], "what was said was said of another axis"


class Shop:
    """Models that can be fetched, slowly, or not at all."""

    def __init__(self) -> None:
        self.present = False
        self.threads: set[str] = set()
        self.fetched: list[str] = []
        self.error: Exception | None = None
        self.gate = threading.Event()

    def sources(self) -> Sources:
        return Sources(self.entries, self.devices, self.fetch)

    def entries(self) -> tuple[ModelEntry, ...]:
        self.threads.add(threading.current_thread().name)
        return (
            ModelEntry("bundled", "Bundled", "Small.", "BSD-3-Clause", None, True),
            ModelEntry(
                "sam2.1-tiny", "SAM 2.1 tiny", "Fast.", "Apache-2.0", 156_008_466, self.present
            ),
        )

    def devices(self) -> tuple[str, ...]:
        self.threads.add(threading.current_thread().name)
        return "cuda", "cpu"

    def fetch(self, name, progress, cancelled) -> bool:
        self.threads.add(threading.current_thread().name)
        self.fetched.append(name)
        progress(50_000_000, 156_008_466)
        while not self.gate.wait(0.01):
            if cancelled():
                return False
        if self.error is not None:
            raise self.error
        self.present = True
        return True


@pytest.fixture
def shop():
    shop = Shop()
    yield shop
    shop.gate.set()


@pytest.fixture
def panel(make_panel, blobs, script, shop, qtbot):
    panel = make_panel(blobs(), wiring=Wiring(script.open, shop.sources()))
    qtbot.waitUntil(lambda: len(panel.devices_offered) == 3)
    return panel


def test_models_and_devices_are_found_off_the_main_thread(panel, shop):
    assert panel.models_offered == ["Bundled", "SAM 2.1 tiny · 156 MB", "From file…"]
    assert panel.devices_offered == ["automatic", "NVIDIA GPU (cuda)", "processor (cpu)"]
    assert all(name.startswith(THREAD_NAME) for name in shop.threads)
    assert panel.chosen_model == "bundled"
    assert panel.chosen_device == "auto"


def test_absent_model_is_downloaded_only_when_asked_for(panel, shop, qtbot, script):
    panel.choose_model("sam2.1-tiny")
    assert "156 MB" in panel.download_text
    assert "Apache-2.0" in panel.download_text
    assert "Download" in panel.hint
    assert not panel.can_start
    qtbot.wait(50)
    assert shop.fetched == []
    panel.download_model()
    qtbot.waitUntil(lambda: panel.download_progress[0] == 50)
    assert panel.download_progress[1] == 156
    shop.gate.set()
    qtbot.waitUntil(lambda: panel.can_start)
    assert shop.fetched == ["sam2.1-tiny"]
    assert panel.chosen_model_title == "SAM 2.1 tiny"
    panel.start()
    panel.wait_idle()
    assert script.opened[-1].use.model == "sam2.1-tiny"


def test_download_can_be_cancelled(panel, shop, qtbot):
    panel.choose_model("sam2.1-tiny")
    panel.download_model()
    qtbot.waitUntil(lambda: panel.download_progress[0] == 50)
    panel.cancel_download()
    qtbot.waitUntil(lambda: panel.offers_download)
    assert not panel.can_start
    assert not shop.present


def test_failed_download_is_a_notification_and_can_be_tried_again(panel, shop, qtbot):
    shop.error = DownloadError("No network.", remedy="Put the file into the cache folder.")
    panel.choose_model("sam2.1-tiny")
    panel.download_model()
    shop.gate.set()
    qtbot.waitUntil(lambda: panel.offers_download)
    qtbot.waitUntil(
        lambda: any(
            note.message == "No network. Put the file into the cache folder."
            for note in notification_manager.records
        )
    )
    shop.error = None
    panel.download_model()
    qtbot.waitUntil(lambda: panel.can_start)


def test_closing_mid_download_ends_it(panel, shop, qtbot, our_threads):
    panel.choose_model("sam2.1-tiny")
    panel.download_model()
    qtbot.waitUntil(lambda: bool(shop.fetched))
    panel.close()
    qtbot.waitUntil(lambda: not our_threads())
    assert not shop.present


def test_clicks_are_answered_during_a_download(panel, shop, qtbot, script):
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.choose_model("sam2.1-tiny")
    panel.download_model()
    panel.choose_model("bundled")
    panel.click(0, 8, 8)
    panel.wait_idle()
    assert (panel.labels[0] == 1).sum() == 100
    assert panel.shows_download
    assert {spec.use.model for spec in script.opened} == {"bundled"}


def test_finished_download_does_not_disturb_a_run(panel, shop, qtbot, script):
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.choose_model("sam2.1-tiny")
    panel.download_model()
    assert "on its way" in panel.hint
    panel.choose_model("bundled")
    panel.click(0, 8, 8)
    panel.wait_idle()
    script.seconds = 0.1
    panel.propagate("both")
    qtbot.waitUntil(lambda: panel.frames_done >= 1)
    shop.gate.set()
    qtbot.waitUntil(lambda: panel.models_offered[1] == "SAM 2.1 tiny")
    assert panel.running
    panel.wait_idle()
    assert panel.labels[3].any()


@pytest.mark.stored_choices
def test_choices_are_stored_for_the_next_panel(panel, shop, make_panel, qtbot):
    panel.choose_device("cuda")
    panel.choose_model("sam2.1-tiny")
    assert read_defaults() == ModelUse(model="sam2.1-tiny", device="cuda")


@pytest.mark.stored_choices
def test_stored_device_that_is_not_here_becomes_automatic(make_panel, qtbot):
    store_defaults(ModelUse(device="mps"))
    panel = make_panel(keep_settings=True)
    qtbot.waitUntil(lambda: panel.chosen_device == "auto")
    assert panel.devices_offered == ["automatic", "processor (cpu)"]
    assert panel.model_use.device == "auto"


def pick_file(monkeypatch, path) -> None:
    monkeypatch.setattr(
        "napari_sam2.widgets.views.model_section.QFileDialog.getOpenFileName",
        lambda *_: (str(path), ""),
    )


@pytest.mark.stored_choices
def test_model_from_a_file_is_used_and_remembered(
    panel, make_panel, script, shop, monkeypatch, tmp_path, qtbot
):
    path = tmp_path / "tuned.safetensors"
    pick_file(monkeypatch, path)
    panel.start()
    panel.wait_idle()
    panel.choose_model_from_file()
    panel.wait_idle()
    assert panel.chosen_model_title == "tuned.safetensors"
    assert script.opened[-1].use.model == str(path)
    assert read_defaults().model == str(path)
    again = make_panel(wiring=Wiring(script.open, shop.sources()), keep_settings=True)
    qtbot.waitUntil(lambda: len(again.devices_offered) == 3)
    assert again.chosen_model == str(path)
    again.choose_model("bundled")
    assert read_defaults().model == "bundled"


def test_no_file_chosen_leaves_the_model(panel, monkeypatch):
    pick_file(monkeypatch, "")
    panel.choose_model_from_file()
    assert panel.chosen_model == "bundled"


def test_large_model_shows_its_size(make_panel, script, qtbot):
    large = ModelEntry("sam2.1-large", "SAM 2.1 large", "Best.", "Apache-2.0", 898_083_611, True)
    small = ModelEntry("bundled", "Bundled", "Small.", "BSD-3-Clause", None, True)
    sources = Sources(lambda: (small, large), lambda: ("cpu",), None)
    panel = make_panel(wiring=Wiring(script.open, sources))
    qtbot.waitUntil(lambda: len(panel.models_offered) == 3)
    assert panel.model_note == ""
    panel.choose_model("sam2.1-large")
    assert "898 MB" in panel.model_note


def test_unloaded_model_is_loaded_by_the_next_click(make_panel, blobs, script, sources):
    released = []

    class Opener:
        def __call__(self, spec, tell):
            return script.open(spec, tell)

        def release(self):
            released.append(threading.current_thread().name)

    panel = make_panel(blobs(), wiring=Wiring(Opener(), sources))
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.add_point(0, 8, 8)
    panel.wait_idle()
    labels = panel.labels
    panel.unload_model()
    panel.wait_idle()
    assert [name.startswith(THREAD_NAME) for name in released] == [True]
    assert (panel.labels == labels).all()
    before = len(script.opened)
    panel.add_point(0, 12, 12)
    panel.wait_idle()
    assert len(script.opened) == before + 1
    assert (panel.labels[0] == 1).sum() == 100


def test_checkpoint_of_a_session_is_used_if_it_exists(make_panel, blobs, tmp_path, qtbot):
    path = tmp_path / "cells.adapted.safetensors"
    panel = make_panel(blobs())
    qtbot.waitUntil(lambda: len(panel.models_offered) > 2)
    panel.use_model_of_session(str(path), "exact")
    panel.use_model_of_session(str(tmp_path / "gone.safetensors"), "exact")
    path.touch()
    panel.use_model_of_session(str(path), "exact")
    qtbot.waitUntil(lambda: panel.model_use.model == str(path))
    assert panel.chosen_model_title == "cells (adapted)"
    assert read_defaults().model == "bundled", "no setting is changed"
    assert not any("gone" in text for text in panel.models_offered)
