"""Draw the real window with the sample z-stack and real clicks.

docs/images/widget.png is "SAM 2: segment stack" after a propagation, docs/images/widget_image.png
"SAM 2: current image". Name one of them to draw no other. Needs a screen; on a machine without
one::

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py
"""

from __future__ import annotations

import sys

import napari
from window import IMAGES, centres, click, open_window, pause, start, wait

from napari_sam2.samples import nuclei_stack

CLICKS = 5


def stack_panel() -> None:
    """Segment some nuclei through the stack."""
    viewer = _clicked("SAM 2: segment stack", propagate=True)
    _take(viewer, "widget")


def image_panel() -> None:
    """Segment some nuclei of one slice."""
    viewer = _clicked("SAM 2: current image", propagate=False)
    _take(viewer, "widget_image")


def _clicked(widget: str, *, propagate: bool) -> napari.Viewer:
    sample = nuclei_stack()
    frame = len(sample.image) // 2
    viewer, panel = open_window(1400, 860, frame, widget)
    start(viewer, panel)
    for y, x in centres(sample, frame)[:CLICKS]:
        click(panel, frame, y, x)
    if propagate:
        panel.run.both.click()
        wait(lambda: panel.coordinator.idle)
    viewer.dims.set_current_step(0, frame)
    pause()
    return viewer


def _take(viewer: napari.Viewer, name: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    viewer.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)
    viewer.close()


PICTURES = {"widget": stack_panel, "widget_image": image_panel}

if __name__ == "__main__":
    for picture in sys.argv[1:] or PICTURES:
        PICTURES[picture]()
