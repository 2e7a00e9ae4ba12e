"""Positions of sliders, and accepted masks sorted by position. Frozen values, any thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from napari_sam2.types import ObjectFrame

OBJECT = "object"
"""Feature column with the label id of the object that a point or a shape belongs to."""

POSITIVE = "positive"
"""Feature column: True on the object, False on the background."""

StackPosition = tuple[tuple[int, int], ...]
"""Position of the sliders that are not the video: (axis, index) of each."""

MaskKey = tuple[StackPosition, int, int]
"""One object in one frame of one stack: place, object id, frame."""


def placed(
    indices: Iterable[int], axis: int | None, composed: int | None = None
) -> tuple[StackPosition, int]:
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


def index_of(axis: int | None, position: StackPosition, frame: int) -> tuple[int, ...]:
    """Return the indices of all axes but the last two, of a frame of a stack."""
    fixed = dict(position)
    if axis is not None:
        fixed[axis] = frame
    return tuple(fixed[i] for i in sorted(fixed))


class Acceptance:
    """Sorts accepted spots out by stack; once for each set of them, however often it is asked.

    With hundreds of objects accepted in thousands of frames, going through all of them takes longer
    than a view may take to change.
    """

    def __init__(self) -> None:
        self._mask_keys: frozenset[MaskKey] = frozenset()
        self._by_position: dict[StackPosition, frozenset[ObjectFrame]] = {}

    def sort(self, mask_keys: frozenset[MaskKey]) -> None:
        """Take another set of spots in; nothing is done where it is the same one."""
        if mask_keys is self._mask_keys:
            return
        found: defaultdict[StackPosition, list[ObjectFrame]] = defaultdict(list)
        for position, object_id, frame in mask_keys:
            found[position].append(ObjectFrame(object_id, frame))
        self._mask_keys = mask_keys
        self._by_position = {position: frozenset(pairs) for position, pairs in found.items()}

    @property
    def positions(self) -> frozenset[StackPosition]:
        """Stacks in which anything is accepted."""
        return frozenset(self._by_position)

    def at(self, position: StackPosition) -> frozenset[ObjectFrame]:
        """Return what is accepted in one stack: the same object as long as the spots are."""
        return self._by_position.get(position, _NOTHING)


_NOTHING: frozenset[ObjectFrame] = frozenset()
