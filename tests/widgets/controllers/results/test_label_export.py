"""Writing labels to files: formats, scale and axes, progress, cancelling, errors."""

from __future__ import annotations

import re
import threading

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image
from napari.layers._source import layer_source
from napari.utils.notifications import notification_manager

from napari_sam2.widgets.controllers.results import label_export
from napari_sam2.widgets.layers.image_axes import file_axes, pixel_sizes


@pytest.fixture
def clicked(started):
    started.click(0, 8, 8)
    started.wait_idle()
    notification_manager.records.clear()
    return started


@pytest.fixture
def slow(monkeypatch):
    """Hold the writing after its first plane until the gate is opened."""
    gate, begun = threading.Event(), threading.Event()
    write = label_export.write_labels

    def held(path, labels, *, progress, **options):
        def tell(done, total):
            begun.set()
            assert gate.wait(10)
            progress(done, total)

        write(path, labels, progress=tell, **options)

    monkeypatch.setattr(label_export, "write_labels", held)
    yield gate, begun
    gate.set()


def choose(monkeypatch, path, kind="TIFF (*.tif *.tiff)") -> None:
    monkeypatch.setattr(
        "napari_sam2.widgets.views.results.save_section.QFileDialog.getSaveFileName",
        lambda *_: (str(path) if path else "", kind),
    )


@pytest.mark.parametrize(
    ("name", "kind", "written"),
    [
        ("a.tif", "TIFF (*.tif *.tiff)", "a.tif"),
        ("a", "OME-TIFF (*.ome.tif)", "a.ome.tif"),
        ("a", "OME-Zarr (*.ome.zarr *.zarr)", "a.ome.zarr"),
    ],
)
def test_button_writes_the_labels(clicked, monkeypatch, tmp_path, name, kind, written):
    choose(monkeypatch, tmp_path / name, kind)
    clicked.press_save_labels()
    clicked.wait_idle()
    path = tmp_path / written
    found = zarr.open_group(path)["0"][:] if path.is_dir() else tifffile.imread(path)
    assert np.array_equal(found, clicked.labels)
    assert found.any()
    assert str(path) in notification_manager.records[-1].message
    assert clicked.can_save_labels


def test_no_file_chosen_writes_nothing(clicked, monkeypatch, tmp_path):
    choose(monkeypatch, None)
    clicked.press_save_labels()
    clicked.wait_idle()
    assert list(tmp_path.glob("*.tif")) == []
    assert notification_manager.records == []


def test_file_carries_scale_and_axes(make_panel, blobs, tmp_path):
    panel = make_panel(
        blobs((2, 3, 40, 50)),
        axis_labels=("t", "z", "y", "x"),
        scale=(30, 2, 0.5, 0.5),
        units=("s", "µm", "µm", "µm"),
    )
    panel.start()
    panel.save_labels(tmp_path / "a.tif")
    panel.wait_idle()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.series[0].axes == "TZYX"
        assert file.imagej_metadata["spacing"] == 2
        assert file.imagej_metadata["finterval"] == 30


@pytest.mark.parametrize(
    ("units", "claimed"),
    [
        (("pixel", "pixel", "pixel"), []),
        (("pixel", "nm", "nm"), ["0.00025", "0.0005"]),
        (("s", "µm", "µm"), ["0.25", "0.5"]),
        (("µm", "µm", "µm"), ["0.25", "0.5", "2.0"]),
    ],
)
def test_a_file_claims_sizes_of_known_units_only(make_panel, blobs, tmp_path, units, claimed):
    panel = make_panel(
        blobs((3, 40, 50)), axis_labels=("z", "y", "x"), scale=(2, 0.5, 0.25), units=units
    )
    panel.start()
    panel.save_labels(tmp_path / "a.ome.tif")
    panel.wait_idle()
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        found = re.findall(r'PhysicalSize[XYZ]="([^"]*)"', file.ome_metadata)
    assert [float(size) for size in found] == pytest.approx([float(size) for size in claimed])


def test_cancel_keeps_the_file_that_was_there(clicked, slow, tmp_path, qtbot):
    gate, begun = slow
    (tmp_path / "a.tif").write_text("from before")
    clicked.save_labels(tmp_path / "a.tif")
    qtbot.waitUntil(begun.is_set)
    assert clicked.saving_labels
    assert not clicked.can_save_labels
    clicked.cancel_saving()
    gate.set()
    clicked.wait_idle()
    qtbot.waitUntil(lambda: clicked.can_save_labels)
    assert (tmp_path / "a.tif").read_text() == "from before"
    assert [path.name for path in tmp_path.glob("*a.tif*")] == ["a.tif"]
    assert notification_manager.records == []


