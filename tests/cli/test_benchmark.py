"""The command measures a model and reports as table, JSON and file."""

from __future__ import annotations

import json

import pytest

from napari_sam2.cli import main

pytestmark = pytest.mark.usefixtures("small_matrices")

SHORT = ("--frames", 2, "--frame-size", 64, "--image-size", 64)


def benchmark(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(["benchmark", *map(str, arguments)])
    code = exit_info.value.code
    assert isinstance(code, int)
    return code


def test_a_table_is_printed_and_a_report_written(tmp_path, capsys):
    path = tmp_path / "speed.json"
    assert benchmark(*SHORT, "-n", 1, "-n", 2, "-o", path) == 0
    assert "first mask" in capsys.readouterr().out
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["model"] == "bundled"
    assert [speed["objects"] for speed in content["speeds"]] == [1, 2]


def test_an_approximation_is_named(capsys):
    assert benchmark(*SHORT, "-n", 1, "--speed", "fastest") == 0
    assert "fastest, approximated with" in capsys.readouterr().out


def test_json_replaces_the_table(capsys):
    assert benchmark(*SHORT, "-n", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 2


def test_an_output_without_a_folder_is_an_error_before_the_work(tmp_path, capsys):
    assert benchmark("-o", tmp_path / "none" / "speed.json") == 1
    assert "There is no folder" in capsys.readouterr().err
