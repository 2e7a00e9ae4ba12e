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


def test_without_a_limit_nothing_is_said():
    check_address_space()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not enforce the limit")
@pytest.mark.parametrize("line", IMPORTS)
def test_packages_that_load_torch_say_what_they_need(line):
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({NEEDED_BYTES - 1}, resource.RLIM_INFINITY))
from napari_sam2.errors import Sam2Error
try:
    {line}
except Sam2Error as error:
    assert "torch" not in sys.modules
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "address space; to load torch alone takes 900 MB" in done.stdout


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not enforce the limit")
@pytest.mark.parametrize("command", [["benchmark"], ["demo", "-o", "."], ["train", "."]])
def test_commands_end_with_one_line(command, tmp_path):
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (700_000_000, resource.RLIM_INFINITY))
from napari_sam2.cli import main
main({command!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "700 MB of address space" in done.stderr
    assert "Traceback" not in done.stderr
