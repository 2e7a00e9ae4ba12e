"""Reads Labels, Points and Shapes layers that the panel did not create.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.layers.factory import MAX_OBJECT_ID
from napari_sam2.widgets.layers.geometry import full_resolution, spatial_shape, unit_factors
from napari_sam2.widgets.layers.prompt_reader import object_numbers
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE, MaskKey, StackPosition

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Points, Shapes

    from napari_sam2.widgets.layers.workspace import Workspace


@dataclass(frozen=True, slots=True, eq=False)
class ForeignLabels:
    """Labels and how to find them under an image; free of layers, so that any thread may read.

    Attributes
    ----------
    data : array-like
        The labels, as they lie: numpy, dask, zarr.
    origin : ndarray of float64, shape (L,)
        Where the first pixel of the image is in `data`, which has L axes.
    steps : ndarray of float64, shape (D, L)
        How far each of the D axes of the image goes in `data` per pixel.
    shape : tuple of int
        Of the image, D axes.
    """

    data: Any
    origin: NDArray[np.float64]
    steps: NDArray[np.float64]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, image: Image, layer: Labels) -> ForeignLabels:
        """Find out how a layer lies under an image. Main thread only."""
        shape = spatial_shape(image)

        def under(coordinates: NDArray[Any]) -> NDArray[np.float64]:
            world = np.asarray(image.data_to_world(coordinates), float)
            world *= unit_factors(image.units, layer.units)
            return np.asarray(layer.world_to_data(world[-layer.ndim :]), float)

        # All transformations are affine: the first pixel and a step along each axis say it all.
        origin = under(np.zeros(len(shape)))
        steps = np.stack([under(unit) - origin for unit in np.eye(len(shape))])
        return cls(full_resolution(layer), origin, steps, shape)

    def plane(self, index: Sequence[int]) -> NDArray[Any]:
        """Return the labels under a frame of the image, (Y, X); 0 outside the layer.

        Parameters
        ----------
        index : sequence of int
            All axes of the image but the last two.
        """
        height, width = self.shape[-2:]
        start = self.origin + np.asarray(index, float) @ self.steps[:-2]
        rows = np.arange(height)[:, None, None] * self.steps[-2]
        columns = np.arange(width)[None, :, None] * self.steps[-1]
        positions = np.rint(start + rows + columns).astype(int)
        inside = ((positions >= 0) & (positions < np.asarray(self.data.shape))).all(axis=-1)
        found = np.zeros((height, width), self.data.dtype)
        for row in np.unique(positions[inside][:, :-2], axis=0):
            # One plane at a time: a lazy layer is not read as a whole.
            plane = np.asarray(self.data[tuple(row)])
            here = inside & (positions[..., :-2] == row).all(axis=-1)
            found[here] = plane[tuple(positions[here][:, -2:].T)]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class ForeignPrompts:
    """Points or shapes with the features that prompts need; stands in for their layer.

    A layer with the feature ``object`` says which object each mark belongs to. Without it every
    mark is an object of its own.

    Attributes
    ----------
    layer : Points or Shapes
    features : mapping of str to sequence
        `OBJECT` and `POSITIVE`, one value per mark.
    """

    layer: Any
    features: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, image: Image, layer: Points | Shapes, first_id: int = 1) -> ForeignPrompts:
        """Take the marks of a layer; number those of no object from `first_id` on.

        Raises
        ------
        PromptError
            The layer has not as many dimensions as the image.
        """
        if layer.ndim != image.ndim and len(layer.data):
            raise PromptError(
                f"{layer.name} has {layer.ndim} dimensions, {image.name} has {image.ndim}.",
                remedy="Make the layer with the number of dimensions of the image (ndim=...).",
            )
        count, columns = len(layer.data), layer.features
        numbered = range(first_id, first_id + count)
        ids = object_numbers(columns[OBJECT]).tolist() if is_numbered(layer) else list(numbered)
        signs = columns[POSITIVE].tolist() if POSITIVE in columns else [True] * count
        return cls(layer, {OBJECT: ids, POSITIVE: signs})

    @property
    def data(self) -> Any:
        """Of the layer."""
        return self.layer.data

    @property
    def shape_type(self) -> Any:
        """Of a layer of shapes."""
        return self.layer.shape_type

    @property
    def units(self) -> Any:
        """Of the layer."""
        return self.layer.units

    def data_to_world(self, coordinates: Any) -> Any:
        """Place a mark as its layer does."""
        return self.layer.data_to_world(coordinates)


def is_numbered(layer: Points | Shapes) -> bool:
    """Whether a layer has a feature with the object of each of its marks."""
    return OBJECT in layer.features


def label_prompts(
    workspace: Workspace, layer: Labels, position: StackPosition, frame: int, taken: Collection[int]
) -> tuple[dict[MaskKey, FramePrompt], dict[int, int]]:
    """Make a mask prompt of every object of a Labels layer in one frame of the image.

    Objects keep their ids, but those whose id is taken, or larger than an id can be here, get new
    ones: the smallest that are free above all others, and where there are none, the smallest free.

    Parameters
    ----------
    workspace : Workspace
    layer : Labels
        Any, wherever it lies: of the dimensions of the image, or of two for one frame.
    position : StackPosition
    frame : int
        The frame of the image.
    taken : collection of int
        Ids of other objects.

    Returns
    -------
    prompts : dict of MaskKey to FramePrompt
    new_ids : dict of int to int
        Of the objects that got another id: the former id to the new one.

    Raises
    ------
    PromptError
        There are more objects than ids.
    """
    plane = ForeignLabels.of(workspace.image, layer).plane(workspace.index_of(position, frame))
    if workspace.source.region is not None:
        plane = plane[workspace.source.region.slices]
    ids = np.unique(plane[plane > 0]).tolist()
    kept = {number for number in ids if number <= MAX_OBJECT_ID and number not in taken}
    free = _free_ids({*kept, *taken})
    found: dict[MaskKey, FramePrompt] = {}
    new_ids: dict[int, int] = {}
    for number in ids:
        new = number
        if number not in kept:
            new = new_ids[number] = _next_free(free, layer)
        found[position, int(new), frame] = FramePrompt(mask=plane == number)
    return found, new_ids


def _free_ids(taken: Collection[int]) -> Iterator[int]:
    """Give the ids that no object has: those above all others first."""
    largest = max(taken, default=0)
    yield from range(largest + 1, MAX_OBJECT_ID + 1)
    yield from (number for number in range(1, largest) if number not in taken)


def _next_free(free: Iterator[int], layer: Labels) -> int:
    number = next(free, None)
    if number is None:
        raise PromptError(
            f"{layer.name} has more objects than there are free ids, 1 to {MAX_OBJECT_ID}.",
            remedy="Take labels with fewer objects, or delete objects that are not needed.",
        )
    return number
