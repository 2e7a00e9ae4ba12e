"""Image files that are opened from the panel."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tifffile
import zarr
from napari.utils.notifications import notification_manager

from napari_sam2.errors import StackError
from napari_sam2.stack import open_stack
from napari_sam2.types import StackKind
from napari_sam2.widgets.layers import image_file

STACK = np.random.default_rng(0).integers(100, 4000, (3, 12, 10)).astype(np.uint16)


@pytest.fixture
def stack_file(tmp_path):
    path = tmp_path / "cells.ome.tif"
    tifffile.imwrite(path, STACK, metadata={"axes": "TYX"}, ome=True, photometric="minisblack")
    return path


@pytest.fixture
def two_images(tmp_path):
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for number in (0, 1):
            about = {"axes": "ZYX", "Name": "same"}
            file.write(STACK[: 2 + number] + number, metadata=about, photometric="minisblack")
    return path


@pytest.fixture
def held(monkeypatch):
    """Hold the reading of files until the gate is opened."""
    gate = threading.Event()

    def held_open(path, **options):
        assert gate.wait(10)
        return open_stack(path, **options)

    monkeypatch.setattr(image_file, "open_stack", held_open)
    yield gate
    gate.set()


def test_an_opened_file_is_the_image_of_the_panel(make_panel, stack_file):
    panel = make_panel()
    panel.open_file(stack_file)
    panel.wait_idle()
    (layer,) = panel.viewer.layers
    np.testing.assert_array_equal(layer.data, STACK)
    assert (layer.name, layer.source.path) == ("cells", str(stack_file))
    assert panel.settings.image.value is layer
    assert panel.settings.kind.value == StackKind.TIME_LAPSE
    assert layer.contrast_limits == [STACK.min(), STACK.max()]
    assert not panel.opening
    panel.start()
    panel.click(1, 5, 5)
    panel.wait_idle()
    assert panel.labels[1].any()


def test_the_user_is_asked_which_image_of_a_file(make_panel, two_images, qtbot):
    panel = make_panel()
    panel.open_file(two_images)
    qtbot.waitUntil(lambda: bool(panel.offered_images))
    assert panel.offered_images == ["0: same", "1: same"]
    assert not panel.viewer.layers
    panel.choose_image_of_file("1: same")
    panel.wait_idle()
    (layer,) = panel.viewer.layers
    np.testing.assert_array_equal(layer.data, STACK + 1)
    assert layer.name == "two same"


def test_a_refused_choice_opens_nothing(make_panel, two_images, qtbot):
    panel = make_panel()
    panel.open_file(two_images)
    qtbot.waitUntil(lambda: bool(panel.offered_images))
    panel.choose_image_of_file(None)
    panel.wait_idle()
    assert not panel.opening
    assert not panel.viewer.layers


@pytest.mark.parametrize("ends", ["close", "cancel_opening"])
def test_the_question_goes_with_what_is_asked_about(make_panel, two_images, qtbot, ends):
    panel = make_panel()
    panel.open_file(two_images)
    qtbot.waitUntil(lambda: bool(panel.offered_images))
    getattr(panel, ends)()
    qtbot.waitUntil(lambda: not panel.offered_images)
    assert not panel.viewer.layers


def test_another_file_withdraws_the_question(make_panel, two_images, stack_file, qtbot):
    panel = make_panel()
    panel.open_file(two_images)
    qtbot.waitUntil(lambda: bool(panel.offered_images))
    panel.open_file(stack_file)
    panel.wait_idle()
    qtbot.waitUntil(lambda: not panel.offered_images)
    assert [layer.name for layer in panel.viewer.layers] == ["cells"]


def test_long_names_fit_into_the_question(make_panel, tmp_path, qtbot):
    path = tmp_path / f"{'patient ' * 25}.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for number in (0, 1):
            about = {"axes": "ZYX", "Name": f"{'long ' * 60}{number}"}
            file.write(STACK + number, metadata=about, photometric="minisblack")
    panel = make_panel()
    panel.open_file(path)
    qtbot.waitUntil(lambda: bool(panel.offered_images))
    assert max(map(len, panel.offered_images)) < 100
    assert len(panel.image_question) < 150
    panel.choose_image_of_file(panel.offered_images[1])
    panel.wait_idle()
    np.testing.assert_array_equal(panel.viewer.layers[0].data, STACK + 1)


def test_an_image_of_a_plate_is_chosen_by_its_name(make_panel, tmp_path, qtbot):
    plate = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}]}
    well = plate.create_group("A/1")
    well.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
    for field in (0, 1):
        image = well.create_group(str(field))
        axes = [{"name": name, "type": "space"} for name in "zyx"]
        image.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
        image.create_array("0", data=STACK + field)
    panel = make_panel()
    panel.open_file(tmp_path / "plate.zarr")
    qtbot.waitUntil(lambda: bool(panel.offered_images))
    assert panel.offered_images == ["0: A/1/0", "1: A/1/1"]
    panel.choose_image_of_file("1: A/1/1")
    panel.wait_idle()
    (layer,) = panel.viewer.layers
    np.testing.assert_array_equal(layer.data, STACK + 1)


@pytest.mark.parametrize("content", [b"", b"no image", b"II*\0damaged"])
def test_what_is_no_image_is_an_error_in_words(make_panel, tmp_path, content):
    (tmp_path / "bad.tif").write_bytes(content)
    panel = make_panel()
    notification_manager.records.clear()
    panel.open_file(tmp_path / "bad.tif")
    panel.wait_idle()
    assert "bad.tif" in notification_manager.records[-1].message
    assert not panel.viewer.layers
    assert not panel.opening


def test_a_cancelled_file_adds_no_layer_and_the_next_one_does(make_panel, stack_file, held):
    panel = make_panel()
    panel.open_file(stack_file)
    assert panel.opening
    panel.cancel_opening()
    assert not panel.opening
    held.set()
    panel.wait_idle()
    assert not panel.viewer.layers
    panel.open_file(stack_file)
    panel.wait_idle()
    assert len(panel.viewer.layers) == 1


def test_a_file_does_not_wait_for_one_that_hangs(make_panel, stack_file, two_images, held):
    panel = make_panel()
    panel.open_file(two_images)  # on a storage that does not answer
    panel.cancel_opening()
    held_open, image_file.open_stack = image_file.open_stack, open_stack
    try:
        panel.open_file(stack_file)
        panel.wait_idle()
    finally:
        image_file.open_stack = held_open
    assert [layer.name for layer in panel.viewer.layers] == ["cells"]


def test_what_napari_cannot_draw_is_an_error_and_no_layer(make_panel, stack_file, monkeypatch):
    panel = make_panel()
    monkeypatch.setattr(image_file.ImageFile, "show", _fail)
    notification_manager.records.clear()
    panel.open_file(stack_file)
    panel.wait_idle()
    assert "bad sector" in notification_manager.records[-1].message
    assert not panel.viewer.layers
    assert not panel.opening


def _fail(*_args, **_options):
    raise StackError("bad sector")


def test_of_two_files_the_one_that_was_chosen_last_is_opened(
    make_panel, stack_file, two_images, held, qtbot
):
    panel = make_panel()
    panel.open_file(two_images)
    panel.open_file(stack_file)
    held.set()
    panel.wait_idle()
    assert [layer.name for layer in panel.viewer.layers] == ["cells"]
    assert panel.offered_images == []


def test_a_panel_that_is_closed_meanwhile_adds_nothing(make_panel, stack_file, held, our_threads):
    panel = make_panel()
    viewer = panel.viewer
    panel.open_file(stack_file)
    panel.close()
    held.set()
    panel.wait_idle()
    assert not viewer.layers
