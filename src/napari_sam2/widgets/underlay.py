"""A Labels layer as it lies under the pixels of an image, wherever the two are placed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.widgets.geometry import full_resolution, spatial_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Labels


@dataclass(frozen=True, slots=True, eq=False)
class Underlay:
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
    def of(cls, image: Image, layer: Labels) -> Underlay:
        """Find out how a layer lies under an image. Main thread only."""
        shape = spatial_shape(image)

        def under(position: NDArray[Any]) -> NDArray[np.float64]:
            world = np.asarray(image.data_to_world(position), float)
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
        places = np.rint(start + rows + columns).astype(int)
        inside = ((places >= 0) & (places < np.asarray(self.data.shape))).all(axis=-1)
        found = np.zeros((height, width), self.data.dtype)
        for row in np.unique(places[inside][:, :-2], axis=0):
            # One plane at a time: a lazy layer is not read as a whole.
            plane = np.asarray(self.data[tuple(row)])
            here = inside & (places[..., :-2] == row).all(axis=-1)
            found[here] = plane[tuple(places[here][:, -2:].T)]
        return found
