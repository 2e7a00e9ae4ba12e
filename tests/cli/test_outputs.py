"""Outputs that cannot be written are told before the work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from napari_sam2.cli.common import alone_with_output, write_report
from napari_sam2.errors import EvaluationError, LabelsError, Sam2Error
from napari_sam2.segmentation.output_paths import check_output, check_outputs


def test_an_input_is_never_overwritten(tmp_path):
    stack = tmp_path / "stack.tif"
    stack.touch()
    (tmp_path / "sub").mkdir()
    with pytest.raises(LabelsError, match="is an input"):
        check_output(tmp_path / "sub" / ".." / "stack.tif", LabelsError, inputs=[stack])


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(EvaluationError, match="nowhere"):
        check_output(tmp_path / "nowhere" / "report.json", EvaluationError)


def test_a_path_in_the_working_folder_is_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_output(tmp_path.__class__("labels.tif"), LabelsError, inputs=[tmp_path / "stack.tif"])
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "labels.tif").mkdir()
    with pytest.raises(LabelsError, match="is a folder"):
        check_output(tmp_path / "labels.tif", LabelsError)
    (tmp_path / "labels.zarr").mkdir()
    check_output(tmp_path / "labels.zarr", LabelsError)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes files of nobody, root included")
def test_a_folder_that_takes_no_files_is_an_error_before_the_work():
    with pytest.raises(LabelsError, match="cannot be written to"):
        check_output(Path("/proc/labels.tif"), LabelsError)


def test_two_outputs_never_share_a_file(tmp_path):
    (tmp_path / "sub").mkdir()
    same = (tmp_path / "labels.tif", None, tmp_path / "sub" / ".." / "labels.tif")
    with pytest.raises(LabelsError, match="for two outputs"):
        check_outputs(same, LabelsError)
    check_outputs((tmp_path / "a.tif", None, tmp_path / "b.json"), LabelsError)


def test_a_report_that_cannot_be_written_says_where_the_figures_are(tmp_path):
    with pytest.raises(EvaluationError, match="figures are those above"):
        write_report(tmp_path / "gone" / "report.json", "{}", EvaluationError)


def test_a_name_that_is_too_long_is_told_before_the_work(tmp_path):
    check_output(tmp_path / ("n" * 251 + ".tif"), LabelsError)
    with pytest.raises(LabelsError, match="cannot be written"):
        check_output(tmp_path / ("n" * 252 + ".tif"), LabelsError)


def test_links_in_a_circle_are_no_traceback(tmp_path):
    (tmp_path / "a.tif").symlink_to(tmp_path / "b.tif")
    (tmp_path / "b.tif").symlink_to(tmp_path / "a.tif")
    check_outputs((tmp_path / "a.tif", tmp_path / "c.tif"), LabelsError, inputs=[tmp_path / "d"])
    with pytest.raises(LabelsError, match=r"cannot be written|no folder"):
        check_output(tmp_path / "a.tif" / "c.tif", LabelsError)


def test_one_output_is_made_by_one_run_at_a_time(tmp_path):
    calls = []

    @alone_with_output
    def outer(*, output: Path, depth: int) -> None:
        calls.append(depth)
        with pytest.raises(Sam2Error, match="Another run is making"):
            outer(output=output.parent / "." / output.name, depth=depth + 1)
        if not depth:
            outer(output=output.with_name("other.zarr"), depth=depth + 1)

    outer(output=tmp_path / "labels.zarr", depth=0)
    outer(output=tmp_path / "labels.zarr", depth=0)
    assert calls == [0, 1, 0, 1]


def test_a_report_replaces_another_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_report(path, "before", EvaluationError)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(EvaluationError, match="No space left"):
        write_report(path, "after", EvaluationError)
    assert path.read_text() == "before\n"


def refuse(descriptor):
    raise OSError(28, "No space left on device")