def test_clicks_are_answered_while_labels_are_written(clicked, slow, tmp_path, qtbot):
    gate, begun = slow
    clicked.save_labels(tmp_path / "a.tif")
    qtbot.waitUntil(begun.is_set)
    clicked.click(0, 12, 12)
    qtbot.waitUntil(lambda: not clicked.worker_busy)
    gate.set()
    clicked.wait_idle()
    assert tifffile.imread(tmp_path / "a.tif").any()


def test_missing_folder_error_says_what_to_do(clicked, tmp_path):
    clicked.save_labels(tmp_path / "no folder" / "a.tif")
    clicked.wait_idle()
    (note,) = notification_manager.records
    assert "Choose a folder" in note.message


@pytest.mark.parametrize("name", ["blobs", "blobs · labels"])
def test_labels_are_written_after_a_layer_is_deleted(clicked, slow, tmp_path, qtbot, name):
    gate, begun = slow
    clicked.save_labels(tmp_path / "a.tif")
    qtbot.waitUntil(begun.is_set)
    clicked.viewer.layers.remove(name)
    gate.set()
    clicked.wait_idle()
    assert tifffile.imread(tmp_path / "a.tif")[0].any()


def test_closing_the_panel_cancels_writing(clicked, slow, tmp_path, qtbot, our_threads):
    gate, begun = slow
    clicked.save_labels(tmp_path / "a.tif")
    qtbot.waitUntil(begun.is_set)
    clicked.close()
    gate.set()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    assert list(tmp_path.glob("*a.tif*")) == []
    assert notification_manager.records == []


@pytest.mark.parametrize(
    ("shape", "labels", "video", "axes"),
    [
        ((4, 5), None, None, "YX"),
        ((3, 4, 5), None, 0, "ZYX"),
        ((3, 4, 5), ("t", "y", "x"), 0, "TYX"),
        ((2, 3, 4, 5), None, 1, "TZYX"),
        ((2, 3, 4, 5), None, 0, "ZTYX"),
        ((2, 3, 4, 5), ("c", "time", "y", "x"), 1, "CTYX"),
        ((2, 3, 4, 5), ("t", "t", "y", "x"), 1, "TZYX"),
        ((2, 2, 3, 4, 5), None, 2, "CTZYX"),
    ],
)
def test_file_axes_follow_names_and_video_axis(shape, labels, video, axes):
    assert file_axes(Image(np.zeros(shape), axis_labels=labels), video) == axes


def test_pixel_sizes_are_micrometres_and_seconds():
    image = Image(np.zeros((2, 3, 4, 5)), scale=(2, 500, 1, 1), units=("min", "nm", "um", "mm"))
    assert pixel_sizes(image, "TZYX") == pytest.approx((120, 0.5, 1, 1000))
    assert pixel_sizes(Image(np.zeros((3, 4, 5))), "ZYX") is None
    assert pixel_sizes(Image(np.zeros((3, 4, 5)), scale=(3, 0.5, 0.5)), "ZYX") == (3, 0.5, 0.5)


def test_labels_never_take_the_place_of_the_image(make_panel, blobs, monkeypatch, tmp_path):
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, blobs())
    before = path.read_bytes()
    with layer_source(path=str(path)):
        panel = make_panel(blobs())
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    panel.click(0, 8, 8)
    panel.wait_idle()
    choose(monkeypatch, tmp_path / "sub" / ".." / "cells.tif")
    (tmp_path / "sub").mkdir()
    panel.press_save_labels()
    panel.wait_idle()
    assert path.read_bytes() == before
    assert "is the image itself" in notification_manager.records[-1].message


def test_labels_of_a_nifti_image_lie_where_it_lies(make_panel, tmp_path):
    affine = np.array([[-0.5, 0.1, 0, 3], [0.1, 0.4, 0, -4], [0, 0, 2.0, 9], [0, 0, 0, 1]])
    volume = np.random.default_rng(0).integers(0, 900, (20, 16, 5)).astype(np.int16)
    image = nibabel.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "head.nii.gz")
    panel = make_panel()
    panel.open_file(tmp_path / "head.nii.gz")
    panel.wait_idle()
    panel.start()
    panel.click(2, 8, 10)
    panel.wait_idle()
    panel.save_labels(tmp_path / "labels.nii.gz")
    panel.wait_idle()
    found = nibabel.load(tmp_path / "labels.nii.gz")
    np.testing.assert_allclose(found.affine, affine, atol=1e-6)
    assert np.asarray(found.dataobj).any()
    assert np.array_equal(np.asarray(found.dataobj), panel.labels.T)
