"""Tables and movies of label files."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from PIL import Image, ImageSequence

from napari_sam2.cli import main
from napari_sam2.labels import write_labels
from napari_sam2.prompts import PromptBook, SessionFile, write_session
from napari_sam2.types import Division, ObjectFrame, Region


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main([str(each) for each in arguments])
    code = exit_info.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def files(tmp_path):
    """Labels and image of four frames, with scale: 60 s and 0.5 µm."""
    labels = np.zeros((4, 32, 40), np.uint16)
    labels[:2, 5:15, 5:15] = 1
    labels[2:, 5:15, 5:9], labels[2:, 5:15, 11:15] = 2, 3
    image = labels * 100
    about = {"axes": "TYX", "finterval": 60.0, "unit": "um"}
    options = {"imagej": True, "metadata": about, "resolution": (2, 2), "resolutionunit": "NONE"}
    for name, data in (("labels.tif", labels), ("image.tif", image)):
        tifffile.imwrite(tmp_path / name, data, **options)
    return tmp_path


def test_a_table_of_labels_and_image(files, capsys):
    out = files / "t.csv"
    assert run("measure", files / "labels.tif", files / "image.tif", "-o", out, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["rows"], summary["objects"]) == (6, 3)
    table = pd.read_csv(out, comment="#")
    first = table.iloc[0]
    assert first["area"] == 100 * 0.25
    assert first["intensity_mean"] == 100
    assert first["area_px"] == 100
    assert table["time"].max() == 180
    assert "# unit µm^2: area" in out.read_text("utf-8")


def test_a_session_gives_parents_and_decisions(files):
    saved = files / "s.sam2.json"
    book = PromptBook((4, 32, 40))
    book.add_points(1, 0, [(8, 8)])
    accepted = (ObjectFrame(2, 3),)
    write_session(SessionFile(book, accepted, divisions=(Division(1, (2, 3), 2),)), saved)
    out = files / "t.csv"
    assert run("measure", files / "labels.tif", "-o", out, "--session", saved) == 0
    table = pd.read_csv(out, comment="#").set_index(["label", "frame"])
    assert table.loc[(2, 2), "parent"] == 1
    assert table.loc[(3, 3), "generation"] == 1
    assert table.loc[(1, 0), "prompted"]
    assert table.loc[(2, 3), "accepted"]
    assert not {"score", "doubtful", "doubts"} & {*table}  # the file does not know them


def test_options_name_the_scale(files, capsys):
    out = files / "t.csv"
    given = ("measure", files / "labels.tif", "-o", out)
    assert run(*given, "--scale", "1,2,2", "--unit", "nm") == 0
    assert "unit nm^2: area" in out.read_text("utf-8")
    assert run(*given, "--scale", "1,0,2") == 1
    assert "scale" in capsys.readouterr().err
    assert run(*given, "--scale", "far") == 1


@pytest.mark.parametrize("out", ["t.xlsx", "missing/t.csv", "labels.tif"])
def test_an_impossible_table_is_an_error_before_the_work(files, capsys, out):
    assert run("measure", files / "labels.tif", "-o", files / out) == 1
    assert "napari-sam2: error:" in capsys.readouterr().err


def test_an_image_of_another_shape_is_an_error(files, capsys):
    tifffile.imwrite(files / "small.tif", np.zeros((4, 8, 8), np.uint8))
    given = ("measure", files / "labels.tif", files / "small.tif", "-o", files / "t.csv")
    assert run(*given) == 1
    assert "shape" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", ["image", "labels"])
def test_a_frame_that_cannot_be_read(files, capsys, damaged):
    """Without it there are no intensities, but there is no table and no movie without labels."""
    for name in ("image", "labels"):
        data = tifffile.imread(files / f"{name}.tif")
        array = zarr.create_array(
            str(files / name), shape=data.shape, chunks=(1, 32, 40), dtype="u2"
        )
        array[:] = data
    (chunk,) = (files / damaged / "c" / "2").rglob("0/0")
    chunk.write_bytes(b"damaged")
    for name in ("t.csv", "m.gif"):
        (files / name).write_text("former", "utf-8")
    given = ("measure", files / "labels", files / "image", "-o", files / "t.csv", "--json")
    assert run(*given) == (1 if damaged == "labels" else 0)
    said = capsys.readouterr()
    if damaged == "labels":
        assert "frame 2 cannot be read" in said.err
        assert (files / "t.csv").read_text("utf-8") == "former"
    else:
        assert json.loads(said.out)["unreadable"][0].startswith("Frame 2 of the image")
        means = pd.read_csv(files / "t.csv", comment="#").groupby("frame")["intensity_mean"]
        assert means.count().to_dict() == {0: 1, 1: 1, 2: 0, 3: 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the contrast is measured without it
        code = run("movie", files / "image", files / "labels", "-o", files / "m.gif", "--axis", 0)
    assert code == 1
    assert "rame 2 cannot be read" in capsys.readouterr().err
    assert (files / "m.gif").read_text("utf-8") == "former"


def block(shape, *slices):
    """Labels of one object."""
    labels = np.zeros(shape, np.uint16)
    labels[slices] = 1
    return labels


def table_of(path):
    return pd.read_csv(path, comment="#")


XYZ = block((20, 30, 40), slice(5, 10), slice(10, 20), slice(15, 18))


@pytest.mark.parametrize("name", ["l.tif", "l.zarr", "l.ome.tif", "l.nii.gz"])
def test_labels_of_x_y_z_are_measured_along_z(tmp_path, name):
    if name.endswith(".gz"):
        pytest.importorskip("nibabel")
    write_labels(tmp_path / name, XYZ, axes="XYZ", scale=(500, 500, 2000))
    image = tmp_path / "i.zarr"
    array = zarr.create_array(image, data=XYZ * 7, dimension_names=("x", "y", "z"))
    assert array.shape == XYZ.shape
    out = tmp_path / "t.csv"
    assert run("measure", tmp_path / name, image, "-o", out) == 0
    table = table_of(out)
    assert table["frame"].tolist() == [15, 16, 17]
    assert table["position"].tolist() == [30000, 32000, 34000]
    assert table["area_px"].tolist() == [50] * 3
    assert table["area"].tolist() == [50 * 500 * 500] * 3
    assert table["intensity_mean"].tolist() == [7] * 3
    assert "# scale of the axes ZYX: 2000, 500, 500" in out.read_text("utf-8")
    assert run("measure", tmp_path / name, image, "-o", out, "--volumes") == 0
    assert table_of(out)["area_px"].tolist() == [150]


def test_axes_and_scale_are_given_in_the_order_of_the_file(tmp_path):
    np.save(tmp_path / "l.npy", XYZ)
    out = tmp_path / "t.csv"
    given = ("measure", tmp_path / "l.npy", "-o", out, "--scale", "1,2,8")
    assert run(*given, "--axes", "XYZ") == 0
    assert "# scale of the axes ZYX: 8, 2, 1" in out.read_text("utf-8")
    assert table_of(out)["position"].tolist() == [120, 128, 136]
    assert run(*given, "--axes", "XY") == 1


def test_volumes_over_time_are_known_by_letters(tmp_path):
    labels = block((4, 6, 32, 32), slice(1, 3), slice(None), slice(5, 15), slice(5, 15))
    tifffile.imwrite(tmp_path / "l.ome.tif", labels, metadata={"axes": "ZTYX"})
    assert run("measure", tmp_path / "l.ome.tif", "-o", tmp_path / "t.csv") == 0
    table = table_of(tmp_path / "t.csv")
    assert table["frame"].tolist() == [0, 1, 2, 3, 4, 5]
    assert table["area"].tolist() == [200] * 6


def test_pictures_in_colour_are_no_labels(tmp_path, capsys):
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "l.png")
    assert run("measure", tmp_path / "l.png", "-o", tmp_path / "t.csv") == 1
    assert "3 colours along axis S" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


def numbered(*sizes):
    """An image whose intensities are the digits of the position along its first axes."""
    places = np.indices(sizes).reshape(len(sizes), -1)
    values = sum(place * 10 ** (len(sizes) - at) for at, place in enumerate(places))
    image = np.zeros((*sizes, 16, 16), np.uint16)
    image[...] = np.reshape(values, (*sizes, 1, 1))
    return image


@pytest.mark.parametrize("times", [3, 4])
def test_a_further_axis_of_the_image_is_held_and_no_channels(tmp_path, capsys, times):
    """With as many time points as slices, the shapes alone would give wrong values."""
    tifffile.imwrite(tmp_path / "i.ome.tif", numbered(times, 4), metadata={"axes": "TZYX"})
    labels = block((4, 16, 16), slice(None), slice(5, 9), slice(5, 9))
    write_labels(tmp_path / "l.tif", labels, axes="ZYX")
    out = tmp_path / "t.csv"
    given = ("measure", tmp_path / "l.tif", tmp_path / "i.ome.tif", "-o", out)
    assert run(*given) == 1
    assert "--at" in capsys.readouterr().err
    assert not out.exists()
    assert run(*given, "--at", "T=2") == 0
    assert table_of(out)["intensity_mean"].tolist() == [200, 210, 220, 230]
    assert run(*given, "--at", f"T={times}") == 1
    assert run(*given[:2], "-o", out, "--at", "T=2") == 1
    assert "Give the image too" in capsys.readouterr().err


def test_channels_are_those_that_the_image_calls_so(tmp_path):
    tifffile.imwrite(tmp_path / "i.ome.tif", numbered(3, 3), metadata={"axes": "CTYX"})
    labels = block((3, 16, 16), slice(None), slice(5, 9), slice(5, 9))
    write_labels(tmp_path / "l.tif", labels, axes="TYX")
    out = tmp_path / "t.csv"
    assert run("measure", tmp_path / "l.tif", tmp_path / "i.ome.tif", "-o", out) == 0
    found = table_of(out)[[f"intensity_mean-{channel}" for channel in range(3)]].to_numpy()
    assert found.tolist() == [[0, 100, 200], [10, 110, 210], [20, 120, 220]]


def test_nameless_axes_are_those_of_the_other_file(tmp_path):
    labels = block((5, 16, 16), slice(None), slice(5, 9), slice(5, 9))
    np.save(tmp_path / "l.npy", labels)
    out = tmp_path / "t.csv"
    for axes, shape in (("ZYX", (5,)), ("CYX", (5,)), ("ZCYX", (5, 2))):
        tifffile.imwrite(tmp_path / "i.ome.tif", numbered(*shape), metadata={"axes": axes})
        assert run("measure", tmp_path / "l.npy", tmp_path / "i.ome.tif", "-o", out) == 0
        assert ("speed" in table_of(out)) == (axes == "CYX"), axes


def test_the_image_of_a_file_with_several_is_chosen_and_named(tmp_path, capsys):
    labels = block((3, 16, 16), slice(None), slice(5, 9), slice(5, 9))
    write_labels(tmp_path / "l.tif", labels, axes="ZYX")
    with tifffile.TiffWriter(tmp_path / "i.ome.tif") as file:
        for value in (1, 2):
            file.write(np.full(labels.shape, value, np.uint8), metadata={"axes": "ZYX"})
    out = tmp_path / "t.csv"
    given = ("measure", tmp_path / "l.tif", tmp_path / "i.ome.tif", "-o", out)
    assert run(*given) == 0
    assert "image 0 of the 2 in the file (--series)" in capsys.readouterr().out
    assert run(*given, "--series", 1) == 0
    assert table_of(out)["intensity_mean"].tolist() == [2] * 3


def save_session(path, shape, **about):
    book = PromptBook(shape)
    book.add_points(1, 2, [(3, 5)])
    write_session(SessionFile(book, **about), path)
    return path


@pytest.mark.parametrize(
    ("axes", "shape", "session", "about", "said"),
    [
        ("ZYX", (8, 16, 16), (16, 8, 16), {"axis": 1}, "(16, 8, 16)"),
        ("TYX", (3, 16, 16), (50, 99, 99), {"axis": 0}, "(50, 99, 99)"),
        ("ZYX", (16, 16, 16), (16, 16, 16), {"axis": 1}, "along axis Y"),
        ("TZYX", (6, 5, 16, 16), (5, 16, 16), {"axis": 1, "at": {0: 1}}, "about volumes"),
        ("TYX", (5, 16, 16), (5, 8, 8), {"region": Region(10, 0, 18, 8)}, "region"),
        ("TYX", (5, 16, 16), (5, 8, 8), {}, "(5, 8, 8)"),
    ],
)
def test_a_session_of_other_frames_is_refused(tmp_path, capsys, axes, shape, session, about, said):
    write_labels(tmp_path / "l.tif", block(shape, ..., slice(3, 9), slice(3, 9)), axes=axes)
    saved = save_session(tmp_path / "s.sam2.json", session, **about)
    out = tmp_path / "t.csv"
    assert run("measure", tmp_path / "l.tif", "--session", saved, "-o", out) == 1
    assert said in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("axes", "shape", "session", "about"),
    [
        ("ZYX", (8, 16, 16), (8, 16, 16), {"axis": 0}),
        ("ZYX", (16, 16, 16), (16, 16, 16), {"axis": 0}),
        ("XYZ", (16, 20, 8), (8, 20, 16), {"axis": 2, "settings": {"transposed": True}}),
        ("XYZ", (16, 20, 8), (8, 16, 20), {"axis": 2}),
        ("TYX", (5, 16, 16), (5, 8, 8), {"region": Region(8, 0, 16, 8)}),
        ("ZYX", (5, 16, 16), (5, 16, 16), {"axis": 1, "at": {0: 2}}),
    ],
)
def test_a_session_of_the_measured_frames_is_taken(tmp_path, axes, shape, session, about):
    write_labels(tmp_path / "l.tif", np.ones(shape, np.uint8), axes=axes)
    saved = save_session(tmp_path / "s.sam2.json", session, **about)
    out = tmp_path / "t.csv"
    assert run("measure", tmp_path / "l.tif", "--session", saved, "-o", out) == 0
    table = table_of(out)
    assert table[table["prompted"]]["frame"].tolist() == [2]


def test_a_session_is_compared_with_the_image(tmp_path, capsys):
    """Its letters say which axis a session is of, and --at which position."""
    tifffile.imwrite(tmp_path / "i.ome.tif", numbered(3, 16), metadata={"axes": "TZYX"})
    labels = block((16, 16, 16), slice(None), slice(5, 9), slice(5, 9))
    write_labels(tmp_path / "l.tif", labels, axes="ZYX")
    given = ("measure", tmp_path / "l.tif", tmp_path / "i.ome.tif", "-o", tmp_path / "t.csv")
    saved = save_session(tmp_path / "s.sam2.json", labels.shape, axis=1, at={0: 2})
    assert run(*given, "--session", saved, "--at", "T=2") == 0
    assert run(*given, "--session", saved, "--at", "T=1") == 1
    assert "other positions than --at" in capsys.readouterr().err
    save_session(saved, labels.shape, axis=3, at={0: 2})
    assert run(*given, "--session", saved, "--at", "T=2") == 1
    assert "along axis X" in capsys.readouterr().err


def test_volumes_of_a_z_stack_take_no_session(files, capsys):
    saved = save_session(files / "s.sam2.json", (4, 32, 40))
    given = ("measure", files / "labels.tif", "-o", files / "t.csv", "--session", saved)
    assert run(*given, "--axes", "ZYX", "--volumes") == 1
    assert "about volumes" in capsys.readouterr().err


def test_impossible_divisions_of_a_session_are_an_error(files, capsys):
    saved = files / "s.sam2.json"
    divisions = (Division(1, (2, 3), 2),)
    write_session(SessionFile(PromptBook((4, 32, 40)), divisions=divisions), saved)
    saved.write_text(saved.read_text("utf-8").replace('"parent": 1', '"parent": 2'), "utf-8")
    out = files / "t.csv"
    assert run("measure", files / "labels.tif", "-o", out, "--session", saved) == 1
    assert "its own child" in capsys.readouterr().err
    assert not out.exists()


def test_a_movie_of_zarr_labels(files):
    data = tifffile.imread(files / "labels.tif")
    zarr.create_array(str(files / "labels"), shape=data.shape, dtype="u2")[:] = data
    assert run("movie", files / "image.tif", files / "labels", "-o", files / "m.gif") == 0
    with Image.open(files / "m.gif") as picture:
        assert picture.n_frames == 4


@pytest.mark.parametrize(
    ("option", "value"), [("--pixel-size", 0), ("--interval", -1), ("--fps", 0), ("--zoom", 0)]
)
def test_an_impossible_movie_is_an_error(files, capsys, option, value):
    given = ("movie", files / "image.tif", files / "labels.tif", "-o", files / "m.gif")
    assert run(*given, option, value) == 1
    assert "napari-sam2: error:" in capsys.readouterr().err
    assert not (files / "m.gif").exists()


def test_a_movie_of_other_labels_says_how_to_choose_frames(files, capsys):
    np.save(files / "small.npy", np.zeros((4, 8, 8), np.uint8))
    given = ("movie", files / "image.tif", files / "small.npy", "-o", files / "m.gif")
    assert run(*given) == 1
    assert "--axis" in capsys.readouterr().err


def coloured(path):
    """Frames of a movie that are not grey."""
    with Image.open(path) as picture:
        frames = [np.array(frame.convert("RGB"), int) for frame in ImageSequence.Iterator(picture)]
    return [at for at, frame in enumerate(frames) if np.ptp(frame, axis=-1).max() > 60]


@pytest.mark.parametrize("name", ["l.tif", "l.ome.tif"])
def test_a_movie_turns_labels_to_its_frames(tmp_path, name):
    """Also where all sides are the same."""
    labels = block((16, 16, 16), slice(2, 6), slice(8, 12), slice(12, 15))  # X, Y, Z
    zarr.create_array(tmp_path / "i.zarr", data=labels * 100, dimension_names=("x", "y", "z"))
    write_labels(tmp_path / name, labels, axes="XYZ")
    out = tmp_path / "m.gif"
    given = ("movie", tmp_path / "i.zarr", tmp_path / name, "-o", out, "--fill", 1, "--zoom", 4)
    assert run(*given) == 0
    assert coloured(out) == [12, 13, 14]
    assert run(*given, "--axis", "Y") == 0
    assert coloured(out) == [8, 9, 10, 11]


def test_a_movie_of_one_of_several_volumes(tmp_path):
    labels = block((2, 4, 16, 16), 1, slice(1, 3), slice(8, 12), slice(4, 9))
    for name in ("l.tif", "i.tif"):
        write_labels(tmp_path / name, labels, axes="TZYX")
    given = ("movie", tmp_path / "i.tif", tmp_path / "l.tif", "-o", tmp_path / "m.gif")
    assert run(*given, "--axis", "Z", "--at", "T=1", "--fill", 1, "--zoom", 4) == 0
    assert coloured(tmp_path / "m.gif") == [1, 2]


def test_a_movie(files, capsys):
    out = files / "m.gif"
    given = ("movie", files / "image.tif", files / "labels.tif", "-o", out)
    assert run(*given, "--names", "--follow", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 4
    with Image.open(out) as picture:
        assert picture.n_frames == 4
    assert run(*given, "--follow", 8) == 1
    assert "no object 8" in capsys.readouterr().err
