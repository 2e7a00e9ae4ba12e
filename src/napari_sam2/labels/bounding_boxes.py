"""Bounding boxes of masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice]
"""Rows and columns, both with their ends."""


def box_of(plane: NDArray[Any]) -> Box | None:
    """Return the smallest box with all pixels of a plane (Y, X) that are not 0, if any is."""
    rows = np.flatnonzero(plane.any(axis=1))
    if not rows.size:
        return None
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(plane[band].any(axis=0))
    return band, slice(int(columns[0]), int(columns[-1]) + 1)


def spanning(boxes: Iterable[Box | None]) -> Box | None:
    """Return the smallest box that contains all given boxes; None if there are none."""
    found = [box for box in boxes if box is not None]
    if len(found) < 2:
        return found[0] if found else None
    rows, columns = found[0]
    top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
    for rows, columns in found[1:]:
        top, bottom = min(top, rows.start), max(bottom, rows.stop)
        left, right = min(left, columns.start), max(right, columns.stop)
    return slice(top, bottom), slice(left, right)


def size_of(box: Box) -> tuple[int, int]:
    """Return rows and columns of a box."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start


def within(box: Box, outer: Box) -> Box:
    """Return a box of the plane as counted from the first row and column of another one."""
    (rows, columns), down, right = box, outer[0].start, outer[1].start
    return (
        slice(rows.start - down, rows.stop - down),
        slice(columns.start - right, columns.stop - right),
    )


def placed(box: Box, outer: Box) -> Box:
    """Return a box relative to another one as a box of the whole plane."""
    (rows, columns), down, right = box, outer[0].start, outer[1].start
    return (
        slice(rows.start + down, rows.stop + down),
        slice(columns.start + right, columns.stop + right),
    )


def apart(boxes: Sequence[Box | None]) -> list[tuple[Box, list[int]]]:
    """Group boxes so that the boxes around two groups share no pixel.

    Returns
    -------
    list of (Box, list of int)
        The box around each group, and the indices of its members in `boxes`, ascending.
    """
    spans = np.empty((0, 4), dtype=int)
    groups: list[list[int]] = []
    for index, box in enumerate(boxes):
        if box is None:
            continue
        edges, members = np.array(_edges(box)), [index]
        while (met := _meets(spans, edges)).any():
            edges = _edges_around(np.vstack([spans[met], edges]))
            for place in np.flatnonzero(met)[::-1]:
                members += groups.pop(int(place))
            spans = spans[~met]
        spans = np.vstack([spans, edges])
        groups.append(members)
    found = []
    for (y0, y1, x0, x1), members in zip(spans.tolist(), groups, strict=True):
        found.append(((slice(y0, y1), slice(x0, x1)), sorted(members)))
    return found


def _meets(spans: NDArray[Any], edges: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which spans (G, 4) have a pixel in common with another one (4,)."""
    y0, y1, x0, x1 = spans.T
    met: NDArray[np.bool_] = (y0 < edges[1]) & (edges[0] < y1) & (x0 < edges[3]) & (edges[2] < x1)
    return met


def _edges_around(spans: NDArray[Any]) -> NDArray[Any]:
    low, high = spans.min(axis=0), spans.max(axis=0)
    return np.array([low[0], high[1], low[2], high[3]])


def _edges(box: Box) -> tuple[int, int, int, int]:
    rows, columns = box
    return rows.start, rows.stop, columns.start, columns.stop
