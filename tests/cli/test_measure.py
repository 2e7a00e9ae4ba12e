"""Tables and movies of label files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
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


def test_a_movie(files, capsys):
    out = files / "m.gif"
    given = ("movie", files / "image.tif", files / "labels.tif", "-o", out)
    assert run(*given, "--names", "--follow", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 4
    with Image.open(out) as picture:
        assert picture.n_frames == 4
    assert run(*given, "--follow", 8) == 1
    assert "no object 8" in capsys.readouterr().err
