"""napari opens only where a person can see it, and its script shows what was written."""

from __future__ import annotations

import ast

import pytest

from napari_sam2.cli.viewer import has_screen, open_viewer, write_viewer_script


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": ":0", "CI": "true"}, False),
        ("darwin", {}, True),
        ("win32", {}, True),
        ("win32", {"CI": "1"}, False),
    ],
)
def test_where_there_is_a_screen(platform, environment, expected):
    assert has_screen(platform, environment) is expected


def test_the_script_is_python_that_names_the_files(tmp_path):
    results = [
        ("it's a stack", str(tmp_path / "a_image.tif"), str(tmp_path / "a_labels.tif")),
        ("cells", str(tmp_path / "b_image.tif"), str(tmp_path / "b_labels.tif")),
    ]
    script = write_viewer_script(tmp_path, results)
    text = script.read_text(encoding="utf-8")
    constants = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert {"a_image.tif", "a_labels.tif", "b_image.tif", "b_labels.tif"} <= constants
    assert "it's a stack: labels" in constants
    assert str(tmp_path) not in text


def test_a_viewer_that_fails_at_once_is_noticed(tmp_path, monkeypatch):
    broken = tmp_path / "napari.py"
    broken.write_text("raise SystemExit('no window here')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = tmp_path / "napari.log"
    assert open_viewer(tmp_path / "script.py", log) is False
    assert "no window here" in log.read_text(encoding="utf-8")
