"""Packages and layers: every import of every module, read from its syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import napari_sam2

PACKAGE = "napari_sam2"
SOURCE = Path(napari_sam2.__file__).parent

# A package imports only from lower layers. Values and errors that cross packages lie below all of
# them; the top-level package, which exports the public names, stands above the engine.
LAYERS: Mapping[str, float] = {
    "types": 0,
    "errors": 0,
    "_memory": 0.5,  # whatever loads torch asks it first
    "_atomic": 1,
    "_locks": 1,
    "_limits": 1,
    "_text_table": 1,
    "_child": 1,
    "network": 1,
    "checkpoints": 2,
    "stack": 2,
    "prompts": 2,
    "labels": 2,
    "samples": 2,
    "detection": 3,
    "tracking": 4,
    "training": 4,
    "lineage": 4,
    "measure": 4,
    "segmentation": 5,
    "evaluation": 5,
    "benchmarking": 5,
    "remote": 5,
    PACKAGE: 5.5,
    "batch": 5.7,  # many times what `segmentation` does once
    "widgets": 6,
    "cli": 6,
    "__main__": 7,
}
# The same inside `widgets`: its sub-packages, and the modules beside them.
WIDGET_LAYERS: Mapping[str, int] = {
    "throttle": 0,
    "state": 1,
    "layers": 2,
    "worker": 2,
    "views": 3,
    "autosave": 3,
    "scripting": 3,
    "controllers": 4,
    "sample_data": 5,
    "segment_stack": 5,
    "segment_form": 6,
    "tracks_writer": 6,
    "image_reader": 6,
    "stack_panel": 6,
    "session_reader": 7,
}
TORCH_PACKAGES = {
    "network",
    "checkpoints",
    "detection",
    "tracking",
    "training",
    "benchmarking",
    "remote",
}
QT_PACKAGES = {"widgets"}
QT_LIBRARIES = {
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
class ImportOf:
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


def imports(root: Path) -> list[ImportOf]:
    """Every import of every module below `root`, lazy and typing-only ones included."""
    return _imports(
        tuple((name, path, path.read_text("utf-8")) for name, path in module_names(root).items())
    )


@cache  # of the same sources: several checks read the whole package
def _imports(modules: tuple[tuple[str, Path, str], ...]) -> list[ImportOf]:
    known = {name: path for name, path, _ in modules}
    found = []
    for module, path, source in modules:
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node, types_only in _statements(ast.parse(source, str(path))):
            targets = dict.fromkeys(_imported_names(node, package, known))
            line = getattr(node, "lineno", 0)
            found.extend(ImportOf(module, line, target, types_only) for target in targets)
    return found


def package_of(module: str) -> str:
    """Return the package of a module: the part after `napari_sam2`, or `napari_sam2` itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else PACKAGE


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE


def unknown_packages(root: Path) -> list[str]:
    """Packages without a layer."""
    return sorted({package_of(name) for name in module_names(root)} - set(LAYERS))


def wrong_imports(root: Path) -> list[str]:
    """Imports from a higher layer, or from another package of the same layer."""
    wrong = []
    for each in imports(root):
        if not _is_ours(each.target):
            continue
        here, there = package_of(each.module), package_of(each.target)
        if here != there and LAYERS.get(there, 99) >= LAYERS.get(here, -1):
            wrong.append(str(each))
    return wrong


def misplaced_packages(root: Path) -> list[str]:
    """Imports of torch outside its packages, or of napari and Qt outside the widgets."""
    wrong = []
    for each in imports(root):
        package, place = each.target.partition(".")[0], package_of(each.module)
        torch_here = package in {"torch", "torchvision"} and place not in TORCH_PACKAGES
        window_here = package in QT_LIBRARIES and place not in QT_PACKAGES
        if torch_here or (window_here and not each.types_only):
            wrong.append(str(each))
    return wrong


def import_cycles(root: Path) -> list[str]:
    """One cycle of imports between the modules of each package that has any."""
    packages: dict[str, dict[str, set[str]]] = {}
    for each in imports(root):
        package = package_of(each.module)
        if _is_ours(each.target) and package_of(each.target) == package:
            files = packages.setdefault(package, {})
            files.setdefault(each.module, set()).add(each.target)
    found = []
    for files in packages.values():
        try:
            TopologicalSorter(files).prepare()
        except CycleError as error:
            found.append(" <- ".join(error.args[1]))
    return found


def _part_of_widgets(module: str) -> str | None:
    parts = module.split(".")
    return parts[2] if parts[:2] == [PACKAGE, "widgets"] and len(parts) > 2 else None


def wrong_widget_imports(root: Path) -> list[str]:
    """The same as `wrong_imports`, between the parts of `widgets`."""
    wrong = []
    for each in imports(root):
        here, there = _part_of_widgets(each.module), _part_of_widgets(each.target)
        if here is None or there is None or here == there:
            continue
        if WIDGET_LAYERS.get(there, 99) >= WIDGET_LAYERS.get(here, -1):
            wrong.append(str(each))
    return wrong


