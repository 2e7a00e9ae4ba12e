"""What the README and the documentation show works as shown."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from napari.layers import Tracks

from napari_sam2 import TrackingSession, load_model
from napari_sam2.checkpoints import MODELS
from napari_sam2.cli.main import app
from napari_sam2.prompts import read_prompts, read_session

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FOR_USERS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOR_USERS.remove(ROOT / "docs" / "architecture.md")
RESULTS = ROOT / "docs" / "results.md"
WIDEST = 120


def named(page: Path) -> str:
    """Name a page in the names of tests."""
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}


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


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text("utf-8")):
        if target.startswith("http"):
            continue
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


@pytest.mark.parametrize("page", FOR_USERS, ids=named)
def test_lines_for_users_fit_on_a_screen(page):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    long = [line for line in text.splitlines() if len(line) > WIDEST and line.lstrip()[0] != "|"]
    assert not long


@pytest.mark.parametrize("index", ["docs/index.md", "mkdocs.yml"])
def test_every_page_is_listed(index):
    text = (ROOT / index).read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.name == "index.md" or page.relative_to(ROOT / "docs").as_posix() in text


@pytest.mark.parametrize("page", FOR_USERS, ids=named)
def test_commands_and_their_options_exist(page):
    group = typer.main.get_command(app)
    code = re.findall(r"^```\w*\n.*?^```|`[^`\n]+`", page.read_text("utf-8"), re.DOTALL | re.M)
    for name, rest in re.findall(r"napari-sam2 ([a-z]+)\b([^`\n]*)", "\n".join(code)):
        if name == "session":  # what session files begin with
            continue
        command = group.commands[name]
        parts = [command, *getattr(command, "commands", {}).values()]
        options = [each for part in parts for each in part.params]
        known = {name for each in options for name in each.opts + each.secondary_opts}
        words = re.sub(r"'[^']*'|#.*", "", rest)
        given = set(re.findall(r"(?<!\S)\[?(--?[a-z][a-z-]*)", words)) - {"--help"}
        assert given <= known, f"{name}{rest}"


@pytest.mark.parametrize("page", FOR_USERS, ids=named)
def test_documented_names_exist(page):
    for path in re.findall(r"^::: (\S+)", page.read_text("utf-8"), re.MULTILINE):
        module, _, name = path.rpartition(".")
        assert hasattr(import_module(module), name), path


def test_examples_of_finding_run(kept_model):
    stack = np.zeros((4, 48, 48), dtype=np.uint8)
    stack[:, 10:24, 10:24] = 200
    session = TrackingSession(kept_model(device="cpu"), stack)
    for opening in ("ids = session.find_objects", "from napari_sam2.tracking.automatic"):
        (example,) = blocks(ROOT / "docs/api.md", opening)
        small = example.replace("frame=12", "frame=1").replace("frame=20", "frame=3")
        exec(compile(small, "docs/api.md", "exec"), {"session": session})
    assert session.object_ids
    assert session.labels.any()


def test_examples_of_results_run(tmp_path, monkeypatch, kept_model):
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((20, 40, 40), dtype=np.uint16)
    labels[:17, 5:25, 5:25] = 4
    labels[17:, 5:25, 5:14], labels[17:, 5:25, 16:25] = 9, 10
    session = TrackingSession(kept_model(device="cpu"), labels)
    for object_id, frame in ((4, 16), (9, 17), (10, 17)):
        session.add_mask(object_id, frame, labels[frame] == object_id)
    names = {"session": session, "labels": labels, "image": labels}
    names["viewer"] = SimpleNamespace(add_tracks=Tracks)
    examples = re.findall(r"^```python\n(.*?)^```", RESULTS.read_text("utf-8"), re.DOTALL | re.M)
    for example in examples:
        exec(compile(example, "docs/results.md", "exec"), names)
    assert (tmp_path / "cells.xml").is_file()
    assert len(names["tracks"].graph) == 2
    assert set(names["table"]["label"]) == {4, 9, 10}
    columns = re.findall(r"^\| (`.*?) \|", RESULTS.read_text("utf-8"), re.MULTILINE)
    told = {name for row in columns for name in re.findall(r"`([a-z_]+)", row)}
    told |= {f"intensity{name}" for name in told if name.startswith("_")}
    told |= {f"{name}_px" for name in told}
    assert {name.split("-")[0] for name in names["table"].columns} <= told
