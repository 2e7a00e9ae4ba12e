"""Draw the pictures of docs/tutorial.md and its animation, in the real window.

Needs a screen; on a machine without one::

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/tutorial.py
"""

from __future__ import annotations

import napari
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from window import IMAGES, centres, click, open_window, pause, start, wait

from napari_sam2.samples import nuclei_stack
from napari_sam2.widgets.stack_panel import StackPanel

CLICKS = 4
COLOURS = 256
WIDTH = 720  # of the animation, in pixels


class Recorder:
    """Takes pictures of a window, some of them as frames of an animation."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._frames: list[Image.Image] = []
        self._times: list[int] = []

    def picture(self, name: str) -> None:
        """Write the window as it is."""
        Image.fromarray(self._window()).save(IMAGES / f"tutorial_{name}.png", optimize=True)

    def frame(self, milliseconds: int) -> None:
        """Add the window as it is to the animation."""
        shot = Image.fromarray(self._window())
        height = round(shot.height * WIDTH / shot.width)
        self._frames.append(shot.resize((WIDTH, height), Image.Resampling.LANCZOS))
        self._times.append(milliseconds)

    def save(self) -> None:
        """Write the animation."""
        palette = self._palette()
        first, *others = (
            frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self._frames
        )
        first.save(
            IMAGES / "tutorial.gif",
            save_all=True,
            append_images=others,
            duration=self._times,
            loop=0,
            optimize=True,
        )

    def _palette(self) -> Image.Image:
        """Return colours for all frames: frequent ones, and the objects' with their few pixels."""
        strip = Image.fromarray(np.concatenate([np.asarray(frame) for frame in self._frames]))
        palette = Image.new("P", (1, 1))
        methods = Image.Quantize.MEDIANCUT, Image.Quantize.MAXCOVERAGE
        parts = [strip.quantize(COLOURS // 2, method=method).getpalette() for method in methods]
        palette.putpalette([value for part in parts for value in part or ()])
        return palette

    def _window(self) -> NDArray[np.uint8]:
        return np.asarray(self._viewer.screenshot(canvas_only=False, flash=False)[..., :3])


def main() -> None:
    """Go through the tutorial in the real window."""
    sample = nuclei_stack()
    frame = len(sample.image) // 2
    viewer, panel = open_window(1280, 720, frame)
    recorder = Recorder(viewer)
    recorder.picture("open")
    recorder.frame(1500)
    start(viewer, panel)
    places = centres(sample, frame)[:CLICKS]
    for number, (y, x) in enumerate(places):
        click(panel, frame, y, x)
        recorder.frame(900)
        if number == 0:
            recorder.picture("click")
    panel.run.both.click()
    wait(lambda: panel.controller.idle)
    recorder.picture("propagated")
    recorder.frame(1200)
    for step in range(0, len(sample.image), 3):
        viewer.dims.set_current_step(0, step)
        pause()
        recorder.frame(300)
    viewer.dims.set_current_step(0, frame)
    correct(panel, sample.labels[frame], frame)
    recorder.picture("corrected")
    recorder.frame(1500)
    panel.run.both.click()
    wait(lambda: panel.controller.idle)
    recorder.frame(1500)
    recorder.save()
    viewer.close()


def correct(panel: StackPanel, truth: NDArray[np.integer], frame: int) -> None:
    """Click into the middle of the largest error that the masks of a frame have."""
    workspace = panel.controller.workspace
    if workspace is None:
        raise RuntimeError(panel.hint.text())
    shown = np.asarray(workspace.labels.data[frame])
    largest = (0.0, 0, (0, 0), False)
    for object_id in np.unique(shown[shown > 0]):
        mask = shown == object_id
        wanted = truth == np.bincount(truth[mask]).argmax()
        for error, positive in ((wanted & ~mask, True), (mask & ~wanted, False)):
            depth = ndimage.distance_transform_edt(error)
            place = np.unravel_index(depth.argmax(), depth.shape)
            largest = max(largest, (float(depth.max()), int(object_id), place, positive))
    _, object_id, (y, x), positive = largest
    panel.settings.object_id.value = object_id
    click(panel, frame, float(y), float(x), new=False, positive=positive)


if __name__ == "__main__":
    main()