def unreached_modules(root: Path) -> list[str]:
    """Modules that nothing leads to from what a user starts: plugin, command, public names.

    Lazy imports count, and imports for type checkers in an ``__init__``: they name what it hands
    out on first use.
    """
    known = module_names(root)
    leads: dict[str, set[str]] = {name: set() for name in known}
    for each in imports(root):
        lazy = known[each.module].name == "__init__.py"
        if each.target in known and (lazy or not each.types_only):
            leads[each.module].add(each.target)
    manifest = root / "napari.yaml"
    text = manifest.read_text("utf-8") if manifest.exists() else ""
    plugin = re.findall(rf"python_name: ({PACKAGE}[\w.]*):", text)
    found: set[str] = set()
    waiting = [PACKAGE, f"{PACKAGE}.cli.main", f"{PACKAGE}.cli.__main__", *plugin]
    while waiting:
        module = waiting.pop()
        if module in known and module not in found:
            found.add(module)
            parents = [module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)]
            waiting += [*leads[module], *parents]
    return sorted(set(known) - found)


CHECKS = (
    unknown_packages,
    wrong_imports,
    wrong_widget_imports,
    misplaced_packages,
    import_cycles,
    unreached_modules,
)


@pytest.mark.parametrize("check", CHECKS)
def test_every_import_keeps_the_layers(check):
    assert len(module_names(SOURCE)) > 3
    assert check(SOURCE) == []


# The checks themselves, on small trees where the answer is known.


@pytest.fixture
def tree(tmp_path):
    """A package of the given files, `{path: source}`."""

    def build(files: Mapping[str, str]) -> Path:
        for name, source in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, "utf-8")
        return tmp_path

    return build


def test_good_package_passes(tree):
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
    for check in CHECKS:
        if check is not unreached_modules:
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
def test_import_from_a_higher_or_equal_layer_is_found(tree, name, source):
    root = tree({"labels/volume.py": "", "labels/__init__.py": "", name: source})
    assert len(wrong_imports(root)) == 1


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
def test_misplaced_import_is_found(tree, name, source):
    assert len(misplaced_packages(tree({name: source}))) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("widgets/state/a.py", "from napari_sam2.widgets.layers.b import c"),
        ("widgets/layers/b.py", "from napari_sam2.widgets.worker import d"),
        ("widgets/views/b.py", "from napari_sam2.widgets.controllers.panel import d"),
        (
            "widgets/controllers/b.py",
            "if TYPE_CHECKING:\n    from napari_sam2.widgets.stack_panel import d",
        ),
        ("widgets/attic.py", "from napari_sam2.widgets.state import d"),
    ],
)
def test_import_from_a_higher_part_of_the_widgets_is_found(tree, name, source):
    files = ("layers/b", "worker/__init__", "controllers/panel", "stack_panel", "state/__init__")
    root = tree({**{f"widgets/{file}.py": "" for file in files}, name: source})
    assert len(wrong_widget_imports(root)) == 1


def test_import_cycle_is_found(tree):
    root = tree(
        {
            "labels/__init__.py": "from napari_sam2.labels.a import x",
            "labels/a.py": "from napari_sam2.labels.b import y",
            "labels/b.py": "def f():\n    from napari_sam2.labels import a",
        }
    )
    assert len(import_cycles(root)) == 1
    (root / "labels/b.py").write_text("from napari_sam2.labels import x", "utf-8")
    assert len(import_cycles(root)) == 1


def test_package_without_a_layer_is_found(tree):
    assert unknown_packages(tree({"attic/__init__.py": ""})) == ["attic"]


def test_module_that_no_user_reaches_is_found(tree):
    root = tree(
        {
            "__init__.py": "def f():\n    from napari_sam2.labels import volume",
            "cli/__init__.py": "",
            "cli/main.py": "from napari_sam2.prompts import book",
            "napari.yaml": "- python_name: napari_sam2.widgets.panel:Panel",
            "widgets/__init__.py": "",
            "widgets/panel.py": "if TYPE_CHECKING:\n    from napari_sam2.widgets import typed",
            "widgets/typed.py": "",
            "labels/__init__.py": "",
            "labels/volume.py": "",
            "prompts/__init__.py": "if TYPE_CHECKING:\n    from napari_sam2.prompts import lazy",
            "prompts/book.py": "",
            "prompts/lazy.py": "",
            "prompts/alone.py": "from napari_sam2.prompts import book",
        }
    )
    assert unreached_modules(root) == ["napari_sam2.prompts.alone", "napari_sam2.widgets.typed"]


def test_no_two_public_classes_share_a_name():
    places: dict[str, list[str]] = {}
    for module, path in module_names(SOURCE).items():
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.ClassDef) and not statement.name.startswith("_"):
                places.setdefault(statement.name, []).append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def test_every_module_or_its_package_says_on_which_thread_it_runs():
    known = module_names(SOURCE)
    says = {name for name, path in known.items() if "thread" in (_docstring(path) or "").lower()}
    silent = [
        name
        for name in known
        if not any(".".join(name.split(".")[:n]) in says for n in range(2, name.count(".") + 2))
    ]
    assert silent == [PACKAGE]


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(ast.parse(path.read_text("utf-8")))
