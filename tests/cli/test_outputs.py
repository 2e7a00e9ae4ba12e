"""Outputs that cannot be written are told before the work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from napari_sam2.cli.common import check_output, check_outputs, write_report
from napari_sam2.errors import EvaluationError, LabelsError


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
