"""The rooms of the house and the arrows between them, read from the syntax tree of every file."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import napari_sam2

PACKAGE = "napari_sam2"
SOURCE = Path(napari_sam2.__file__).parent

# A room imports only from lower floors. The values and errors that cross rooms lie under all of
# them; the package's own front door, which hands out the public names, stands above the engine.
FLOORS: Mapping[str, int] = {
    "types": 0,
    "errors": 0,
    "_atomic": 1,
    "_child": 1,
    "network": 1,
    "checkpoints": 2,
    "stack": 2,
    "prompts": 2,
    "labels": 2,
    "samples": 2,
    "tracking": 3,
    "training": 3,
    "evaluation": 4,
    "benchmarking": 4,
    PACKAGE: 4,
    "widgets": 5,
    "cli": 5,
    "__main__": 6,
}
TORCH_ROOMS = {"network", "checkpoints", "tracking", "training", "benchmarking"}
WINDOW_ROOMS = {"widgets"}
WINDOW_PACKAGES = {
    "PyQt5",
    "PyQt6",
    "PySide2",
    "PySide6",
    "magicgui",
    "napari",
    "qtpy",
    "superqt",
    "vispy",
}


@dataclass(frozen=True)
class Arrow:
    """One import: where it stands, what it names, whether only a type checker follows it."""

    module: str
    line: int
    target: str
    types_only: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_names(root: Path) -> dict[str, Path]:
    """Dotted name of every module below `root`, the folder of the package."""
    names = {}
    for path in sorted(root.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(root).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _statements(node: ast.AST, types_only: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, types_only
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for statement in child.body:
                yield statement, True
                yield from _statements(statement, True)
            for statement in child.orelse:
                yield statement, types_only
                yield from _statements(statement, types_only)
        else:
            yield from _statements(child, types_only)


def _imported_names(node: ast.AST, package: str, known: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = package.split(".")
            parents = parents[: len(parents) - node.level + 1]
            base = ".".join([*parents, base] if base else parents)
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            yield submodule if submodule in known else base
    elif isinstance(node, ast.Call) and node.args:
        function = node.func
        called = (
            function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        )
        first = node.args[0]
        if called in {"import_module", "__import__"} and isinstance(first, ast.Constant):
            yield str(first.value)


def arrows(root: Path) -> list[Arrow]:
    """Every import of every module below `root`, lazy and typing-only ones included."""
    known = module_names(root)
    found = []
    for module, path in known.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node, types_only in _statements(ast.parse(path.read_text("utf-8"), str(path))):
            targets = dict.fromkeys(_imported_names(node, package, known))
            line = getattr(node, "lineno", 0)
            found.extend(Arrow(module, line, target, types_only) for target in targets)
    return found


def room_of(module: str) -> str:
    """Room of a module of ours: the part after the package's name, or the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else PACKAGE


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE


def unknown_rooms(root: Path) -> list[str]:
    """Rooms that stand on no floor."""
    return sorted({room_of(name) for name in module_names(root)} - set(FLOORS))


def wrong_arrows(root: Path) -> list[str]:
    """Imports that run up, or sideways between two rooms of one floor."""
    wrong = []
    for arrow in arrows(root):
        if not _is_ours(arrow.target):
            continue
        here, there = room_of(arrow.module), room_of(arrow.target)
        if here != there and FLOORS.get(there, 99) >= FLOORS.get(here, -1):
            wrong.append(str(arrow))
    return wrong


def misplaced_packages(root: Path) -> list[str]:
    """Imports of torch outside its rooms, or of napari and Qt outside the widgets."""
    wrong = []
    for arrow in arrows(root):
        package, room = arrow.target.partition(".")[0], room_of(arrow.module)
        torch_here = package in {"torch", "torchvision"} and room not in TORCH_ROOMS
        window_here = package in WINDOW_PACKAGES and room not in WINDOW_ROOMS
        if torch_here or (window_here and not arrow.types_only):
            wrong.append(str(arrow))
    return wrong


