"""Outputs that cannot be written are told before the work."""

from __future__ import annotations

import pytest

from napari_sam2.cli.outputs import check_output
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
