"""Creates the three layers of a panel: labels, shapes and points.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Points, Shapes

from napari_sam2.errors import LabelsError
from napari_sam2.labels import blank_labels
from napari_sam2.widgets.layers.appearance import label_colours
from napari_sam2.widgets.layers.geometry import DrawnTransform, spatial_shape
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer

ROLE = "napari_sam2"
"""Key in a layer's metadata: which part it plays for which image, and which layer says so.

napari copies the metadata of a layer that is duplicated: a duplicate is the user's own.
"""

_ROLES = ("labels", "shapes", "points")
_LABELS_DTYPE = np.uint16
MAX_OBJECT_ID = int(np.iinfo(_LABELS_DTYPE).max)


def find_or_add(
    viewer: Viewer, image: Image, composed: int | None = None
) -> tuple[Labels, Shapes, Points]:
    """Return the labels, shapes and points of an image; add to the viewer what is missing.

    Layers that a panel made for this image before are taken up again. The points end on top.

    Parameters
    ----------
    viewer : Viewer
    image : Image
    composed : int, optional
        The axis whose channels are composed: the layers are the same in all of them.
    """
    found = {role: _find(viewer, image, role, composed) for role in _ROLES}
    placed = {role: _placement(image, role, composed) for role in _ROLES}
    shape = labels_shape(image, composed)
    labels = found["labels"] or viewer.add_layer(_new_labels(shape, placed["labels"]))
    shapes = found["shapes"] or viewer.add_layer(_new_shapes(image, placed["shapes"]))
    points = found["points"] or viewer.add_layer(_new_points(image, placed["points"]))
    for role, layer in zip(_ROLES, (labels, shapes, points), strict=True):
        layer.metadata[ROLE] = (role, image.unique_id, composed, layer.unique_id)
    return labels, shapes, points


def labels_of(viewer: Viewer, image: Image) -> list[Labels]:
    """Return the labels that panels have made for this image before, of whatever axes."""
    tags = [(layer, _tag(layer)) for layer in viewer.layers]
    return [layer for layer, tag in tags if tag and tag[:2] == ("labels", image.unique_id)]


def labels_shape(image: Image, composed: int | None) -> tuple[int, ...]:
    """Shape of the labels of an image: one pixel along an axis whose channels are composed."""
    return tuple(1 if i == composed else n for i, n in enumerate(spatial_shape(image)))


def _find(viewer: Viewer, image: Image, role: str, composed: int | None) -> Layer | None:
    """Return the layer of a part that fits the image as it is now."""
    tag, shape = (role, image.unique_id, composed), labels_shape(image, composed)
    for layer in viewer.layers:
        ours = _tag(layer) == tag and layer.ndim == image.ndim
        if ours and (role != "labels" or layer.data.shape == shape):
            return layer
    return None


def _tag(layer: Layer) -> tuple[Any, ...] | None:
    """Return role, image and composed axis of a layer of ours; None of any other."""
    tag = layer.metadata.get(ROLE)
    return tag[:-1] if isinstance(tag, tuple) and tag[-1] == layer.unique_id else None


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


TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units")
"""Attributes of a layer that say where it lies."""


def lay_over(
    image: Image, composed: int | None, layers: Iterable[Layer], drawn: DrawnTransform | None = None
) -> None:
    """Lay layers of ours over an image again, which has another scale or another place now.

    Where napari draws the image otherwise than its transform says, `drawn` tells how: then the
    mouse finds the pixels that are shown.
    """
    placed = _placement(image, "", composed)
    if drawn is not None and not drawn.is_own:
        placed |= _as_drawn(image, composed, drawn)
    for layer in layers:
        for name in TRANSFORMS:
            setattr(layer, name, placed[name])


def _as_drawn(image: Image, composed: int | None, drawn: DrawnTransform) -> dict[str, Any]:
    """Return the arguments that lay a layer over an image as it is drawn."""
    ndim = len(spatial_shape(image))
    matrix = drawn.matrix
    if composed is not None:
        stretched = np.eye(ndim + 1)
        count = spatial_shape(image)[composed]
        stretched[composed, composed], stretched[composed, ndim] = 2 * count, (count - 1) / 2
        matrix = matrix @ stretched
    scale = np.linalg.norm(matrix[:ndim, :ndim], axis=0)
    return {
        "scale": scale,
        "translate": np.zeros(ndim),
        "rotate": np.eye(ndim),
        "shear": np.zeros(ndim * (ndim - 1) // 2),
        "affine": matrix @ np.diag([*(1 / scale), 1.0]),
        "units": drawn.units or image.units,
    }


def plane_placement(image: Image, role: str) -> dict[str, Any]:
    """Return the arguments that lay a new layer of two dimensions over all frames of an image."""
    ndim = len(spatial_shape(image))
    units = np.eye(ndim)[-2:]
    origin = np.asarray(image.data_to_world(np.zeros(ndim)), float)
    steps = [np.asarray(image.data_to_world(unit), float)[-2:] - origin[-2:] for unit in units]
    affine = np.eye(3)
    affine[:2, :2] = np.stack(steps, axis=1)
    affine[:2, 2] = origin[-2:]
    return {
        "name": f"{image.name} · {role}",
        "affine": affine,
        "units": image.units[-2:],
        "axis_labels": image.axis_labels[-2:],
    }


def _placement(image: Image, role: str, composed: int | None) -> dict[str, Any]:
    """Lay a layer of ours also over all channels that are composed."""
    placed = placement(image, role)
    if composed is None:
        return placed
    count = spatial_shape(image)[composed]
    scale, middle = np.array(image.scale, float), np.zeros(image.ndim)
    middle[composed] = scale[composed] * (count - 1) / 2
    # Twice as long as the channels: wherever their slider is, it is near the one pixel there.
    scale[composed] *= 2 * count
    translate = np.asarray(image.translate) + np.asarray(image.rotate) @ middle
    return placed | {
        "name": f"{image.name} · channels · {role}",
        "scale": scale,
        "translate": translate,
    }


def _new_labels(shape: tuple[int, ...], placed: dict[str, Any]) -> Labels:
    try:
        empty = blank_labels(shape, _LABELS_DTYPE)
    except MemoryError as error:
        size = np.prod(shape, dtype=float) * _LABELS_DTYPE().itemsize / 1e9
        raise LabelsError(
            f"Labels for the whole image of shape {shape} need {size:.1f} GB, which is too much.",
            remedy="Open a part of the image, such as fewer time points, as a layer of its own.",
        ) from error
    return Labels(empty, opacity=0.5, colormap=label_colours(), **placed)


def _new_shapes(image: Image, placed: dict[str, Any]) -> Shapes:
    return Shapes(
        ndim=image.ndim,
        features={OBJECT: np.empty(0, int), POSITIVE: np.empty(0, bool)},
        feature_defaults={OBJECT: 1, POSITIVE: True},
        face_color="transparent",
        edge_color="white",
        **placed,
    )


def _new_points(image: Image, placed: dict[str, Any]) -> Points:
    return Points(
        ndim=image.ndim,
        features={OBJECT: np.empty(0, int), POSITIVE: np.empty(0, bool)},
        feature_defaults={OBJECT: 1, POSITIVE: True},
        border_width=0.12,
        border_color="white",
        **placed,
    )
