"""From a closed stack of nuclei to reviewed labels, by mouse and keys: actions and seconds.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/finding_window.py --threads 2
    ... --size 256 --slices 12 --pictures out      # a smaller stack, with screenshots

About 150 nuclei of the sample generator lie in the stack (these are the defaults). The window opens
on the file with the panel in it, as ``napari nuclei.tif -w napari-sam2`` does; from there on every
action comes from xdotool, which moves the real pointer and presses real keys: Start, unfold the
options of the search, type how often to look again, Find objects, wait, Accept all found. A scroll
of the panel that an action needs counts as one. The seconds of the wait depend on the machine, and
CPU seconds of the process stand beside them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Before napari is imported: the defaults, whatever is set on this machine.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
os.environ["NAPARI_SAM2_SESSIONS"] = tempfile.mkdtemp()

import napari
import numpy as np
import tifffile
from figures import read_options, write_figures
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QAbstractButton, QScrollArea, QWidget

from napari_sam2.evaluation.automatic import share_kept
from napari_sam2.samples import nuclei_stack
from napari_sam2.widgets.stack_panel import StackPanel

PATIENCE_S = 7200.0
SETTLE_S = 0.5


@dataclass(frozen=True)
class Figures:
    """One way from the file to reviewed labels.

    Attributes
    ----------
    nuclei, found, accepted : int
        Objects that are there, that were found, and that are accepted in some frame.
    kept : float
        Share of the nuclei with an id of their own in 80 % of their slices.
    actions : int
        Of the user, opening included.
    seconds, cpu : float
        From the opening to the last action, by the clock and of the process.
    """

    nuclei: int
    found: int
    accepted: int
    kept: float
    actions: int
    seconds: float
    cpu: float


class User:
    """Moves the pointer and presses keys, and counts what they do."""

    def __init__(self, pictures: Path | None) -> None:
        self.actions: list[str] = []
        self._pictures = pictures
        self._wall, self._cpu = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        """Since the first action."""
        return time.monotonic() - self._wall

    @property
    def cpu(self) -> float:
        """CPU seconds since the first action."""
        return time.process_time() - self._cpu

    def did(self, what: str) -> None:
        """Count an action, and say when it was."""
        self.actions.append(what)
        sys.stdout.write(
            f"{len(self.actions):3d} {self.seconds:8.1f} s {self.cpu:8.1f} s cpu  {what}\n"
        )
        sys.stdout.flush()

    def click(self, widget: QWidget, what: str) -> None:
        """Click the middle of a widget, scrolled into view before if it is not."""
        self._show(widget)
        at = widget.mapToGlobal(widget.rect().center())
        self._do("mousemove", str(at.x()), str(at.y()), "click", "1")
        self.did(what)

    def type(self, widget: QWidget, text: str, what: str) -> None:
        """Type a number into a field in place of what it holds, which is one action."""
        self._show(widget)
        at = widget.mapToGlobal(widget.rect().center())
        self._do("mousemove", str(at.x() - 12), str(at.y()), "click", "--repeat", "2", "1")
        self._do("key", "ctrl+a")
        self._do("type", text)
        self._do("key", "Tab")
        self.did(what)

    def picture(self, name: str) -> None:
        """Write the whole screen to a file."""
        if self._pictures is not None:
            self._pictures.mkdir(parents=True, exist_ok=True)
            path = self._pictures / f"{name}.png"
            self._run("import", "-window", "root", str(path))

    def _show(self, widget: QWidget) -> None:
        area: QWidget | None = widget
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is not None and widget.visibleRegion().isEmpty():
            area.ensureWidgetVisible(widget)
            self.did("scroll the panel")
            pause()

    def _do(self, *command: str) -> None:
        self._run("xdotool", *command)
        pause()

    def _run(self, *command: str) -> None:
        process = subprocess.Popen(command)
        wait(lambda: process.poll() is not None)
        if process.returncode:
            raise RuntimeError(f"{command[0]} failed")


def wait(done: Callable[[], bool]) -> None:
    """Let the window live until something is done.

    In a loop of Qt's own, as under ``napari.run``: outside of one no widget is ever deleted, and
    the sign in the status bar that a file is being opened would turn to the end.
    """
    end = time.monotonic() + PATIENCE_S
    loop, poll = QEventLoop(), QTimer()
    poll.timeout.connect(lambda: loop.quit() if done() or time.monotonic() > end else None)
    poll.start(10)
    loop.exec()
    poll.stop()
    if not done():
        raise TimeoutError("The window took too long.")


def pause(seconds: float = SETTLE_S) -> None:
    """Let the window live for a moment."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def button(parent: QWidget, text: str) -> QAbstractButton:
    """Return the button with a text."""
    return next(b for b in parent.findChildren(QAbstractButton) if text in b.text())


def measured(options: argparse.Namespace) -> Figures:
    """Go all the way."""
    sample = nuclei_stack(options.seed, (options.slices, options.size, options.size))
    path = Path(tempfile.mkdtemp()) / "nuclei.tif"
    tifffile.imwrite(path, sample.image)
    user = User(options.pictures)
    viewer = napari.Viewer()
    viewer.window.resize(1580, 960)
    viewer.open(path, plugin="napari")
    user.did("open the file")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "SAM 2: segment stack")
    assert isinstance(panel, StackPanel)
    wait(lambda: len(panel.settings.device.choices) > 1)
    user.did("open the panel")
    pause()

    def at_rest() -> bool:
        return bool(panel.controller.idle)

    user.click(panel.start, "Start")
    wait(at_rest)
    user.click(button(panel.search, "Sizes, part"), "unfold the options of the search")
    user.type(panel.settings.look_again.native, str(options.every), "again every N frames")
    user.picture("before")
    user.click(panel.search.search, "Find objects")
    wait(lambda: not at_rest())
    wait(at_rest)
    user.picture("found")
    workspace = panel.controller.workspace
    assert workspace is not None
    found = len(panel.controller.annotation.prompts.object_ids)
    user.click(panel.search.accept, "Accept all found")
    wait(at_rest)
    seconds, cpu = user.seconds, user.cpu
    user.picture("accepted")
    labels = np.asarray(workspace.labels.data)
    accepted = len({number for _, number, _ in workspace.user_state.accepted})
    there = len(np.unique(sample.labels)) - 1
    kept = share_kept(labels, sample.labels)
    viewer.close()
    return Figures(there, found, accepted, kept, len(user.actions), seconds, cpu)


def main() -> None:
    """Measure, and print the actions and what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=496)
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=6)
    parser.add_argument("--pictures", type=Path, help="write screenshots to this folder")
    options = read_options(parser)
    figures = measured(options)
    sys.stdout.write(
        f"{figures.nuclei} nuclei, {figures.found} found, {figures.accepted} accepted, "
        f"{figures.kept:.0%} under one id; {figures.actions} actions, {figures.seconds:.0f} s, "
        f"{figures.cpu:.0f} CPU s\n"
    )
    write_figures(options, [figures])


if __name__ == "__main__":
    main()
