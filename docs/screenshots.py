"""Draw the real window with the sample z-stack and real clicks.

docs/images/widget.png is "SAM 2: segment stack" after a propagation, docs/images/widget_image.png
"SAM 2: current image", docs/images/results.png a cell that divides, docs/images/lineage.png the
tracks of all cells of the sample time-lapse over its last frame. Name one of them to draw no other.
Needs a screen; on a machine without one::

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py
"""

from __future__ import annotations

import sys

import napari
import numpy as np
from qtpy.QtWidgets import QScrollArea
from scipy import ndimage
from window import IMAGES, centres, click, open_window, pause, start, wait

from napari_sam2.lineage import Division, tracks_of
from napari_sam2.samples import SampleStack, dividing_cells, nuclei_stack
from napari_sam2.widgets.layers.appearance import label_colours
from napari_sam2.widgets.layers.tracks_layer import ObjectColours

CLICKS = 5
BEFORE, AFTER = 6, 7


def stack_panel() -> None:
    """Segment some nuclei through the stack."""
    viewer = _clicked("SAM 2: segment stack", propagate=True)
    _take(viewer, "widget")


def image_panel() -> None:
    """Segment some nuclei of one slice."""
    viewer = _clicked("SAM 2: current image", propagate=False)
    _take(viewer, "widget_image")


def results() -> None:
    """Let a cell of the sample time-lapse divide, with tracks and measurements."""
    sample = dividing_cells()
    parent, children, born = _first_division(sample)
    frames = slice(born - BEFORE, born + AFTER)
    image = napari.layers.Image(
        sample.image[frames],
        name="cells",
        axis_labels=("t", "y", "x"),
        scale=sample.scale,
        units=("s", "µm", "µm"),
    )
    here = BEFORE
    viewer, panel = open_window(1400, 1000, 0, image=image)
    start(viewer, panel)
    for frame, number in ((0, parent), *((here, child) for child in children)):
        viewer.dims.set_current_step(0, frame)
        mask = sample.labels[frames][frame] == number
        y, x = np.unravel_index(ndimage.distance_transform_edt(mask).argmax(), mask.shape)
        click(panel, frame, float(y), float(x))
    panel.run.both.click()
    wait(lambda: panel.controller.idle)
    viewer.dims.set_current_step(0, here)
    wait(lambda: panel.controller.idle)
    panel.objects.table.selectAll()
    panel.results.divide.click()
    wait(lambda: panel.controller.idle)
    panel.run.both.click()
    wait(lambda: panel.controller.idle)
    panel.results.open(True)
    panel.results.tracks.setChecked(True)
    panel.results.measuring.setChecked(True)
    wait(lambda: panel.controller.idle)
    panel.objects.table.selectAll()
    viewer.dims.set_current_step(0, len(image.data) - 1)
    panel.findChild(QScrollArea).ensureWidgetVisible(panel.results.plot)
    pause()
    _take(viewer, "results")


def lineage() -> None:
    """Draw the tracks of all cells of the sample time-lapse over its last frame."""
    sample = dividing_cells()
    children: dict[int, list[int]] = {}
    for child, parent in sample.parents:
        children.setdefault(parent, []).append(child)
    first = {
        i: int(np.flatnonzero((sample.labels == i).any(axis=(1, 2)))[0])
        for i in range(1, 100)
        if (sample.labels == i).any()
    }
    divisions = [
        Division(parent, tuple(born), min(first[child] for child in born))
        for parent, born in children.items()
    ]
    tracks = tracks_of(sample.labels, divisions)
    n_frames = len(sample.image)
    viewer = napari.Viewer()
    viewer.window.resize(1500, 1000)
    viewer.add_image(sample.image, name="cells")
    viewer.add_labels(sample.labels, colormap=label_colours(), opacity=0.25)
    viewer.add_tracks(
        tracks.data,
        graph=tracks.graph,
        features=tracks.features,
        colormaps_dict={"track_id": ObjectColours()},
        color_by="track_id",
        tail_length=n_frames,
        tail_width=3,
        blending="translucent",
    )
    viewer.dims.set_current_step(0, n_frames - 1)
    viewer.reset_view()
    pause()
    viewer.screenshot(str(IMAGES / "lineage.png"), canvas_only=True, flash=False)
    viewer.close()


def _first_division(sample: SampleStack) -> tuple[int, tuple[int, ...], int]:
    """Return parent, children and their first frame: of the first cell that divides in view."""
    parents = dict(sample.parents)
    frames = {i: np.flatnonzero((sample.labels == i).any(axis=(1, 2))) for i in parents}
    for child in sorted(frames, key=lambda each: int(frames[each][0])):
        parent, born = parents[child], int(frames[child][0])
        children = tuple(i for i in frames if parents[i] == parent)
        if len(children) == 2 and born >= BEFORE and all(len(frames[i]) > AFTER for i in children):
            return parent, children, born
    raise RuntimeError("No cell of the sample divides in view.")


def _clicked(widget: str, *, propagate: bool) -> napari.Viewer:
    sample = nuclei_stack()
    frame = len(sample.image) // 2
    viewer, panel = open_window(1400, 860, frame, widget)
    start(viewer, panel)
    for y, x in centres(sample, frame)[:CLICKS]:
        click(panel, frame, y, x)
    if propagate:
        panel.run.both.click()
        wait(lambda: panel.controller.idle)
    viewer.dims.set_current_step(0, frame)
    pause()
    return viewer


def _take(viewer: napari.Viewer, name: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    viewer.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)
    viewer.close()


PICTURES = {
    "widget": stack_panel,
    "widget_image": image_panel,
    "results": results,
    "lineage": lineage,
}

if __name__ == "__main__":
    for picture in sys.argv[1:] or PICTURES:
        PICTURES[picture]()
