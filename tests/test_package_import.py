"""Importing the package, and being discovered by napari, costs next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import napari_sam2

HEAVY = {"PyQt6", "PySide6", "dask", "httpx", "napari", "qtpy", "scipy", "skimage", "torch", "zarr"}
LONGEST_IMPORT = 0.3  # seconds

IMPORT = """
import json, sys, time
start = time.process_time()
import napari_sam2
seconds = time.process_time() - start
modules = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"seconds": seconds, "modules": modules}))
"""

DISCOVERY = """
import json, sys, time
from npe2 import PluginManifest
before = set(sys.modules)
start = time.process_time()
manifest = PluginManifest.from_distribution("napari-sam2")
seconds = time.process_time() - start
assert manifest.name == "napari-sam2"
modules = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
print(json.dumps({"seconds": seconds, "modules": modules}))
"""


def in_fresh_python(code: str) -> dict:
    """Run `code` in a new interpreter and read the JSON that it prints last."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("code", [IMPORT, DISCOVERY], ids=["import", "discovery"])
def test_is_light_and_quick(code):
    runs = [in_fresh_python(code)]
    # Seconds of computing, as the clock also counts other work on the machine; caches may be
    # cold at first, so the quickest of several counts.
    while runs[-1]["seconds"] >= LONGEST_IMPORT and len(runs) < 8:
        runs.append(in_fresh_python(code))
    assert HEAVY.isdisjoint(runs[0]["modules"])
    assert min(run["seconds"] for run in runs) < LONGEST_IMPORT


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        napari_sam2.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", napari_sam2.__all__)
def test_every_public_name_is_there(name):
    assert getattr(napari_sam2, name) is not None
    assert name in dir(napari_sam2)
