"""Writing tracks, measurements and movies: content, progress, cancelling, errors."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from napari.utils.notifications import notification_manager
from PIL import Image

from napari_sam2.types import TrackFormat
from napari_sam2.widgets.controllers.results import result_export

SCALED = {
    "axis_labels": ("t", "y", "x"),
    "scale": (30, 0.5, 0.5),
    "units": ("s", "µm", "µm"),
}


@pytest.fixture
def tracked(make_panel, blobs):
    """Two squares of known size, propagated through six frames of 30 s and pixels of 0.5 µm."""
    panel = make_panel(blobs(), **SCALED)
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.click(0, 8, 12, object_id=1)
    panel.wait_idle()
    panel.click(0, 28, 30, object_id=2)
    panel.wait_idle()
    panel.propagate()
    panel.wait_idle()
    notification_manager.records.clear()
    return panel


@pytest.fixture
def slow(monkeypatch):
    """Hold the writing of tracks before its first report of progress until the gate is opened."""
    gate, begun = threading.Event(), threading.Event()
    write = result_export.write_tracks

    def held(path, labels, divisions, *, progress, **options):
        def tell(done, total):
            begun.set()
            assert gate.wait(10)
            progress(done, total)

        write(path, labels, divisions, progress=tell, **options)

    monkeypatch.setattr(result_export, "write_tracks", held)
    yield gate, begun
    gate.set()


def choose(monkeypatch, path, kind) -> None:
    monkeypatch.setattr(
        "napari_sam2.widgets.views.results.result_files.QFileDialog.getSaveFileName",
        lambda *_: (str(path) if path else "", kind),
    )


def messages() -> list[str]:
    return [each.message for each in notification_manager.records]


def test_button_writes_a_ctc_folder_of_the_labels(tracked, monkeypatch, tmp_path):
    choose(monkeypatch, tmp_path / "01", "Cell Tracking Challenge (*_RES)")
    tracked.press_save_result("tracks")
    tracked.wait_idle()
    folder = tmp_path / "01_RES"
    planes = [tifffile.imread(path) for path in sorted(folder.glob("mask*.tif"))]
    assert np.array_equal(planes, tracked.labels)
    assert (folder / "res_track.txt").read_text() == "1 0 5 0\n2 0 5 0\n"
    assert str(folder) in messages()[-1]


def test_button_writes_trackmate_in_physical_units(tracked, monkeypatch, tmp_path):
    choose(monkeypatch, tmp_path / "a", "TrackMate (*.xml)")
    tracked.press_save_result("tracks")
    tracked.wait_idle()
    root = ET.parse(tmp_path / "a.trackmate.xml").getroot()
    assert root.find("Model").get("spatialunits") == "µm"
    assert len(root.findall(".//Spot")) == 12
    settings = root.find(".//ImageData")
    assert (float(settings.get("pixelwidth")), float(settings.get("timeinterval"))) == (0.5, 30)


def test_slices_of_a_z_stack_are_no_seconds(make_panel, blobs, tmp_path):
    about = {"axis_labels": ("z", "y", "x"), "scale": (2, 0.5, 0.5), "units": ("µm",) * 3}
    panel = make_panel(blobs(), **about)
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.click(0, 8, 12, object_id=1)
    panel.wait_idle()
    panel.save_tracks(TrackFormat.TRACKMATE, tmp_path / "a.trackmate.xml")
    panel.wait_idle()
    root = ET.parse(tmp_path / "a.trackmate.xml").getroot()
    assert root.find("Model").attrib == {"spatialunits": "µm", "timeunits": "frame"}
    assert float(root.find(".//ImageData").get("timeinterval")) == 1
    panel.save_tracks(TrackFormat.GEFF, tmp_path / "a.geff.zarr")
    panel.wait_idle()
    axes = zarr.open_group(tmp_path / "a.geff.zarr")["tracks"].attrs["geff"]["axes"]
    assert [each.get("scale") for each in axes] == [None, 0.5, 0.5]


def test_geff_holds_positions_in_pixels(tracked, tmp_path):
    tracked.save_tracks(TrackFormat.GEFF, tmp_path / "a.geff.zarr")
    tracked.wait_idle()
    nodes = zarr.open_group(tmp_path / "a.geff.zarr")["tracks/nodes/props"]
    assert nodes["y/values"].shape == (12,)
    assert float(nodes["y/values"][0]) == pytest.approx(9.5)


def test_measurements_are_those_of_the_squares(tracked, monkeypatch, tmp_path):
    choose(monkeypatch, tmp_path / "a", "CSV (*.csv)")
    tracked.press_save_result("measurements")
    tracked.wait_idle()
    table = pd.read_csv(tmp_path / "a.csv", comment="#")
    first = table[(table["label"] == 1) & (table["frame"] == 2)].iloc[0]
    assert (first["num_pixels"], first["area"], first["time"]) == (100, 25, 60)
    assert first["intensity_mean"] == 1000
    assert len(table) == 12
    known = table.set_index(["label", "frame"])
    assert known.loc[(1, 0), "score"] == pytest.approx(0.9)
    assert known.loc[(1, 0), "prompted"]
    assert not known.loc[(1, 1), "prompted"]
    assert "unit µm" in (tmp_path / "a.csv").read_text()


def test_measurements_of_a_nameless_image_are_in_pixels(started, tmp_path):
    started.click(0, 8, 8)
    started.wait_idle()
    started.save_measurements(tmp_path / "a.csv")
    started.wait_idle()
    table = pd.read_csv(tmp_path / "a.csv", comment="#")
    assert table["area"].tolist() == [100]
    assert "area_px" not in table.columns


def test_volumes_over_time_are_measured_as_volumes(make_panel, blobs, tmp_path):
    panel = make_panel(
        blobs((2, 3, 40, 50)),
        axis_labels=("t", "z", "y", "x"),
        scale=(30, 2, 0.5, 0.5),
        units=("s", "µm", "µm", "µm"),
    )
    panel.start()
    panel.wait_idle()
    panel.labels_layer.data[:, :, 5:15, 5:15] = 7
    panel.save_measurements(tmp_path / "a.csv")
    panel.wait_idle()
    panel.save_tracks(TrackFormat.CTC, tmp_path / "01_RES")
    panel.wait_idle()
    table = pd.read_csv(tmp_path / "a.csv", comment="#")
    assert table["num_pixels"].tolist() == [300, 300]
    assert table["area"].tolist() == pytest.approx([150, 150])
    assert tifffile.imread(tmp_path / "01_RES" / "mask000.tif").shape == (3, 40, 50)


def test_time_after_depth_is_written_over_time(make_panel, blobs, tmp_path):
    panel = make_panel(blobs((3, 2, 40, 50)), axis_labels=("z", "t", "y", "x"))
    panel.start()
    panel.wait_idle()
    panel.labels_layer.data[0, 1, 5:15, 5:15] = 7
    panel.save_tracks(TrackFormat.CTC, tmp_path / "01_RES")
    panel.wait_idle()
    found = tifffile.imread(tmp_path / "01_RES" / "mask001.tif")
    assert found.shape == (3, 40, 50)
    assert np.argwhere(found)[0].tolist() == [0, 5, 5]


def test_each_composed_layer_is_a_channel(make_panel, blobs, tmp_path, qtbot):
    panel = make_panel(blobs())
    other = panel.viewer.add_image(blobs() // 2, name="green")
    panel.choose_image(panel.viewer.layers["blobs"])
    qtbot.waitUntil(lambda: "green" in panel.channels_offered(2))
    panel.choose_channel(2, other)
    panel.start()
    panel.wait_idle()
    panel.labels_layer.data[0, 5:15, 5:15] = 7
    panel.save_measurements(tmp_path / "a.csv")
    panel.wait_idle()
    (row,) = pd.read_csv(tmp_path / "a.csv", comment="#").to_dict("records")
    assert (row["intensity_mean-blobs"], row["intensity_mean-green"]) == (1000, 500)


def test_movie_has_all_frames(tracked, monkeypatch, tmp_path):
    choose(monkeypatch, tmp_path / "a", "GIF (*.gif)")
    tracked.press_save_result("movie")
    tracked.wait_idle()
    with Image.open(tmp_path / "a.gif") as movie:
        assert (movie.n_frames, movie.size) == (6, (50, 40))


def test_movie_follows_the_current_object(tracked, tmp_path):
    tracked.select_object(1)
    tracked.save_movie(tmp_path / "a.gif", names=True, spotlight=True, follow=True)
    tracked.wait_idle()
    with Image.open(tmp_path / "a.gif") as movie:
        assert movie.size == (20, 20)


def test_movie_of_an_object_that_is_nowhere_is_an_error(tracked, tmp_path):
    tracked.select_object(3)
    tracked.save_movie(tmp_path / "a.gif", follow=True)
    tracked.wait_idle()
    assert "There is no object 3" in messages()[-1]
    assert list(tmp_path.glob("*.gif")) == []


def test_file_of_a_wrong_kind_is_an_error(tracked, tmp_path):
    tracked.save_measurements(tmp_path / "a.txt")
    tracked.wait_idle()
    assert "Name the file .csv" in messages()[-1]
    assert not (tmp_path / "a.txt").exists()


def test_no_file_chosen_writes_nothing(tracked, monkeypatch):
    choose(monkeypatch, None, "")
    for what in ("tracks", "measurements", "movie"):
        tracked.press_save_result(what)
    tracked.wait_idle()
    assert messages() == []


def test_cancel_leaves_no_file(tracked, slow, tmp_path, qtbot):
    gate, begun = slow
    tracked.save_tracks(TrackFormat.TRACKMATE, tmp_path / "a.xml")
    qtbot.waitUntil(begun.is_set)
    assert tracked.saving_results
    tracked.cancel_results()
    gate.set()
    tracked.wait_idle()
    assert list(tmp_path.glob("*a.xml*")) == []
    assert messages() == []
    assert not tracked.saving_results


def test_main_thread_writes_nothing(tracked, monkeypatch, tmp_path):
    threads = []
    for name in ("write_tracks", "measure", "write_table", "write_movie"):
        real = getattr(result_export, name)

        def noted(*values, real=real, **options):
            threads.append(threading.current_thread())
            return real(*values, **options)

        monkeypatch.setattr(result_export, name, noted)
    tracked.save_tracks(TrackFormat.CTC, tmp_path / "01_RES")
    tracked.wait_idle()
    tracked.save_measurements(tmp_path / "a.csv")
    tracked.wait_idle()
    tracked.save_movie(tmp_path / "a.gif")
    tracked.wait_idle()
    assert len(threads) == 4
    assert threading.main_thread() not in threads


def test_closing_the_panel_cancels_writing(tracked, slow, tmp_path, qtbot, our_threads):
    gate, begun = slow
    tracked.save_tracks(TrackFormat.TRACKMATE, tmp_path / "a.xml")
    qtbot.waitUntil(begun.is_set)
    tracked.close()
    gate.set()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    assert list(tmp_path.glob("*a.xml*")) == []
    assert messages() == []
