"""The bundled model segments and propagates clicked nuclei of the sample."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_sam2.samples import nuclei_stack
from napari_sam2.widgets.stack_panel import Wiring

FRAME = 1


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return (found & truth).sum() / (found | truth).sum()


def test_clicked_nuclei_are_segmented_and_followed(make_panel):
    sample = nuclei_stack(shape=(4, 256, 256))
    panel = make_panel(wiring=Wiring())
    panel.viewer.add_image(sample.image, scale=sample.scale)
    panel.viewer.dims.set_current_step(0, FRAME)
    panel.start()
    panel.wait_idle()
    truth = sample.labels
    sizes = np.bincount(truth[FRAME].ravel())
    sizes[0] = 0
    nuclei = [int(i) for i in np.argsort(sizes)[::-1][:2]]
    for nucleus in nuclei:
        depth = ndimage.distance_transform_edt(truth[FRAME] == nucleus)
        middle = np.unravel_index(depth.argmax(), depth.shape)
        panel.next_object()
        panel.click(FRAME, *middle)
        panel.wait_idle()
    panel.propagate("forward")
    panel.wait_idle()
    found = panel.labels_layer.data
    for frame, least in ((FRAME, 0.5), (FRAME + 1, 0.4), (FRAME + 2, 0.4)):
        overlaps = [
            overlap(found[frame] == object_id, truth[frame] == nucleus)
            for object_id, nucleus in enumerate(nuclei, 1)
        ]
        assert np.mean(overlaps) > least, (frame, overlaps)
