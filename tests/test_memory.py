"""With too little address space, the program says what it needs instead of a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_sam2._memory import NEEDED_BYTES, check_address_space

resource = pytest.importorskip("resource", reason="Windows has no limit of address space")

IMPORTS = [
    "import napari_sam2.network",
    "import napari_sam2.tracking",
    "import napari_sam2.training",
    "import napari_sam2.benchmarking",
    "from napari_sam2.checkpoints import load_network",
    "from napari_sam2 import load_model",
]
COMMANDS = [["benchmark"], ["demo", "-o", "."], ["train", "."]]


def test_without_a_limit_nothing_is_said():
    check_address_space()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not enforce the limit")
def test_packages_that_load_torch_say_what_they_need():
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({NEEDED_BYTES - 1}, resource.RLIM_INFINITY))
from napari_sam2.errors import Sam2Error
for line in {IMPORTS!r}:
    try:
        exec(line)
    except Sam2Error as error:
        assert "torch" not in sys.modules
        print(line, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    needs = "address space; to load torch alone takes 900 MB"
    said = [line for line in done.stdout.splitlines() if needs in line]
    assert [text.partition(" This process")[0] for text in said] == IMPORTS


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not enforce the limit")
def test_commands_end_with_one_line(tmp_path):
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (700_000_000, resource.RLIM_INFINITY))
from napari_sam2.cli import main
for command in {COMMANDS!r}:
    try:
        main(command)
    except SystemExit as ended:
        assert ended.code == 1, command
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stderr.count("700 MB of address space") == len(COMMANDS)
    assert "Traceback" not in done.stderr
