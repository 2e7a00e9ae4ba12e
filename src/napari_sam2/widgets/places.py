"""Where prompts and masks are: names for the tuples that say so."""

from __future__ import annotations

from collections.abc import Iterable

OBJECT = "object"
"""Feature column with the label id of the object that a point or a shape belongs to."""

POSITIVE = "positive"
"""Feature column: True on the object, False on the background."""

Place = tuple[tuple[int, int], ...]
"""Position of the sliders that are not the video: (axis, index) of each."""

Spot = tuple[Place, int, int]
"""One object in one frame of one stack: place, object id, frame."""


def placed(
    indices: Iterable[int], axis: int | None, composed: int | None = None
) -> tuple[Place, int]:
    """Tell stack and frame from the indices of all axes but the last two.

    Parameters
    ----------
    indices : iterable of int
    axis : int or None
        The video axis; None where there is none.
    composed : int, optional
        The axis whose channels are composed: wherever its slider is, it is the same place.
    """
    others, frame = [], 0
    for i, index in enumerate(indices):
        if i == axis:
            frame = int(index)
        else:
            others.append((i, 0 if i == composed else int(index)))
    return tuple(others), frame


def index_of(axis: int | None, place: Place, frame: int) -> tuple[int, ...]:
    """Return the indices of all axes but the last two, of a frame of a stack."""
    fixed = dict(place)
    if axis is not None:
        fixed[axis] = frame
    return tuple(fixed[i] for i in sorted(fixed))
