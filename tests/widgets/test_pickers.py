"""The boxes follow the layers, the models and the settings there are."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_sam2.errors import DownloadError
from napari_sam2.widgets.model_choice import Sources
from napari_sam2.widgets.model_use import ModelUse
from napari_sam2.widgets.opening import ModelEntry
from napari_sam2.widgets.settings import read_defaults, store_defaults
from napari_sam2.widgets.stack_panel import Wiring
from napari_sam2.widgets.worker import THREAD_NAME


def choose(combo, value) -> None:
    """Choose an item as the user does."""
    combo.choose(value)
    combo.activated.emit(combo.currentIndex())


def texts(combo) -> list[str]:
    return [combo.itemText(i) for i in range(combo.count())]


def test_image_box_follows_the_layer_list(make_panel, blobs):
    panel = make_panel()
    viewer = panel.viewer
    viewer.add_image(blobs(), name="one")
    viewer.add_labels(blobs())
    assert texts(panel.stack.images) == ["one"]
    viewer.add_image(blobs(), name="two")
    assert texts(panel.stack.images) == ["two", "one"]
    assert panel.stack.images.currentText() == "two", "the one that was just opened"
    viewer.layers["two"].name = "renamed"
    assert panel.stack.images.currentText() == "renamed"
    viewer.layers.remove("renamed")
    assert panel.stack.images.currentText() == "one"
    viewer.layers.clear()
    assert texts(panel.stack.images) == []
    assert not panel.start.isEnabled()


def test_images_of_one_name_are_told_apart(make_panel, blobs):
    panel = make_panel()
    first, second = (panel.viewer.add_image(blobs(), name=n) for n in ("same", "other"))
    second.name = "same"
    choose(panel.stack.images, first)
    assert panel.coordinator._images.image is first


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
    assert panel.stack.axes.value == expected
    assert panel.stack.axes.isEnabled() == (len(shape) > 3)


def test_axes_have_names_and_lengths(make_panel):
    panel = make_panel(np.zeros((3, 9, 20, 30), np.uint8), axis_labels=("t", "z", "y", "x"))
    assert texts(panel.stack.axes) == ["t (3 frames)", "z (9 slices)"]


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
    qtbot.waitUntil(lambda: panel.model.devices.count() == 3)
    return panel


def test_models_and_devices_are_found_off_the_main_thread(panel, shop):
    assert texts(panel.model.models) == ["Bundled", "SAM 2.1 tiny · 156 MB", "From file…"]
    assert texts(panel.model.devices) == ["automatic", "NVIDIA GPU (cuda)", "processor (cpu)"]
    assert all(name.startswith(THREAD_NAME) for name in shop.threads)
    assert panel.model.models.value == "bundled"
    assert panel.model.devices.value == "auto"


def test_absent_model_is_downloaded_only_when_asked_for(panel, shop, qtbot, script, settled):
    choose(panel.model.models, "sam2.1-tiny")
    assert "156 MB" in panel.model.missing.text()
    assert "Apache-2.0" in panel.model.missing.text()
    assert "Download" in panel.hint.text()
    assert not panel.start.isEnabled()
    qtbot.wait(50)
    assert shop.fetched == []
    panel.model.download.click()
    qtbot.waitUntil(lambda: panel.model.progress.value() == 50)
    assert panel.model.progress.maximum() == 156
    shop.gate.set()
    qtbot.waitUntil(panel.start.isEnabled)
    assert shop.fetched == ["sam2.1-tiny"]
    assert panel.model.models.currentText() == "SAM 2.1 tiny"
    panel.start.click()
    settled(panel)
    assert script.opened[-1].use.model == "sam2.1-tiny"


def test_download_can_be_cancelled(panel, shop, qtbot):
    choose(panel.model.models, "sam2.1-tiny")
    panel.model.download.click()
    qtbot.waitUntil(lambda: panel.model.progress.value() == 50)
    panel.model.cancel.click()
    qtbot.waitUntil(lambda: panel.model.download.isVisibleTo(panel))
    assert not panel.start.isEnabled()
    assert not shop.present


def test_failed_download_is_a_notification_and_can_be_tried_again(panel, shop, qtbot):
    shop.error = DownloadError("No network.", remedy="Put the file into the cache folder.")
    choose(panel.model.models, "sam2.1-tiny")
    panel.model.download.click()
    shop.gate.set()
    qtbot.waitUntil(lambda: panel.model.download.isVisibleTo(panel))
    qtbot.waitUntil(
        lambda: any(
            note.message == "No network. Put the file into the cache folder."
            for note in notification_manager.records
        )
    )
    shop.error = None
    panel.model.download.click()
    qtbot.waitUntil(panel.start.isEnabled)


def test_closing_mid_download_ends_it(panel, shop, qtbot, our_threads):
    choose(panel.model.models, "sam2.1-tiny")
    panel.model.download.click()
    qtbot.waitUntil(lambda: bool(shop.fetched))
    panel.coordinator.close()
    qtbot.waitUntil(lambda: not our_threads())
    assert not shop.present


def test_work_goes_on_while_a_model_arrives(panel, shop, qtbot, settled, mouse, script):
    panel.viewer.dims.set_current_step(0, 0)
    panel.start.click()
    choose(panel.model.models, "sam2.1-tiny")
    panel.model.download.click()
    choose(panel.model.models, "bundled")
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    assert (panel.coordinator.workspace.labels.data[0] == 1).sum() == 100
    assert panel.model.cancel.isVisibleTo(panel)
    assert {spec.use.model for spec in script.opened} == {"bundled"}


def test_end_of_a_download_disturbs_no_run(panel, shop, qtbot, settled, mouse, script):
    panel.viewer.dims.set_current_step(0, 0)
    panel.start.click()
    choose(panel.model.models, "sam2.1-tiny")
    panel.model.download.click()
    assert "on its way" in panel.hint.text()
    choose(panel.model.models, "bundled")
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    script.seconds = 0.1
    panel.run.both.click()
    qtbot.waitUntil(lambda: panel.run.progress.value() >= 1)
    shop.gate.set()
    qtbot.waitUntil(lambda: panel.model.models.itemText(1) == "SAM 2.1 tiny")
    assert panel.coordinator.running
    settled(panel)
    assert panel.coordinator.workspace.labels.data[3].any()


def test_choices_are_kept_for_the_next_panel(panel, shop, make_panel, qtbot):
    choose(panel.model.devices, "cuda")
    choose(panel.model.models, "sam2.1-tiny")
    assert read_defaults() == ModelUse(model="sam2.1-tiny", device="cuda")


def test_stored_device_that_is_not_here_becomes_automatic(make_panel, qtbot):
    store_defaults(ModelUse(device="mps"))
    panel = make_panel(keep_settings=True)
    qtbot.waitUntil(lambda: panel.model.devices.count() == 2)
    assert panel.model.devices.value == "auto"
    assert panel.coordinator._models.use.device == "auto"


def pick_file(monkeypatch, path) -> None:
    monkeypatch.setattr(
        "napari_sam2.widgets.model_box.QFileDialog.getOpenFileName", lambda *_: (str(path), "")
    )


def test_model_from_a_file_is_used_and_remembered(
    panel, make_panel, settled, script, shop, monkeypatch, tmp_path, qtbot
):
    path = tmp_path / "tuned.safetensors"
    pick_file(monkeypatch, path)
    panel.start.click()
    settled(panel)
    panel.model.models.setCurrentIndex(2)
    panel.model.models.activated.emit(2)
    settled(panel)
    assert panel.model.models.currentText() == "tuned.safetensors"
    assert script.opened[-1].use.model == str(path)
    assert read_defaults().model == str(path)
    again = make_panel(wiring=Wiring(script.open, shop.sources()), keep_settings=True)
    qtbot.waitUntil(lambda: again.model.devices.count() == 3)
    assert again.model.models.value == str(path)
    choose(again.model.models, "bundled")
    assert read_defaults().model == "bundled"


def test_no_file_chosen_leaves_the_model(panel, monkeypatch):
    pick_file(monkeypatch, "")
    panel.model.models.setCurrentIndex(2)
    panel.model.models.activated.emit(2)
    assert panel.model.models.value == "bundled"


def test_large_models_say_so(make_panel, script, qtbot):
    large = ModelEntry("sam2.1-large", "SAM 2.1 large", "Best.", "Apache-2.0", 898_083_611, True)
    small = ModelEntry("bundled", "Bundled", "Small.", "BSD-3-Clause", None, True)
    sources = Sources(lambda: (small, large), lambda: ("cpu",), None)
    panel = make_panel(wiring=Wiring(script.open, sources))
    qtbot.waitUntil(lambda: panel.model.models.count() == 3)
    assert panel.model.note.isHidden()
    choose(panel.model.models, "sam2.1-large")
    assert "898 MB" in panel.model.note.text()
    assert not panel.model.note.isHidden()


def test_unloaded_model_comes_back_with_the_next_click(make_panel, blobs, script, sources, settled):
    released = []

    class Opener:
        def __call__(self, spec, tell):
            return script.open(spec, tell)

        def release(self):
            released.append(threading.current_thread().name)

    panel = make_panel(blobs(), wiring=Wiring(Opener(), sources))
    panel.viewer.dims.set_current_step(0, 0)
    panel.start.click()
    panel.coordinator.workspace.points.add([0, 8, 8])
    settled(panel)
    labels = panel.coordinator.workspace.labels.data.copy()
    panel.model.unload.click()
    settled(panel)
    assert [name.startswith(THREAD_NAME) for name in released] == [True]
    assert (panel.coordinator.workspace.labels.data == labels).all()
    before = len(script.opened)
    panel.coordinator.workspace.points.add([0, 12, 12])
    settled(panel)
    assert len(script.opened) == before + 1
    assert (panel.coordinator.workspace.labels.data[0] == 1).sum() == 100


def test_a_checkpoint_of_a_session_is_taken_if_it_is_there(make_panel, blobs, tmp_path, qtbot):
    path = tmp_path / "cells.adapted.safetensors"
    panel = make_panel(blobs())
    models = panel.coordinator._models
    qtbot.waitUntil(lambda: panel.model.models.count() > 2)
    models.choose(str(path), "exact")
    models.choose(str(tmp_path / "gone.safetensors"), "exact")
    path.touch()
    models.choose(str(path), "exact")
    qtbot.waitUntil(lambda: models.use.model == str(path))
    assert panel.model.models.currentText() == "cells (adapted)"
    assert read_defaults().model == "bundled", "no setting is changed"
    assert not any("gone" in text for text in texts(panel.model.models))
