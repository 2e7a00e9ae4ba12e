"""What the README and the documentation show works as shown."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from napari_sam2 import TrackingSession, load_model
from napari_sam2.checkpoints import MODELS
from napari_sam2.prompts import read_prompts, read_session

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, opening: str) -> list[str]:
    """Fenced blocks of a page that begin with `opening`."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [block for block in fenced if block.startswith(opening)]


@pytest.mark.parametrize("page", ["README.md", "docs/prompts.md"])
def test_tables_of_prompts_are_read(tmp_path, page):
    (table,) = blocks(ROOT / page, "frame,object")
    path = tmp_path / "clicks.csv"
    path.write_text(table, "utf-8")
    book = read_prompts(path, (51, 200, 200))
    assert book.object_ids() == (1, 2)
    assert book.get(2, 12).box == (30, 41, 78, 96)


def test_session_file_is_read(tmp_path):
    (session,) = blocks(ROOT / "docs/prompts.md", "{")
    path = tmp_path / "cells.sam2.json"
    path.write_text(session, "utf-8")
    read = read_session(path)
    assert read.book.shape == (51, 120, 122)
    assert read.accepted == ((1, 25),)


def test_python_example_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks(ROOT / "README.md", "from napari_sam2")
    stack = np.random.default_rng(0).integers(0, 200, (14, 160, 160), dtype=np.uint8)
    names = {"stack": stack}
    exec(compile(example, "README.md", "exec"), names)
    assert names["labels"].shape == stack.shape
    assert read_session(tmp_path / "cells.sam2.json").book.object_ids() == (1, 2)


def test_python_example_of_the_documentation_is_that_of_the_readme():
    (example,) = blocks(ROOT / "docs/api.md", "from napari_sam2 import")
    (shown,) = blocks(ROOT / "README.md", "from napari_sam2")
    for line in example.splitlines():
        if line.startswith(("session.", "for ", "    ")):
            assert line in shown


def test_examples_of_stacks_run():
    (example,) = blocks(ROOT / "docs/api.md", "from napari_sam2.stack import")
    planes = np.zeros((9, 600, 600), dtype=np.uint16)
    movie = np.broadcast_to(planes, (4, *planes.shape))
    names = {"movie": movie, "membranes": planes, "nuclei": planes}
    names |= {"model": load_model("bundled", "cpu"), "TrackingSession": TrackingSession}
    exec(compile(example, "docs/api.md", "exec"), names)
    assert names["session"].stack.n_channels == 3
    assert names["session"].n_frames == 9


@pytest.mark.parametrize("page", ["README.md", "docs/models.md"])
def test_every_model_is_named_with_its_size(page):
    text = (ROOT / page).read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\S+)` \|.*\| (\d+) MB \|", text, re.MULTILINE))
    listed = {i.name: i.size_bytes for i in MODELS if i.name.startswith("sam2.1")}
    assert {name: int(size) for name, size in rows.items()} == {
        name: round(size / 1e6) for name, size in listed.items()
    }


def test_model_files_are_named():
    text = (ROOT / "docs/models.md").read_text("utf-8")
    for info in MODELS:
        if info.url is not None:
            assert f"| `{info.name}` | `{info.file_name}` |" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text("utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target
