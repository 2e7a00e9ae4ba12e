"""Start of napari in a process of its own, if there is a screen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_FAILS_WITHIN_SECONDS = 3.0

_SCRIPT = """# Opens the results in napari: napari {name}   (or: python {name})
from pathlib import Path

import napari
import tifffile

here = Path(__file__).parent
viewer = napari.current_viewer() or napari.Viewer()
{layers}
if __name__ == "__main__":
    napari.run()
"""

_LAYERS = """viewer.add_image(tifffile.imread(here / {image!r}), name={name!r}, visible={visible})
viewer.add_labels(tifffile.imread(here / {labels!r}), name={labels_name!r}, visible={visible})
"""


def has_screen(platform: str = sys.platform, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a window can be shown.

    Parameters
    ----------
    platform : str
        As `sys.platform` names it.
    environment : mapping of str to str
        Environment variables.
    """
    if environment.get("CI"):
        return False
    if platform in {"darwin", "win32"}:
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def write_viewer_script(folder: Path, results: Sequence[tuple[str, str, str]]) -> Path:
    """Write a script that shows results in napari; only the first of them is visible.

    Parameters
    ----------
    folder : Path
        Holds the files and gets the script.
    results : sequence of (str, str, str)
        Name, image file and labels file of each.

    Returns
    -------
    Path
        Path of the script.
    """
    script = folder / "show_in_napari.py"
    layers = "".join(
        _LAYERS.format(
            image=Path(image).name,
            labels=Path(labels).name,
            name=name,
            labels_name=f"{name}: labels",
            visible=number == 0,
        )
        for number, (name, image, labels) in enumerate(results)
    )
    script.write_text(_SCRIPT.format(name=script.name, layers=layers), encoding="utf-8")
    return script


def open_viewer(script: Path, log: Path) -> bool:
    """Run a napari script in its own process and leave it running.

    Parameters
    ----------
    script : Path
        A Python file that ``napari`` runs with its viewer open.
    log : Path
        Takes what napari prints.

    Returns
    -------
    bool
        False if napari ended with an error within its first seconds.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "napari", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return process.wait(timeout=_FAILS_WITHIN_SECONDS) == 0
    except subprocess.TimeoutExpired:
        return True
