"""The project's colours as napari takes them, with some objects hidden."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap

from napari_sam2.labels import colour_of

_NAME = "napari-sam2"
_N_COLOURS = 14
_SPARE_IDS = 64  # coloured beyond the largest id while something is hidden
_CLEAR = np.zeros(4)


def label_colours(
    hidden: Collection[int] = (), largest: int = 0
) -> CyclicLabelColormap | DirectLabelColormap:
    """Return colours that colour-blind users can tell apart.

    Parameters
    ----------
    hidden : collection of int
        Objects that are not to be seen.
    largest : int
        Largest id that may occur; only needed where something is hidden.
    """
    if not hidden:
        # The first entry is the background's; napari goes round the others.
        colours = np.stack([_CLEAR, *(_solid(number) for number in range(1, _N_COLOURS + 1))])
        return CyclicLabelColormap(colors=colours, name=_NAME)
    table: dict[int | None, Any] = defaultdict(lambda: _CLEAR)
    table |= {None: _CLEAR, 0: _CLEAR}
    for number in range(1, max(largest, *hidden) + _SPARE_IDS):
        table[number] = _CLEAR if number in hidden else _solid(number)
    return DirectLabelColormap(color_dict=table, name=_NAME)


def hides(colours: Any) -> bool:
    """Tell whether these are colours of ours in which some objects are hidden."""
    return isinstance(colours, DirectLabelColormap) and colours.name == _NAME


def _solid(object_id: int) -> Any:
    return np.array([*colour_of(object_id), 255]) / 255
