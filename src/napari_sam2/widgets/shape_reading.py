"""What a shape on a frame means: the pixels it encloses, or points along a scribble."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

AREAS = frozenset({"polygon", "ellipse"})
"""Kinds of shape that are masks."""

LINES = frozenset({"path", "line"})
"""Kinds of shape that are scribbles."""

_SCRIBBLE_POINTS = 8
_ELLIPSE_CORNERS = 64


def enclosed(kind: str, vertices: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie in a polygon or an ellipse.

    Parameters
    ----------
    kind : {"polygon", "ellipse"}
    vertices : ndarray, shape (N, 2)
        (y, x); of an ellipse, the four corners of the rectangle around it.
    shape : (Y, X)
    """
    outline = _ellipse(vertices) if kind == "ellipse" else vertices
    mask = np.zeros(shape, dtype=bool)
    rows, columns = outline.T
    mask[polygon(rows, columns, shape)] = True
    return mask


def along(vertices: NDArray[np.float64], shape: tuple[int, int]) -> list[tuple[float, float]]:
    """Return up to eight points (y, x) at equal distances along a line, those in the image."""
    lengths = np.linalg.norm(np.diff(vertices, axis=0), axis=1)
    reached = np.concatenate([[0.0], np.cumsum(lengths)])
    count = int(np.clip(np.ceil(reached[-1] / 4), 1, _SCRIBBLE_POINTS))
    wanted = (np.arange(count) + 0.5) / count * reached[-1]
    points = np.stack([np.interp(wanted, reached, column) for column in vertices.T], axis=1)
    inside = ((points >= -0.5) & (points <= np.asarray(shape) - 0.5)).all(axis=1)
    return [(float(y), float(x)) for y, x in points[inside]]


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    # A rotated ellipse has a rotated rectangle: half its sides are the axes.
    centre = corners.mean(axis=0)
    one, other = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
    return centre + np.cos(angles)[:, None] * one + np.sin(angles)[:, None] * other
