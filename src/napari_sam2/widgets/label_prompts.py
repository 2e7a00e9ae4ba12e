"""Objects of any Labels layer, in one frame, as mask prompts."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.geometry import full_resolution, spatial_shape
from napari_sam2.widgets.places import Place, Spot

if TYPE_CHECKING:
    from napari.layers import Image, Labels

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
    index = [0] * (len(spatial_shape(workspace.image)) - 2)
    for axis, at in place:
        index[axis] = at
    if workspace.axis is not None:
        index[workspace.axis] = frame
    plane = labels_under(workspace.image, layer, tuple(index))
    ids = np.unique(plane[plane > 0]).tolist()
    free = max([*taken, *ids], default=0) + 1
    found: dict[Spot, FramePrompt] = {}
    for number in ids:
        new, free = (free, free + 1) if number in taken else (number, free)
        found[place, int(new), frame] = FramePrompt(mask=plane == number)
    return found


def labels_under(image: Image, layer: Labels, index: tuple[int, ...]) -> NDArray[Any]:
    """Return the labels under the pixels of a frame of an image, (Y, X); 0 outside the layer.

    Parameters
    ----------
    image : Image
    layer : Labels
    index : tuple of int
        All axes of the image but the last two.
    """
    height, width = spatial_shape(image)[-2:]
    corners = np.array([(0, 0), (1, 0), (0, 1)], float)
    world = np.array([image.data_to_world((*index, y, x)) for y, x in corners])[:, -layer.ndim :]
    origin, down, right = (np.asarray(layer.world_to_data(each), float) for each in world)
    rows = np.arange(height)[:, None, None] * (down - origin)
    columns = np.arange(width)[None, :, None] * (right - origin)
    places = np.rint(origin + rows + columns).astype(int)
    data = full_resolution(layer)
    shape = np.asarray(data.shape)
    inside = ((places >= 0) & (places < shape)).all(axis=-1)
    leading = np.unique(places[inside][:, :-2], axis=0)
    found = np.zeros((height, width), data.dtype)
    for row in leading:
        # One plane at a time: a lazy layer is not read as a whole.
        plane = np.asarray(data[tuple(row)])
        here = inside & (places[..., :-2] == row).all(axis=-1)
        found[here] = plane[tuple(places[here][:, -2:].T)]
    return found
