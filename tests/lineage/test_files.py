"""Files of tracks: Cell Tracking Challenge, GEFF, TrackMate."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import tifffile
import zarr
from lineages import DIVISIONS, dividing

from napari_sam2.errors import LabelsError, LineageError
from napari_sam2.lineage import (
    Division,
    TrackFormat,
    check_tracks_path,
    path_beside,
    read_ctc,
    scale_of_tracks,
    write_ctc,
    write_geff,
    write_trackmate,
    write_tracks,
)
from napari_sam2.stack import open_stack

WRITERS = {"01_RES": write_ctc, "a.zarr": write_geff, "a.xml": write_trackmate}


@pytest.mark.parametrize("volume", [False, True])
def test_ctc_comes_back(tmp_path, volume):
    labels = dividing(volume)
    tracks = write_ctc(tmp_path / "01_RES", labels, DIVISIONS)
    lines = (tmp_path / "01_RES" / "res_track.txt").read_text("ascii").splitlines()
    assert lines == ["1 0 2 0", "2 3 5 1", "3 3 4 1", "4 0 1 0", "5 5 5 3", "6 5 5 3", "7 3 5 4"]
    mask = tifffile.imread(tmp_path / "01_RES" / "mask004.tif")
    assert mask.dtype == np.uint16
    assert mask.shape == labels.shape[1:]
    np.testing.assert_array_equal(mask == 7, labels[4] == 4)
    again = read_ctc(tmp_path / "01_RES")
    assert again.tracks == tracks
    assert again.labels.shape == labels.shape
    np.testing.assert_array_equal(again.labels[1], labels[1])
    assert set(DIVISIONS) < set(again.divisions)


def test_ctc_ids_end_at_16_bit(tmp_path):
    labels = dividing().astype(np.uint32)
    labels[labels == 4] = 65535
    with pytest.raises(LineageError, match="65535"):  # the part behind the gap needs one more
        write_ctc(tmp_path / "01_RES", labels, DIVISIONS)
    labels[2, 30, 30] = 65535
    write_ctc(tmp_path / "01_RES", labels, DIVISIONS)
    assert read_ctc(tmp_path / "01_RES").labels[0].max() == 65535
    labels[labels == 65535] = 65536
    with pytest.raises(LineageError, match="65536"):
        write_ctc(tmp_path / "01_RES", labels, DIVISIONS)
    assert read_ctc(tmp_path / "01_RES").labels[0].max() == 65535, "the former one is whole"


def test_ctc_children_of_an_object_with_a_gap_come_from_its_last_part(tmp_path):
    labels = dividing()
    labels[1][labels[1] == 1] = 0
    tracks = write_ctc(tmp_path / "01_RES", labels, DIVISIONS)
    by_label = {each.label: each for each in tracks}
    assert (by_label[7].begin, by_label[7].parent) == (2, 1)
    assert by_label[2].parent == by_label[3].parent == 7


def test_ctc_replaces_its_own_kind_only(tmp_path):
    write_ctc(tmp_path / "01_RES", dividing(), DIVISIONS)
    write_ctc(tmp_path / "01_RES", dividing()[:4], DIVISIONS[:1])
    assert len(list((tmp_path / "01_RES").glob("mask*.tif"))) == 4
    (tmp_path / "01_RES" / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(LineageError, match=r"notes\.txt"):
        write_ctc(tmp_path / "01_RES", dividing(), DIVISIONS)
    assert (tmp_path / "01_RES" / "notes.txt").exists()


@pytest.mark.parametrize(
    "names",
    [
        ("man_track000.tif", "man_track.txt"),
        ("mask000.tif", "man_track.txt", "res_track.txt"),
        ("mask000.tif", "mask001.tif"),
        ("MASK000.tif", "res_track.txt"),
        ("mask00.tif", "res_track.txt"),
    ],
)
def test_a_ground_truth_and_masks_of_others_are_never_replaced(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("mine", "utf-8")
    with pytest.raises(LineageError, match="no result"):
        write_ctc(tmp_path, dividing(), DIVISIONS)
    assert {each.name: each.read_text("utf-8") for each in tmp_path.iterdir()} == dict.fromkeys(
        names, "mine"
    )


@pytest.mark.parametrize("name", ["01_RES", "a.zarr"])
def test_files_of_file_managers_hinder_nothing_and_stay(tmp_path, name):
    views = {".DS_Store", "Thumbs.db", "desktop.ini", "._mask000.tif"}
    (tmp_path / name).mkdir()
    for each in views:
        (tmp_path / name / each).write_text(each, "utf-8")
    for labels in (dividing(), dividing()[:4]):
        WRITERS[name](tmp_path / name, labels, DIVISIONS[:1])
    assert all((tmp_path / name / each).read_text("utf-8") == each for each in views)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("1 0 2", "four whole numbers"),
        ("1 0 2 x", "four whole numbers"),
        ("1 2 0 0", "no track"),
        ("0 0 2 0", "no track"),
        ("1 0 2 9", "parent 9"),
        ("1 0 2 0\n1 3 4 0", "two lines"),
        ("1 0 2 1", "own child"),
        ("1 3 4 2\n2 3 5 0", "ends in frame 5"),
    ],
)
def test_a_wrong_ctc_table_is_a_clear_error(tmp_path, table, reason):
    write_ctc(tmp_path / "01_RES", dividing(), DIVISIONS)
    (tmp_path / "01_RES" / "res_track.txt").write_text(table, "ascii")
    with pytest.raises(LineageError, match=reason):
        read_ctc(tmp_path / "01_RES")


def test_a_damaged_ctc_folder_is_a_clear_error(tmp_path):
    with pytest.raises(LineageError, match="no folder"):
        read_ctc(tmp_path / "none")
    write_ctc(tmp_path / "01_RES", dividing(), DIVISIONS)
    sequence = read_ctc(tmp_path / "01_RES")
    (tmp_path / "01_RES" / "mask003.tif").write_bytes(b"II*\0")
    with pytest.raises(LineageError, match="mask003"):
        sequence.labels[3]
    (tmp_path / "01_RES" / "mask003.tif").unlink()
    with pytest.raises(LineageError, match="frame 3"):
        read_ctc(tmp_path / "01_RES")


@pytest.mark.parametrize("volume", [False, True])
def test_geff_has_nodes_edges_and_axes(tmp_path, volume):
    labels = dividing(volume)
    scale = (60.0, 2.0, 0.5, 0.25) if volume else (60.0, 0.5, 0.25)
    write_geff(tmp_path / "a.zarr", labels, DIVISIONS, scale=scale)
    graph = zarr.open_group(tmp_path / "a.zarr" / "tracks", mode="r")
    about = graph.attrs["geff"]
    assert about["geff_version"] == "1.3"
    assert about["directed"] is True
    assert [axis["name"] for axis in about["axes"]] == list("tzyx" if volume else "tyx")
    assert [axis["scale"] for axis in about["axes"]] == list(scale)
    assert about["axes"][-1]["unit"] == "pixel"
    assert about["axes"][-1]["scaled_unit"] == "micrometer"
    assert about["related_objects"] == [
        {"type": "labels", "path": "../labels", "node_prop": "seg_id"}
    ]
    props = {name: graph[f"nodes/props/{name}/values"][:] for name in ("t", "y", "x", "seg_id")}
    for t, y, x, number in zip(*props.values(), strict=True):
        plane = labels[int(t), 1] if volume else labels[int(t)]
        assert plane[round(y), round(x)] == number
    edges = graph["edges/ids"][:]
    assert (props["t"][edges[:, 0]] < props["t"][edges[:, 1]]).all()
    assert len(edges) == len(props["t"]) - 2, "two trees"
    stored = open_stack(tmp_path / "a.zarr" / "labels")
    np.testing.assert_array_equal(np.asarray(stored.data), labels)
    assert stored.scale == scale


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (("frame", "µm"), [None, ("micrometer", 0.5), ("micrometer", 0.25)]),
        (("min", "nm"), [("second", 120.0), ("micrometer", 0.0005), ("micrometer", 0.00025)]),
        (("frame", "pixel"), [None, None, None]),
        (("µm", "µm"), [None, ("micrometer", 0.5), ("micrometer", 0.25)]),
    ],
)
def test_geff_has_a_scale_only_where_the_unit_is_known(tmp_path, units, expected):
    write_geff(tmp_path / "a.zarr", dividing(), DIVISIONS, scale=(2, 0.5, 0.25), units=units)
    axes = zarr.open_group(tmp_path / "a.zarr" / "tracks", mode="r").attrs["geff"]["axes"]
    found = [(each["scaled_unit"], each["scale"]) if "scale" in each else None for each in axes]
    for has, wanted in zip(found, expected, strict=True):
        assert has == (None if wanted is None else (wanted[0], pytest.approx(wanted[1])))
    stored = open_stack(tmp_path / "a.zarr" / "labels")
    assert stored.units == tuple("" if each is None else each[0] for each in expected)


def test_steps_of_tracks_are_frames_where_their_time_is_not_known():
    assert scale_of_tracks(None, None) == (None, ("frame", "pixel"))
    assert scale_of_tracks((60, 0.5, 0.5), ("s", "µm", "µm")) == ((60, 0.5, 0.5), ("sec", "µm"))
    for step in ("µm", "frame"):
        found = scale_of_tracks((2.0, 0.5, 0.5), (step, "µm", "µm"))
        assert found == ((1.0, 0.5, 0.5), ("frame", "µm"))


def test_geff_replaces_its_own_kind_only(tmp_path):
    path = tmp_path / "a.zarr"
    write_geff(path, dividing(), DIVISIONS)
    write_geff(path, dividing()[:4], DIVISIONS[:1])
    assert open_stack(path / "labels").data.shape[0] == 4
    for inside in ("labels", "tracks"):
        other = tmp_path / f"{inside}.zarr"
        write_geff(other, dividing(), DIVISIONS)
        zarr.open_group(other / inside).create_array("mine", data=np.ones(3))
        zarr.open_group(other / "tracks").attrs["geff"] = {"directed": True}
        with pytest.raises(LineageError, match="no tracks"):
            write_geff(other, dividing(), DIVISIONS)
        assert (other / inside / "mine").is_dir()
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text("{}", "utf-8")
    with pytest.raises(LineageError, match="no tracks"):
        write_geff(tmp_path / "b.zarr", dividing(), DIVISIONS)
    assert (tmp_path / "b.zarr" / "zarr.json").read_text("utf-8") == "{}"


def test_geff_of_nothing_is_whole(tmp_path):
    write_geff(tmp_path / "a.zarr", np.zeros((3, 9, 9), np.uint8))
    graph = zarr.open_group(tmp_path / "a.zarr" / "tracks", mode="r")
    assert graph["nodes/ids"].shape == (0,)
    assert graph["edges/ids"].shape == (0, 2)


def spots_of(path) -> dict[int, ET.Element]:
    return {int(spot.get("ID")): spot for spot in ET.parse(path).iter("Spot")}


@pytest.mark.parametrize("volume", [False, True])
def test_trackmate_has_spots_edges_and_tracks_in_physical_units(tmp_path, volume):
    labels = dividing(volume)
    scale = (60.0, 2.0, 0.5, 0.25) if volume else (60.0, 0.5, 0.25)
    path = tmp_path / "a.xml"
    write_trackmate(path, labels, DIVISIONS, scale=scale, image=tmp_path / "cells.tif")
    root = ET.parse(path).getroot()
    assert root.find("Model").attrib == {"spatialunits": "µm", "timeunits": "sec"}
    spots = spots_of(path)
    assert int(root.find("Model/AllSpots").get("nspots")) == len(spots)
    first = spots[0]
    assert float(first.get("POSITION_Y")) == 14.5 * 0.5
    assert float(first.get("POSITION_X")) == 15.5 * 0.25
    assert float(first.get("POSITION_Z")) == (2 * 2.0 if volume else 0)
    assert {s.get("POSITION_T") for s in spots.values() if s.get("FRAME") == "3"} == {"180.0"}
    tracks = root.findall("Model/AllTracks/Track")
    assert [int(track.get("NUMBER_SPLITS")) for track in tracks] == [2, 0]
    edges = [
        (int(e.get("SPOT_SOURCE_ID")), int(e.get("SPOT_TARGET_ID"))) for e in root.iter("Edge")
    ]
    assert len(edges) == len(spots) - 2
    assert all(int(spots[a].get("FRAME")) < int(spots[b].get("FRAME")) for a, b in edges)
    data = root.find("Settings/ImageData")
    assert data.get("filename") == "cells.tif"
    assert data.get("nslices") == ("4" if volume else "1")
    assert float(data.get("pixelwidth")) == 0.25


@pytest.mark.parametrize("name", ["a\x01b.tif", "caf\udce9.tif", "\ufffe.tif", "ü µ 𝛼.tif"])
def test_trackmate_names_any_image(tmp_path, name):
    write_trackmate(tmp_path / "a.xml", dividing(), image=tmp_path / name, units=("s", "\x02m"))
    (named,) = ET.parse(tmp_path / "a.xml").iter("ImageData")
    assert len(named.get("filename")) == len(name)
    assert named.get("filename")[-4:] == ".tif"
    assert ("\ufffd" in named.get("filename")) == ("µ" not in name)


def test_trackmate_outlines_enclose_the_objects(tmp_path):
    labels = dividing()
    path = tmp_path / "a.xml"
    write_trackmate(path, labels, DIVISIONS, scale=(1.0, 0.5, 0.25))
    for spot in spots_of(path).values():
        corners = np.array(spot.text.split(), float).reshape(-1, 2)
        assert len(corners) == int(spot.get("ROI_N_POINTS"))
        x, y = corners.T
        area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
        number, frame = int(spot.get("LABEL")), int(spot.get("FRAME"))
        pixels = np.count_nonzero(labels[frame] == number)
        assert area == pytest.approx(pixels * 0.125, rel=0.06), "but for the corners"
        assert float(spot.get("AREA")) == pytest.approx(pixels * 0.125)


def test_an_object_of_one_pixel_has_an_outline(tmp_path):
    labels = np.zeros((2, 5, 5), np.uint8)
    labels[:, 0, 0] = 1
    write_trackmate(tmp_path / "a.xml", labels)
    assert all(int(spot.get("ROI_N_POINTS")) >= 3 for spot in spots_of(tmp_path / "a.xml").values())


@pytest.mark.parametrize("name", WRITERS)
def test_contradictions_are_found_before_anything_is_written(tmp_path, name):
    with pytest.raises(LineageError, match="still in the labels"):
        WRITERS[name](tmp_path / name, dividing(), [Division(1, (2, 3), 2)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_a_frame_that_cannot_be_read_leaves_the_former_file(tmp_path, name):
    class Broken:
        def __init__(self, array, good_reads) -> None:
            self.array, self.left = array, good_reads
            self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

        def __getitem__(self, frame):
            self.left -= 1
            if self.left < 0:
                raise OSError("disk gone")
            return self.array[frame]

    labels = dividing()
    WRITERS[name](tmp_path / name, labels, DIVISIONS)
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    with pytest.raises(LabelsError, match="cannot be read"):
        WRITERS[name](tmp_path / name, Broken(labels, len(labels) + 2), DIVISIONS)
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_is_missing_is_a_clear_error(tmp_path, name):
    with pytest.raises(LineageError, match="cannot be written"):
        WRITERS[name](tmp_path / "missing" / name, dividing(), DIVISIONS)


@pytest.mark.parametrize("kind", list(TrackFormat))
def test_formats_are_chosen_by_name(tmp_path, kind):
    path = path_beside(kind, tmp_path / "labels.ome.tif")
    check_tracks_path(kind, path)
    assert path.name.startswith("labels")
    write_tracks(path, dividing(), DIVISIONS, kind=kind, scale=(1, 1, 1))
    assert path.exists()
