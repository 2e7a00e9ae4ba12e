"""The Tracks layer of a panel: data, graph and colours of the objects in the labels.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Tracks
from napari.utils import Colormap
from numpy.typing import NDArray

from napari_sam2.labels.rendering.colours import colours_of
from napari_sam2.widgets.layers.factory import TRANSFORMS
from napari_sam2.widgets.layers.image_axes import file_axes

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.lineage import TracksData
    from napari_sam2.widgets.layers.workspace import Workspace


OF_IMAGE = "napari_sam2 tracks"
"""Key in the metadata of a Tracks layer of ours: whose tracks it shows, and which layer says so."""


class ObjectColours(Colormap):
    """Gives every object the colour that it has in the labels."""

    def __init__(self) -> None:
        super().__init__(np.array([[0, 0, 0, 1], [1, 1, 1, 1]]), name="objects")

    def map(self, values: Any) -> NDArray[np.float32]:
        """Return RGBA (N, 4) of object ids (N,)."""
        ids = np.rint(np.atleast_1d(np.asarray(values, dtype=float))).astype(np.int64)
        opaque = np.ones((len(ids), 1), np.float32)
        return np.concatenate([colours_of(ids), opaque], axis=1).astype(np.float32)


class TracksLayer:
    """Shows tracks in a layer of ours, which lies over the labels. Main thread only.

    Parameters
    ----------
    viewer : Viewer
    workspace : Workspace
    """

    def __init__(self, viewer: Viewer, workspace: Workspace) -> None:
        self._viewer, self._workspace = viewer, workspace
        self.layer = next(filter(self._is_ours, viewer.layers), None)  # of work before a restart
        for name in TRANSFORMS:
            getattr(workspace.labels.events, name).connect(self._lie_on_labels)
        self._lie_on_labels()

    def show(self, tracks: TracksData, held: Mapping[int, int]) -> None:
        """Show these tracks; the layer is added with the first of them.

        Parameters
        ----------
        tracks : TracksData
        held : mapping of int to int
            Index along each axis of the labels that the tracks do not have.
        """
        data = self._placed(tracks.data, held)
        if not len(data):
            self.remove()
        elif self.layer is None:
            self.layer = self._add(data, tracks)
        else:
            self.layer.data = data
            self.layer.features = tracks.features
            self.layer.graph = tracks.graph

    def release(self) -> None:
        """Leave the layer as it is."""
        for name in TRANSFORMS:
            getattr(self._workspace.labels.events, name).disconnect(self._lie_on_labels)

    def remove(self) -> None:
        """Take the layer away, if it is there."""
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _lie_on_labels(self, event: Any = None) -> None:
        """Follow the labels, which lie where napari draws the image in the view of now."""
        changed = TRANSFORMS if event is None else (event.type,)
        for name in changed if self.layer is not None else ():
            setattr(self.layer, name, getattr(self._workspace.labels, name))

    def _is_ours(self, layer: Any) -> bool:
        # A duplicate has the same metadata: it is the user's own.
        tag = (self._workspace.image.unique_id, layer.unique_id)
        return isinstance(layer, Tracks) and layer.metadata.get(OF_IMAGE) == tag

    def _add(self, data: NDArray[np.float64], tracks: TracksData) -> Tracks:
        labels, viewer = self._workspace.labels, self._viewer
        layer = Tracks(
            data,
            graph=tracks.graph,
            features=tracks.features,
            colormaps_dict={"track_id": ObjectColours()},
            blending="translucent",
            name=f"{self._workspace.image.name} · tracks",
            scale=labels.scale,
            translate=labels.translate,
            rotate=labels.rotate,
            shear=labels.shear,
            affine=labels.affine,
            units=labels.units,
            axis_labels=labels.axis_labels,
        )
        layer.metadata[OF_IMAGE] = (self._workspace.image.unique_id, layer.unique_id)
        selected, active = set(viewer.layers.selection), viewer.layers.selection.active
        # Above the labels and below what is clicked on.
        viewer.layers.insert(viewer.layers.index(labels) + 1, layer)
        viewer.layers.selection.clear()
        viewer.layers.selection.update(selected)
        viewer.layers.selection.active = active
        return layer

    def _placed(self, data: NDArray[np.float64], held: Mapping[int, int]) -> NDArray[np.float64]:
        """Return id and a coordinate along each axis of the labels, whatever axes are held."""
        ndim = self._workspace.labels.ndim
        placed = np.zeros((len(data), 1 + ndim))
        placed[:, 0] = data[:, 0]
        for axis, at in held.items():
            placed[:, 1 + axis] = at
        free = [i for i in range(ndim) if i not in held]
        for column, axis in enumerate(free, start=1):
            placed[:, 1 + axis] = data[:, column]
        return placed


def can_have_tracks(workspace: Workspace, *, volumes: bool) -> bool:
    """Tell whether napari can show tracks: of up to four axes, and the first one is time."""
    if workspace.labels.ndim not in (3, 4):
        return False
    if volumes:
        return file_axes(workspace.image, workspace.axis).index("T") == 0
    return workspace.axis == 0
