"""The command finds objects without prompts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

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
