"""The command evaluates labelled stacks and reports as table, JSON and file."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import tifffile
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


def test_one_call_measures_clicks_and_boxes_in_one_frame_and_through_the_stack(
    small_stack, tmp_path, capsys
):
    report, curve = tmp_path / "report.json", tmp_path / "curve.png"
    assert evaluate(small_stack.image.parent, "-o", report, "--curve", curve) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines if line[:1] == ["data"]][:3] == ["click", "box", "three"]
    assert any(line[:1] == ["corrections"] for line in lines)
    content = json.loads(report.read_text(encoding="utf-8"))
    assert [one["protocol"]["clicks"] for one in content["methods"]] == [0, 0, 2]
    for one in content["methods"]:
        (data,) = one["sets"]
        assert data["objects"]["in_frame"]["iou"] > 0.6
        assert data["stack"]["iou"] > 0.6
    assert len(content["methods"][2]["sets"][0]["objects"]["in_frame"]["curve"]) == 3
    assert curve.is_file()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--prompt", "point"], "click"),
        (["--prompt", "box", "--clicks", 1], "box, 1 more"),
        (["--rounds", 0], "click"),
    ],
)
def test_what_is_asked_for_alone_is_measured_alone(small_stack, capsys, arguments, name):
    assert evaluate(small_stack.image.parent, "--json", *arguments) == 0
    (one,) = json.loads(capsys.readouterr().out)["methods"]
    assert one["protocol"]["name"] == name


@pytest.mark.parametrize("auto", [False, True])
def test_the_first_of_several_channels_is_named(small_stack, tmp_path, capsys, auto):
    grey = tifffile.imread(small_stack.image)[1]
    other = np.random.default_rng(0).permutation(grey.ravel()).reshape(grey.shape)
    report = tmp_path / "report.json"
    arguments = ["--auto"] if auto else ["--prompt", "point"]
    told = []
    for channels in (grey, np.stack([grey, other])):
        folder = tmp_path / str(channels.ndim)
        folder.mkdir()
        axes = {"axes": "CYX"[-channels.ndim :]}
        tifffile.imwrite(folder / "a_image.tif", channels, metadata=axes)
        tifffile.imwrite(folder / "a_labels.tif", small_stack.truth[1])
        assert evaluate(folder, *arguments, "-o", report) == 0
        told.append("only channel 0" in capsys.readouterr().out)
        content = json.loads(report.read_text(encoding="utf-8"))
        one = content["sets"][0] if auto else content["methods"][0]["sequences"][0]
        assert one["first_channel"] is told[-1]
    assert told == [False, True]


def test_a_search_takes_no_options_of_prompts(small_stack, tmp_path, capsys):
    options = ("--prompt", "box", "--frame", "middle", "--overlap", "auto", "--clicks", 0)
    more = ("--rounds", 0, "--max-objects", 3, "--per-object", "--curve", tmp_path / "curve.png")
    assert evaluate(small_stack.image.parent, "--auto", "--limit", 1, *options, *more) == 1
    told = capsys.readouterr().err
    assert all(each in told for each in (*options, *more) if str(each).startswith("--"))
    assert "--limit" not in told


def test_limits_hold_for_each_of_several_sets(small_stack, tmp_path, capsys):
    for name in ("one", "two"):
        folder = tmp_path / "sets" / name
        folder.mkdir(parents=True)
        for number in range(2):
            for source in (small_stack.image, small_stack.labels):
                kind = source.stem.split("_")[1]
                plane = tifffile.imread(source)[number]
                tifffile.imwrite(folder / f"{number}_{kind}.tif", plane)
    assert evaluate(tmp_path / "sets", "--json", "--limit", 1, "--max-objects", 1) == 0
    content = json.loads(capsys.readouterr().out)
    for scores in content["methods"]:
        names = [(one["group"], one["name"]) for one in scores["sequences"]]
        assert names == [("one", "0"), ("two", "0")]
        assert [one["objects"]["objects"] for one in scores["sets"]] == [1, 1]
        assert scores["mean_over_sets"]["sets"] == 2
        assert scores["mean_over_sets"]["stack"] is None


def test_corrections_and_the_baseline_come_with_a_curve(small_stack, tmp_path, capsys):
    curve = tmp_path / "curve.png"
    folder = small_stack.image.parent
    assert evaluate(folder, "--rounds", 1, "--baseline", "--curve", curve) == 0
    table = capsys.readouterr().out
    assert "baseline" in table
    assert "mean IoU after" in table
    with Image.open(curve) as picture:
        assert picture.size == (960, 600)


def test_a_curve_that_is_no_png_is_reported_first(small_stack, tmp_path, capsys):
    assert evaluate(small_stack.image.parent, "--curve", tmp_path / "curve.jpg") == 1
    assert "PNG" in capsys.readouterr().err


def test_a_curve_without_matplotlib_is_refused_first(small_stack, tmp_path, capsys, no_matplotlib):
    curve = tmp_path / "curve.png"
    assert evaluate(small_stack.image.parent, "--curve", curve) == 1
    captured = capsys.readouterr()
    assert 'pip install "napari-sam2[plots]"' in captured.err
    assert captured.out == ""
    assert not curve.exists()


def test_json_replaces_the_table_and_objects_can_be_few(small_stack, capsys):
    assert evaluate(small_stack.image.parent, "--json", "--max-objects", 1, "--limit", 1) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["methods"][0]["total"]["objects"]["objects"] == 1
    assert content["model"] == "bundled"


def test_ctrl_c_reports_what_is_finished(small_stack, capsys, monkeypatch):
    read_pair = protocol.read_pair

    def interrupted(*asked):
        signal.raise_signal(signal.SIGINT)
        return read_pair(*asked)

    monkeypatch.setattr(protocol, "read_pair", interrupted)
    assert evaluate(small_stack.image.parent, "--json") == 130
    content = json.loads(capsys.readouterr().out)
    assert content["complete"] is False
    assert content["methods"][0]["sequences"] == []


def test_a_folder_without_pairs_is_one_clean_error(tmp_path, capsys):
    assert evaluate(tmp_path) == 1
    assert "NAME_image.tif" in capsys.readouterr().err


def test_a_report_without_a_folder_is_an_error_first(small_stack, tmp_path, capsys):
    assert evaluate(small_stack.image.parent, "-o", tmp_path / "no" / "report.json") == 1
    assert "no folder" in capsys.readouterr().err


@pytest.mark.parametrize("baseline", [(), ("--baseline",)])
def test_ids_above_16_bits_are_measured_like_others(small_stack, tmp_path, capsys, baseline):
    large = small_stack.truth.astype(np.uint32) * 70_000
    tifffile.imwrite(small_stack.labels, large, metadata={"axes": "ZYX"})
    report = tmp_path / "report.json"
    folder = small_stack.image.parent
    assert evaluate(folder, "--prompt", "box", *baseline, "-o", report) == 0
    content = json.loads(report.read_text(encoding="utf-8"))
    assert content["methods"][0]["total"]["objects"]["objects"] == 2
    assert content["methods"][0]["total"]["objects"]["iou"] > 0.6
