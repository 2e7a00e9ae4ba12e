"""The three napari layers of a panel: labels, shapes and points of one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Points, Shapes

from napari_sam2.errors import LabelsError
from napari_sam2.widgets.geometry import spatial_shape
from napari_sam2.widgets.label_colours import label_colours
from napari_sam2.widgets.places import OBJECT, POSITIVE

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer

ROLE = "napari_sam2"
"""Key in a layer's metadata: which part it plays, and for which image."""

_LABELS_DTYPE = np.uint16
MAX_OBJECT_ID = int(np.iinfo(_LABELS_DTYPE).max)
_POINT_PIXELS = 9.0
_EDGE_PIXELS = 1.5


def find_or_add(viewer: Viewer, image: Image) -> tuple[Labels, Shapes, Points]:
    """Return the labels, shapes and points of an image; add to the viewer what is missing.

    Layers that a panel made for this image before are taken up again. The points end on top.
    """
    found = {role: _find(viewer, image, role) for role in ("labels", "shapes", "points")}
    labels = found["labels"] or viewer.add_layer(_new_labels(image))
    shapes = found["shapes"] or viewer.add_layer(_new_shapes(viewer, image))
    points = found["points"] or viewer.add_layer(_new_points(viewer, image))
    return labels, shapes, points


def has_layers(viewer: Viewer, image: Image) -> bool:
    """Whether a panel has made layers for this image before."""
    return any(_find(viewer, image, role) for role in ("labels", "shapes", "points"))


def _find(viewer: Viewer, image: Image, role: str) -> Layer | None:
    for layer in viewer.layers:
        tag = layer.metadata.get(ROLE)
        if isinstance(tag, tuple) and tag == (role, image.unique_id):
            fits = role != "labels" or layer.data.shape == spatial_shape(image)
            return layer if fits and layer.ndim == image.ndim else None
    return None


def placement(image: Image, role: str) -> dict[str, Any]:
    """Return the arguments that lay a new layer exactly over an image."""
    return {
        "name": f"{image.name} · {role}",
        "scale": image.scale,
        "translate": image.translate,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
        "axis_labels": image.axis_labels,
    }


def _placement(image: Image, role: str) -> dict[str, Any]:
    """Also say which part the layer plays."""
    return placement(image, role) | {"metadata": {ROLE: (role, image.unique_id)}}


def _new_labels(image: Image) -> Labels:
    shape = spatial_shape(image)
    try:
        empty = np.zeros(shape, _LABELS_DTYPE)
    except MemoryError as error:
        size = np.prod(shape, dtype=float) * _LABELS_DTYPE().itemsize / 1e9
        raise LabelsError(
            f"Labels for the whole image of shape {shape} need {size:.1f} GB, which is too much.",
            remedy="Open a part of the image, such as fewer time points, as a layer of its own.",
        ) from error
    return Labels(empty, opacity=0.5, colormap=label_colours(), **_placement(image, "labels"))


def _new_shapes(viewer: Viewer, image: Image) -> Shapes:
    pixel = _screen_pixel(viewer, image)
    shapes = Shapes(
        ndim=image.ndim,
        features={OBJECT: np.empty(0, int), POSITIVE: np.empty(0, bool)},
        feature_defaults={OBJECT: 1, POSITIVE: True},
        face_color="transparent",
        edge_color="white",
        edge_width=_EDGE_PIXELS * pixel,
        **_placement(image, "shapes"),
    )
    shapes.current_edge_width = _EDGE_PIXELS * pixel
    return shapes


def _new_points(viewer: Viewer, image: Image) -> Points:
    size = _POINT_PIXELS * _screen_pixel(viewer, image)
    points = Points(
        ndim=image.ndim,
        features={OBJECT: np.empty(0, int), POSITIVE: np.empty(0, bool)},
        feature_defaults={OBJECT: 1, POSITIVE: True},
        size=size,
        border_width=0.12,
        border_color="white",
        **_placement(image, "points"),
    )
    points.current_size = size
    return points


def _screen_pixel(viewer: Viewer, image: Image) -> float:
    """Length of a screen pixel in pixels of the image, for marks that are neither dots nor blots.

    As the view fits the image when it is opened, this is much the same for large and small ones.
    """
    shape = spatial_shape(image)
    return max(shape[-2:]) / 512
