"""Overlays: labels drawn over a frame with a translucent fill and antialiased outlines.

Pure functions of arrays. The fill is our own: `skimage.color.label2rgb` takes nine times as long
(0.6 s instead of 0.07 s for 1024 x 1024 pixels).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import LabelsError
from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.rendering.colours import colours_of
from napari_sam2.labels.rendering.resizing import resize_image, resize_labels

# How dark the thin shade around an outline is: it sets bright colours off a bright image.
_SHADE = 0.55


def overlay(
    frame_image: NDArray[Any],
    labels: Labels,
    alpha: float = 0.3,
    outline: float = 1.5,
    *,
    zoom: float = 1,
) -> NDArray[np.uint8]:
    """Draw labels over a frame.

    Parameters
    ----------
    frame_image : ndarray, shape (Y, X), (Y, X, 1) or (Y, X, 3)
        Float in 0..1 (values beyond are clipped, NaN is black), uint8 or bool.
    labels : ndarray of int, shape (Y, X)
        0 and below is background. An id always has the same colour, whatever else is there.
    alpha : float
        Strength of the fill, 0 (none) to 1 (opaque).
    outline : float
        Width of the outlines in pixels of the result; 0 draws none.
    zoom : float
        Size of the result: 1, 2, 3, ... times the frame with smoothed outlines, or 1/2, 1/3, ...

    Returns
    -------
    ndarray of uint8, shape (zoom Y, zoom X, 3)
        RGB.
    """
    picture = as_rgb(frame_image)
    _check(picture, labels, alpha, outline)
    picture = resize_image(picture, zoom)
    labels = resize_labels(labels, zoom)
    ids, place = np.unique(labels, return_inverse=True)
    colours = colours_of(ids)[place.reshape(labels.shape)]
    inside = labels > 0
    picture[inside] += alpha * (colours[inside] - picture[inside])
    if outline > 0:
        _draw_outlines(picture, labels, colours, outline)
    return np.rint(255 * picture).astype(np.uint8)


def as_rgb(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image as a new float32 RGB array, values in 0..1, shape (Y, X, 3)."""
    image = np.asarray(image)
    plane = image[..., None] if image.ndim == 2 else image
    if plane.ndim != 3 or plane.shape[2] not in (1, 3):
        raise LabelsError(
            f"A picture is drawn over a frame (y, x) or (y, x, 3), not {image.shape}.",
            remedy="Pass one frame of the stack.",
        )
    if image.dtype.kind != "f" and image.dtype not in (np.bool_, np.uint8):
        raise LabelsError(
            f"A frame of {image.dtype} has no known contrast.",
            remedy="Scale it to 0..1 first, or read it from a FrameStack.",
        )
    values = plane.astype(np.float32)
    if image.dtype == np.uint8:
        values /= 255
    values = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    return np.array(np.broadcast_to(values, (*plane.shape[:2], 3)))


def _check(picture: NDArray[np.float32], labels: Labels, alpha: float, outline: float) -> None:
    if labels.shape != picture.shape[:2] or labels.dtype.kind not in "iu":
        raise LabelsError(
            f"The labels are {labels.dtype} of {labels.shape}, the frame {picture.shape[:2]}.",
            remedy="Pass the integer labels of the same frame.",
        )
    if not 0 <= alpha <= 1 or not outline >= 0:
        raise LabelsError(
            f"Labels cannot be drawn with alpha={alpha} and outline={outline}.",
            remedy="Use an alpha from 0 to 1 and an outline of 0 or more.",
        )


def _draw_outlines(
    picture: NDArray[np.float32], labels: Labels, colours: NDArray[np.float32], width: float
) -> None:
    edge = _inner_edge(labels)
    if not edge.any():
        return
    distance, (rows, columns) = ndimage.distance_transform_edt(~edge, return_indices=True)
    # Soft by distance: full within half the width, fading over one pixel.
    shade = _SHADE * np.clip(width / 2 + 1.5 - distance, 0, 1) * (labels <= 0)
    line = np.clip(width / 2 + 0.5 - distance, 0, 1)
    near = distance < width / 2 + 1.5
    picture[near] *= 1 - shade[near, None]
    picture[near] += line[near, None] * (colours[rows[near], columns[near]] - picture[near])
    np.clip(picture, 0, 1, out=picture)


def _inner_edge(labels: Labels) -> NDArray[np.bool_]:
    """Return the pixels of objects that have a neighbour with another label.

    The rim of the frame is no edge: an object that leaves the picture is left open there.
    """
    edge = np.zeros(labels.shape, dtype=np.bool_)
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge & (labels > 0)
