"""Draw docs/images/widget.png: the real window, the sample z-stack, real clicks and propagation.

Needs a screen; on a machine without one::

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py
"""

from __future__ import annotations

from window import IMAGES, centres, click, open_window, pause, start, wait

from napari_sam2.samples import nuclei_stack

CLICKS = 5


def main() -> None:
    """Segment some nuclei through the stack in the real window and take its picture."""
    sample = nuclei_stack()
    frame = len(sample.image) // 2
    viewer, panel = open_window(1400, 860, frame)
    start(viewer, panel)
    for y, x in centres(sample, frame)[:CLICKS]:
        click(panel, frame, y, x)
    panel.run.both.click()
    wait(lambda: panel.coordinator.idle)
    viewer.dims.set_current_step(0, frame)
    pause()
    IMAGES.mkdir(exist_ok=True)
    viewer.screenshot(str(IMAGES / "widget.png"), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    main()