def circles(root: Path) -> list[str]:
    """One circle of imports between the files of each room that has any."""
    rooms: dict[str, dict[str, set[str]]] = {}
    for arrow in arrows(root):
        room = room_of(arrow.module)
        if _is_ours(arrow.target) and room_of(arrow.target) == room:
            files = rooms.setdefault(room, {})
            files.setdefault(arrow.module, set()).add(arrow.target)
    found = []
    for files in rooms.values():
        try:
            TopologicalSorter(files).prepare()
        except CycleError as error:
            found.append(" <- ".join(error.args[1]))
    return found


@pytest.mark.parametrize("check", [unknown_rooms, wrong_arrows, misplaced_packages, circles])
def test_house_is_in_order(check):
    assert len(module_names(SOURCE)) > 3
    assert check(SOURCE) == []


# The checks themselves, on small trees where the answer is known.


@pytest.fixture
def tree(tmp_path):
    """A house of the given files, `{path: source}`."""

    def build(files: Mapping[str, str]) -> Path:
        for name, source in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, "utf-8")
        return tmp_path

    return build


def test_good_house_passes(tree):
    root = tree(
        {
            "__init__.py": "from napari_sam2.errors import E\n"
            "def f():\n    import_module('napari_sam2.tracking')\n",
            "errors.py": "class E(Exception): ...",
            "network/__init__.py": "import torch\nfrom napari_sam2.network.a import b",
            "network/a.py": "from napari_sam2.errors import E",
            "tracking/__init__.py": "from napari_sam2.stack import frames",
            "stack/__init__.py": "",
            "stack/frames.py": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    import napari\n",
            "cli/__init__.py": "from napari_sam2 import load_model",
            "widgets/__init__.py": "from qtpy.QtWidgets import QWidget",
        }
    )
    for check in (unknown_rooms, wrong_arrows, misplaced_packages, circles):
        assert check(root) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("stack/frames.py", "from napari_sam2.tracking import Model"),
        ("stack/frames.py", "def f():\n    from napari_sam2.tracking import Model"),
        ("stack/frames.py", "from napari_sam2 import labels"),
        ("stack/frames.py", "import napari_sam2.labels.volume"),
        ("stack/frames.py", "from ..labels import volume"),
        ("stack/frames.py", "from napari_sam2 import load_model"),
        ("stack/frames.py", "import importlib\nimportlib.import_module('napari_sam2.cli')"),
        ("stack/frames.py", "if TYPE_CHECKING:\n    from napari_sam2.tracking import Model"),
        ("training/run/loop.py", "from napari_sam2.tracking import session"),
        ("widgets/panel.py", "from napari_sam2.cli import main"),
        ("cli/main.py", "from napari_sam2.widgets import panel"),
        ("errors.py", "from napari_sam2.types import FrameMasks"),
    ],
)
def test_arrow_up_or_sideways_is_caught(tree, name, source):
    root = tree({"labels/volume.py": "", "labels/__init__.py": "", name: source})
    assert len(wrong_arrows(root)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("stack/frames.py", "import torch"),
        ("evaluation/metrics.py", "def f():\n    from torch.nn import functional"),
        ("cli/main.py", "try:\n    import napari\nexcept ImportError:\n    pass"),
        ("tracking/session.py", "from qtpy.QtCore import QObject"),
        ("tracking/session.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import superqt"),
        (
            "labels/rendering/colours.py",
            "from importlib import import_module\nimport_module('PyQt6.QtGui')",
        ),
    ],
)
def test_misplaced_package_is_caught(tree, name, source):
    assert len(misplaced_packages(tree({name: source}))) == 1


def test_circle_in_a_room_is_caught(tree):
    root = tree(
        {
            "labels/__init__.py": "from napari_sam2.labels.a import x",
            "labels/a.py": "from napari_sam2.labels.b import y",
            "labels/b.py": "def f():\n    from napari_sam2.labels import a",
        }
    )
    assert len(circles(root)) == 1
    (root / "labels/b.py").write_text("from napari_sam2.labels import x", "utf-8")
    assert len(circles(root)) == 1


def test_room_without_a_floor_is_caught(tree):
    assert unknown_rooms(tree({"attic/__init__.py": ""})) == ["attic"]
