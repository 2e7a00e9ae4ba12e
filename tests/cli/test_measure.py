"""Tables and movies of label files."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from PIL import Image

from napari_sam2.cli import main
from napari_sam2.prompts import PromptBook, SessionFile, write_session
from napari_sam2.types import Division, ObjectFrame


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


def test_a_movie(files, capsys):
    out = files / "m.gif"
    given = ("movie", files / "image.tif", files / "labels.tif", "-o", out)
    assert run(*given, "--names", "--follow", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 4
    with Image.open(out) as picture:
        assert picture.n_frames == 4
    assert run(*given, "--follow", 8) == 1
    assert "no object 8" in capsys.readouterr().err
