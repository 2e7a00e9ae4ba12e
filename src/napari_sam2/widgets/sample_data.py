"""Sample stacks for napari's File menu, generated on the spot, without a network.

Main thread only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_sam2.samples import SampleStack, dividing_cells, nuclei_stack

_SHOWN_PERCENT = (0.1, 99.9)

LayerData = tuple[Any, dict[str, Any], str]


def nuclei() -> list[LayerData]:
    """Return a z-stack of fluorescent nuclei as layer data."""
    return [_as_layer(nuclei_stack(), "Nuclei")]


def cells() -> list[LayerData]:
    """Return a time-lapse of cells that move and divide as layer data."""
    return [_as_layer(dividing_cells(), "Dividing cells")]


def _as_layer(sample: SampleStack, name: str) -> LayerData:
    # Time is no length: a slider in frames, pixels in micrometres.
    scale = tuple(
        1.0 if axis == "T" else size for axis, size in zip(sample.axes, sample.scale, strict=True)
    )
    low, high = np.percentile(sample.image[:: max(1, len(sample.image) // 8)], _SHOWN_PERCENT)
    settings = {
        "name": name,
        "scale": scale,
        "axis_labels": tuple(sample.axes.lower()),
        "contrast_limits": (float(low), float(high)),
    }
    return sample.image, settings, "image"
