"""The command finds objects without prompts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from dividing_cell import dividing_cell

from napari_sam2.cli import main
from napari_sam2.evaluation import iou
from napari_sam2.prompts import read_session


def segment(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(["segment", *map(str, arguments)])
    code = exit_info.value.code
    assert isinstance(code, int)
    return code


def test_objects_are_found_and_followed(small_stack, tmp_path, capsys):
    out, session = tmp_path / "out.tif", tmp_path / "found.sam2.json"
    found = ("--auto", "--every", 1, "--min-size", 60)
    assert segment(small_stack.image, *found, "-o", out, "--session", session, "--json") == 0
    labels = tifffile.imread(out)
    for true in (1, 2):
        disk = small_stack.truth == true
        ids, counts = np.unique(labels[disk & (labels > 0)], return_counts=True)
        assert iou(labels == ids[counts.argmax()], disk) > 0.6, "one id in all frames"
    assert json.loads(capsys.readouterr().out)["complete"] is True
    saved = read_session(session)
    assert saved.found == set(saved.book.object_ids()) == set(np.unique(labels)) - {0}


@pytest.mark.parametrize("kind", ["unknown", "time-lapse", "z-stack"])
def test_a_division_is_found_and_told_where_the_frames_are_times(tmp_path, capsys, kind):
    out = tmp_path / "out.tif"
    tifffile.imwrite(tmp_path / "cell.tif", dividing_cell())
    auto = ("--auto", "--every", 4, "--kind", kind, "--tracks", "ctc")
    assert segment(tmp_path / "cell.tif", *auto, "-o", out) == 0
    told = capsys.readouterr().out
    assert ("The kind of the frames is unknown" in told) is (kind == "unknown")
    assert ("divisions: 1" in told) is (kind == "time-lapse")
    with tifffile.TiffFile(out) as file:
        assert file.series[0].axes == ("TYX" if kind == "time-lapse" else "ZYX")
    (tracks,) = tmp_path.rglob("res_track.txt")
    parents = np.loadtxt(tracks, dtype=int)[:, 3]
    assert np.count_nonzero(parents) == (2 if kind == "time-lapse" else 0)


def test_what_is_left_out_as_tiny_is_told(tmp_path, capsys):
    y, x = np.mgrid[:160, :160]
    image = np.random.default_rng(0).normal(20, 3, (160, 160))
    discs = [(row, column, 15) for row in (25, 75, 125) for column in (25, 75, 125)]
    for row, column, radius in (*discs, *((row, 150, 3) for row in (20, 50, 80, 110))):
        image[(y - row) ** 2 + (x - column) ** 2 <= radius**2] += 100
    path, out = tmp_path / "specks.tif", tmp_path / "out.tif"
    tifffile.imwrite(path, image.astype(np.uint8))
    assert segment(path, "--auto", "-o", out) == 0
    told = capsys.readouterr().out
    (count,) = re.findall(r"left out as unlikely .*: (\d) \(--min-size", told)
    assert 3 <= int(count) <= 4
    assert not tifffile.imread(out)[:, 145:].any()
    assert segment(path, "--auto", "--min-size", 20, "-o", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["unlikely_left_out"] == 0


def test_nothing_found_is_an_error_and_leaves_no_file(small_stack, tmp_path, capsys):
    out = tmp_path / "out.tif"
    assert segment(small_stack.image, "--auto", "--min-size", 30_000, "-o", out) == 1
    assert "No object was found" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("option", [("--every", 2), ("--min-size", 50), ("--max-size", 90)])
def test_options_of_the_search_need_it(small_stack, tmp_path: Path, capsys, option):
    out = tmp_path / "out.tif"
    code = segment(small_stack.image, "-p", small_stack.prompts, *option, "-o", out)
    assert code == 1
    assert "belong to --auto" in capsys.readouterr().err
    assert not out.exists()
