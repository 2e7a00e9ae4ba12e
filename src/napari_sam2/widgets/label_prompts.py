"""Objects of any Labels layer, in one frame, as mask prompts."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.places import Place, Spot
from napari_sam2.widgets.underlay import Underlay

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_sam2.widgets.workspace import Workspace


def label_prompts(
    workspace: Workspace, layer: Labels, place: Place, frame: int, taken: Collection[int]
) -> dict[Spot, FramePrompt]:
    """Make a mask prompt of every object of a Labels layer in one frame of the image.

    Objects keep their ids, but those whose id is taken get new ones.

    Parameters
    ----------
    workspace : Workspace
    layer : Labels
        Any, wherever it lies: of the dimensions of the image, or of two for one frame.
    place, frame :
        The frame of the image.
    taken : collection of int
        Ids of other objects.
    """
    plane = Underlay.of(workspace.image, layer).plane(workspace.index_of(place, frame))
    if workspace.sight.region is not None:
        plane = plane[workspace.sight.region.slices]
    ids = np.unique(plane[plane > 0]).tolist()
    free = max([*taken, *ids], default=0) + 1
    found: dict[Spot, FramePrompt] = {}
    for number in ids:
        new, free = (free, free + 1) if number in taken else (number, free)
        found[place, int(new), frame] = FramePrompt(mask=plane == number)
    return found
