"""Tracks and tables beside labels: what their axes and steps are, and what they replace."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

from napari_sam2.errors import MeasurementError
from napari_sam2.measure import measure, write_table
from napari_sam2.segmentation.image_source import ImageSelection, open_frames
from napari_sam2.segmentation.result_files import ResultFiles, known_scale
from napari_sam2.types import TrackFormat

SIZES = {f"PhysicalSize{axis}": size for axis, size in (("X", 0.5), ("Y", 0.5), ("Z", 2.0))}
UNITS = {f"{name}Unit": "µm" for name in SIZES}
TIMED = {"TimeIncrement": 60.0, "TimeIncrementUnit": "s"}
SESSION = SimpleNamespace(divisions=(), prompts=(), accepted=())


def write_image(folder, axes, shape, **about):
    image = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    about = {"axes": axes, **SIZES, **UNITS, **about}
    tifffile.imwrite(folder / "a.ome.tif", image, metadata=about, photometric="minisblack")
    return folder / "a.ome.tif", image


def write_results(path, labels, **seen):
    frames = open_frames(path, ImageSelection(**seen))
    computed = np.ascontiguousarray(np.moveaxis(labels, *TO_FRAMES[frames.axes]))
    formats = (TrackFormat.CTC, TrackFormat.GEFF, TrackFormat.TRACKMATE)
    files = ResultFiles.beside(path.with_name("l.tif"), formats, measure=True)
    files.check(frames)
    files.write(path, SESSION, frames, computed, {})
    axes = zarr.open(path.with_name("l.geff.zarr"), mode="r")["tracks"].attrs["geff"]["axes"]
    xml = path.with_name("l.trackmate.xml").read_text("utf-8")
    return SimpleNamespace(
        ctc=path.with_name("l_RES").joinpath("res_track.txt").read_text(),
        mask=tifffile.imread(path.with_name("l_RES") / "mask000.tif").shape,
        steps=[(each.get("scale"), each.get("scaled_unit")) for each in axes],
        time=re.search('timeunits="(.*?)"', xml)[1],
        interval=float(re.search('timeinterval="(.*?)"', xml)[1]),
        table=pd.read_csv(path.with_name("l.csv"), comment="#"),
        header=path.with_name("l.csv").read_text("utf-8"),
    )


# From the order of the image to that of the frames.
TO_FRAMES = {"ZTYX": (1, 0), "TZYX": (0, 0), "TYX": (0, 0), "ZYX": (0, 0), "YZX": (1, 0)}


@pytest.mark.parametrize(
    ("axis", "through", "region"), [("T", "Z", None), ("Z", "T", None), ("T", "Z", (2, 2, 12, 12))]
)
def test_time_comes_first_whichever_axis_the_video_was(tmp_path, axis, through, region):
    path, image = write_image(tmp_path, "TZYX", (5, 3, 16, 16), **TIMED)
    labels = np.zeros(image.shape, np.uint16)
    labels[:, 1:, 4:8, 4:8] = 1
    found = write_results(path, labels, axis=axis, through=through, region=region)
    assert found.ctc == "1 0 4 0\n"
    assert found.mask == (3, 16, 16)
    assert found.steps[:2] == [(60.0, "second"), (2.0, "micrometer")]
    assert (found.time, found.interval) == ("sec", 60.0)
    assert found.table["time"].tolist() == [0, 60, 120, 180, 240]
    assert found.table["area_px"].tolist() == [32] * 5
    assert found.table["area"].tolist() == [16.0] * 5
    means = [image[time][labels[time] == 1].mean() for time in range(5)]
    np.testing.assert_allclose(found.table["intensity_mean"], means)


def test_a_step_without_an_interval_is_a_frame(tmp_path):
    path, image = write_image(tmp_path, "TYX", (5, 16, 16))
    labels = np.zeros(image.shape, np.uint16)
    labels[:, 4:8, 4:8] = 1
    found = write_results(path, labels)
    assert found.steps == [(None, None), (0.5, "micrometer"), (0.5, "micrometer")]
    assert (found.time, found.interval) == ("frame", 1.0)
    assert found.table["time"].tolist() == [0, 1, 2, 3, 4]
    assert "# unit frame: time" in found.header


def test_slices_are_no_seconds(tmp_path):
    path, image = write_image(tmp_path, "ZYX", (5, 16, 16))
    labels = np.zeros(image.shape, np.uint16)
    labels[:, 4:8, 4:8] = 1
    found = write_results(path, labels)
    assert found.steps == [(None, None), (0.5, "micrometer"), (0.5, "micrometer")]
    assert (found.time, found.interval) == ("frame", 1.0)
    assert found.table["position"].tolist() == [0, 2, 4, 6, 8]


def test_frames_along_y_are_measured_in_their_own_sizes(tmp_path):
    path, image = write_image(tmp_path, "ZYX", (6, 16, 16))
    labels = np.zeros(image.shape, np.uint16)
    labels[2:4, 3:5, 4:8] = 1
    found = write_results(path, labels, axis="Y")
    assert found.table["frame"].tolist() == [3, 4]
    assert found.table["position"].tolist() == [1.5, 2.0]
    assert found.table["area"].tolist() == [8.0, 8.0]
    means = [image[:, y][labels[:, y] == 1].mean() for y in (3, 4)]
    np.testing.assert_allclose(found.table["intensity_mean"], means)


def test_frames_with_an_axis_of_time_are_refused_before_the_work(tmp_path):
    path, _ = write_image(tmp_path, "TYX", (5, 16, 16))
    frames = open_frames(path, ImageSelection(axis="Y"))
    with pytest.raises(MeasurementError, match="--axis"):
        ResultFiles.beside(tmp_path / "l.tif", (), measure=True).check(frames)
    ResultFiles.beside(tmp_path / "l.tif", (TrackFormat.CTC,), measure=False).check(frames)


def test_a_scale_needs_the_sizes_of_frames_only():
    um, s = "micrometer", "second"
    assert known_scale("TYX", (9, 1, 1), ("", um, um)) == ((1, 1, 1), ("frame", "µm", "µm"))
    assert known_scale("TYX", (9, 1, 1), (s, um, um)) == ((9, 1, 1), ("s", "µm", "µm"))
    assert known_scale("ZYX", (9, 1, 1), ("", um, um)) == ((1, 1, 1), ("frame", "µm", "µm"))
    assert known_scale("ZYX", (9, 1, 1), ("", um, um), leading=0) == (None, None)
    assert known_scale("TZYX", (9, 2, 1, 1), (s, "", um, um)) == (None, None)
    assert known_scale("TYX", (9, 1, 1), (s, um, "")) == (None, None)


def test_a_table_that_was_not_measured_is_not_replaced(tmp_path):
    files = ResultFiles.beside(tmp_path / "cells.ome.tif", (), measure=True)
    files.check()
    files.table.write_bytes(b"frame,object,kind,y,x\n0,1,point,\xff,3\n")
    with pytest.raises(MeasurementError, match=r"cells\.csv") as caught:
        files.check()
    assert caught.value.safe
    write_table(measure(np.ones((2, 4, 5), int)), files.table)
    files.check()
