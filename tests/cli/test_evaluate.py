"""The command evaluates labelled stacks and reports as table, JSON and file."""

from __future__ import annotations

import json
import signal

import pytest
from PIL import Image

from napari_sam2.cli import main
from napari_sam2.evaluation import protocol


def evaluate(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(["evaluate", *map(str, arguments)])
    code = exit_info.value.code
    assert isinstance(code, int)
    return code


def test_a_report_is_printed_and_written(small_stack, tmp_path, capsys):
    report = tmp_path / "report.json"
    folder = small_stack.image.parent
    assert evaluate(folder, "--prompt", "box", "--frame", "first", "-o", report) == 0
    table = capsys.readouterr().out
    assert "data/disks" in table
    assert "IoU/object" in table
    content = json.loads(report.read_text(encoding="utf-8"))
    assert content["options"] | {"prompt": "box", "frame": "first"} == content["options"]
    (model,) = content["methods"]
    assert model["total"]["objects"]["objects"] == 2
    assert model["total"]["objects"]["iou"] > 0.6


def test_corrections_and_the_baseline_come_with_a_curve(small_stack, tmp_path, capsys):
    curve = tmp_path / "curve.png"
    folder = small_stack.image.parent
    assert evaluate(folder, "--rounds", 1, "--baseline", "--curve", curve) == 0
    table = capsys.readouterr().out
    assert "baseline" in table
    assert "mean IoU after" in table
    with Image.open(curve) as picture:
        assert picture.size == (960, 600)


def test_a_curve_that_is_no_png_is_told_first(small_stack, tmp_path, capsys):
    assert evaluate(small_stack.image.parent, "--curve", tmp_path / "curve.jpg") == 1
    assert "PNG" in capsys.readouterr().err


def test_json_replaces_the_table_and_objects_can_be_few(small_stack, capsys):
    assert evaluate(small_stack.image.parent, "--json", "--max-objects", 1, "--limit", 1) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["methods"][0]["total"]["objects"]["objects"] == 1
    assert content["model"] == "bundled"


def test_ctrl_c_reports_what_is_finished(small_stack, capsys, monkeypatch):
    read_pair = protocol.read_pair

    def interrupted(pair):
        signal.raise_signal(signal.SIGINT)
        return read_pair(pair)

    monkeypatch.setattr(protocol, "read_pair", interrupted)
    assert evaluate(small_stack.image.parent, "--json") == 130
    content = json.loads(capsys.readouterr().out)
    assert content["complete"] is False
    assert content["methods"][0]["sequences"] == []


def test_a_folder_without_pairs_is_one_clean_error(tmp_path, capsys):
    assert evaluate(tmp_path) == 1
    assert "NAME_image.tif" in capsys.readouterr().err


def test_a_report_without_a_folder_is_told_first(small_stack, tmp_path, capsys):
    assert evaluate(small_stack.image.parent, "-o", tmp_path / "no" / "report.json") == 1
    assert "no folder" in capsys.readouterr().err
