"""How alive the window stays: pauses of its event loop, and time from click to mask.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/window.py
    ... --frames 200 --size 1024 --objects 10      # pauses (these are the defaults)
    ... --clicks 30 --click-size 512               # click to mask

A timer of the window is due every 2 ms; by how much it comes late is how long the loop was busy
while objects were carried through a stack: first with one frame in view, then with a user who
moves the slider every second. Beside that stands what the same moves of the slider take in napari
alone, with the image and an empty layer of labels, while nothing else is computed.

Clicks come half a second after the answer to the one before. A click is timed until the canvas has
drawn a plane with its mask, and until the whole window has been put together with it, which takes
its time where no graphics card does it. The frame's features are at hand, as they are after the
first click in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Before napari is imported: the defaults, whatever is set on this machine.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")

import napari
import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_sam2.benchmarking import DriftingDiscs
from napari_sam2.widgets.stack_panel import StackPanel

DUE_MS = 2.0
SCROLL_S = 1.0
CLICK_S = 0.5
PATIENCE_S = 3600.0


class Pauses:
    """Writes down how long the event loop lets a timer wait."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._due)
        self._timer.start(round(DUE_MS))

    def stop(self) -> list[float]:
        """Return all pauses, in milliseconds."""
        self._timer.stop()
        return self.found

    def _due(self) -> None:
        now = time.perf_counter()
        self.found.append(max(0.0, (now - self._last) * 1000 - DUE_MS))
        self._last = now


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--click-size", type=int, default=512)
    options = parser.parse_args()
    if options.clicks:
        report_clicks(options.click_size, options.clicks)
    if options.frames:
        report_pauses(options.frames, options.size, options.objects, scroll=False)
        report_pauses(options.frames, options.size, options.objects, scroll=True)
        report_napari(options.size)


def report_clicks(size: int, clicks: int) -> None:
    """Print how long it takes from a click to its mask on the canvas."""
    stack = DriftingDiscs(4, size, clicks)
    viewer, panel = opened(stack)
    click(viewer, panel, stack.centre(0, 0))
    wait(lambda: panel.controller.idle)
    seconds = []
    for index in range(1, clicks):
        panel.prompts.next_object.click()
        rest(CLICK_S)
        seconds.append(timed_click(viewer, panel, stack.centre(index, 0)))
    for what, found in zip(("canvas", "window"), 1000 * np.array(seconds).T, strict=True):
        median, high = np.percentile(found, (50, 90))
        say(
            f"click to mask in the {what}, {size} x {size}, {clicks - 1} clicks: "
            f"median {median:.0f} ms, 90 % below {high:.0f} ms, longest {found.max():.0f} ms"
        )
    viewer.close()


def report_pauses(frames: int, size: int, objects: int, *, scroll: bool) -> None:
    """Print how long the event loop was busy at a time while objects were carried along."""
    stack = DriftingDiscs(frames, size, objects)
    viewer, panel = opened(stack)
    for index in range(objects):
        panel.prompts.next_object.click()
        click(viewer, panel, stack.centre(index, 0))
    wait(lambda: panel.controller.idle)
    rest(CLICK_S)
    panel.run.forward.click()
    begun, pauses = time.perf_counter(), Pauses()
    last = begun
    while panel.controller.running:
        QApplication.processEvents()
        if scroll and time.perf_counter() - last > SCROLL_S:
            last = time.perf_counter()
            viewer.dims.set_current_step(0, max(0, panel.run.progress.value() - 1))
        time.sleep(0.0005)
    found = np.array(pauses.stop())
    spent = time.perf_counter() - begun
    how = f"slider moved every {SCROLL_S:.0f} s" if scroll else "one frame in view"
    say_pauses(
        f"{frames} frames of {size} x {size}, {objects} objects, {how}, {spent:.0f} s", found
    )
    viewer.close()


def report_napari(size: int, moves: int = 30) -> None:
    """Print how long the event loop of napari alone is busy when a slider is moved."""
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    viewer.add_image(frames_of(DriftingDiscs(moves + 1, size, 1)), name="discs")
    viewer.add_labels(np.zeros((moves + 1, size, size), np.uint16))
    viewer.dims.set_current_step(0, 0)
    rest(SCROLL_S)
    pauses = Pauses()
    for index in range(moves):
        viewer.dims.set_current_step(0, index + 1)
        rest(SCROLL_S / 4)
    found = np.array(pauses.stop())
    longest = np.sort(found)[-moves:]
    say_pauses(
        f"napari alone, slider moved {moves} times (median {np.median(longest):.0f} ms)", found
    )
    viewer.close()


def say_pauses(what: str, found: np.ndarray) -> None:
    """Print a distribution of pauses, in milliseconds."""
    say(f"pauses of the event loop, {what}: longest {found.max():.0f} ms")
    for share in (50, 90, 99, 99.9):
        say(f"  {share:5} % below {np.percentile(found, share):6.1f} ms")
    for limit in (10, 20, 50, 100):
        say(f"  longer than {limit:3} ms: {np.count_nonzero(found > limit)}")


def opened(stack: DriftingDiscs) -> tuple[napari.Viewer, StackPanel]:
    """Open the window on a stack and press Start."""
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    viewer.add_image(frames_of(stack), name="discs")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "SAM 2: segment stack")
    wait(lambda: len(panel.settings.device.choices) > 1)
    viewer.dims.set_current_step(0, 0)
    panel.start.click()
    wait(lambda: panel.controller.idle)
    return viewer, panel


def frames_of(stack: DriftingDiscs) -> np.ndarray:
    """Return all frames of a stack, as an image in memory."""
    return np.stack([stack.frame(index) for index in range(stack.shape[0])])


def rest(seconds: float) -> None:
    """Let the event loop run for a while."""
    end = time.perf_counter() + seconds
    wait(lambda: time.perf_counter() > end, nap=0.0005)


def click(viewer: napari.Viewer, panel: StackPanel, place: tuple[float, float]) -> None:
    """Add a click as the tool does, and let the window take it in."""
    workspace = panel.controller.workspace
    if workspace is None:
        raise RuntimeError(panel.hint.text())
    workspace.points.add([viewer.dims.current_step[0], *place])
    QApplication.processEvents()


def timed_click(
    viewer: napari.Viewer, panel: StackPanel, place: tuple[float, float]
) -> tuple[float, float]:
    """Return the seconds from a click until canvas, and window, have been drawn with its mask."""
    workspace = panel.controller.workspace
    if workspace is None:
        raise RuntimeError(panel.hint.text())
    drawn: list[float] = []
    number = panel.settings.object_id.value

    def look(_event: object = None) -> None:
        if (np.asarray(workspace.labels._slice.image.raw) == number).any():
            drawn.append(time.perf_counter())

    scene = viewer.window._qt_viewer.canvas._scene_canvas
    scene.events.draw.connect(look, position="last")
    begun = time.perf_counter()
    click(viewer, panel, place)
    wait(lambda: bool(drawn), nap=0.0005)
    shown = time.perf_counter()  # the loop returns when the window has been put together
    scene.events.draw.disconnect(look)
    wait(lambda: panel.controller.idle)
    return drawn[0] - begun, shown - begun


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def wait(done: Callable[[], bool], nap: float = 0.005) -> None:
    """Run the event loop until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("The window took too long.")
        QApplication.processEvents()
        time.sleep(nap)


if __name__ == "__main__":
    main()
