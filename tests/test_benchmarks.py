"""Scripts in `benchmarks/` import what there is: nobody runs all of them after a rename."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))


def is_there(module: str, name: str) -> bool:
    """Whether a module has a name, or a package a module of that name."""
    found = import_module(module)
    if hasattr(found, name):
        return True
    return hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_every_name_that_a_benchmark_imports_from_the_package_exists(script):
    wanted = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(script.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("napari_sam2")
        for alias in node.names
    ]
    assert [each for each in wanted if not is_there(*each)] == []
