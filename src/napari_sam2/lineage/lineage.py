"""`Lineage`: when each object exists, and which objects it comes from.

Immutable values; any thread may use them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sam2.labels.divisions import (
    check_presence,
    checked_divisions,
    generations_of,
    parents_of,
)
from napari_sam2.lineage.spots import SpotFinder, Spots
from napari_sam2.types import Division


@dataclass(frozen=True, slots=True)
class TrackedObject:
    """One object of a lineage.

    Attributes
    ----------
    object_id : int
    runs : tuple of (int, int)
        First and last frame of each stretch of frames without a gap, ascending.
    parent : int or None
        The object that it comes from.
    children : tuple of int
    generation : int
        Number of divisions before it.
    """

    object_id: int
    runs: tuple[tuple[int, int], ...]
    parent: int | None = None
    children: tuple[int, ...] = ()
    generation: int = 0

    @property
    def first(self) -> int:
        """First frame."""
        return self.runs[0][0]

    @property
    def last(self) -> int:
        """Last frame."""
        return self.runs[-1][1]


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """The objects of a stack, their spots and their divisions.

    Attributes
    ----------
    objects : mapping of int to TrackedObject
        Objects with a pixel, by id, ascending.
    divisions : tuple of Division
        All that were given, also those whose objects have no pixel yet.
    spots : Spots
    n_frames : int
    dims : int
        Axes of a frame: 2 or 3.
    """

    objects: Mapping[int, TrackedObject]
    divisions: tuple[Division, ...]
    spots: Spots
    n_frames: int
    dims: int

    @classmethod
    def of(cls, labels: Any, divisions: Iterable[Division] = ()) -> Lineage:
        """Return the lineage of labels.

        Parameters
        ----------
        labels : array of int, shape (T, Y, X) or (T, Z, Y, X), or SpotFinder
            A `SpotFinder` measures only frames that were not measured before.
        divisions : iterable of Division
            Objects that have no pixel (yet) are left out of parents and children.

        Raises
        ------
        LineageError
            There are no labels of frames, or the divisions cannot all be true.
        LabelsError
            A frame cannot be read.
        """
        finder = labels if isinstance(labels, SpotFinder) else SpotFinder(labels)
        known = checked_divisions(divisions, finder.n_frames)
        spots = finder.spots()
        ids, starts = np.unique(spots.object_ids, return_index=True)
        present = frozenset(ids.tolist())
        parents, generations = parents_of(known), generations_of(known)
        children = {
            each.parent: tuple(child for child in each.children if child in present)
            for each in known
        }
        objects = {}
        stops = [*starts.tolist(), len(spots)][1:]
        for number, start, stop in zip(ids.tolist(), starts.tolist(), stops, strict=True):
            parent = parents.get(number)
            objects[number] = TrackedObject(
                number,
                _runs(spots.frames[start:stop].tolist()),
                parent if parent in present else None,
                children.get(number, ()),
                generations.get(number, 0),
            )
        return cls(objects, known, spots, finder.n_frames, finder.dims)

    def check(self) -> None:
        """Check that every object exists when the divisions say so.

        Raises
        ------
        LineageError
            See `labels.divisions.check_presence`.
        """
        check_presence(
            self.divisions,
            {number: each.first for number, each in self.objects.items()},
            {number: each.last for number, each in self.objects.items()},
        )

    def links(self) -> list[tuple[int, int]]:
        """Return pairs of rows of `spots` that follow each other: a frame's and a later one's.

        An object is linked over gaps, a child to the last spot of its parent.
        """
        spots = self.spots
        rows: dict[int, tuple[int, int]] = {}
        linked: list[tuple[int, int]] = []
        for number in self.objects:
            start, stop = np.searchsorted(spots.object_ids, (number, number + 1)).tolist()
            rows[number] = (start, stop - 1)
            linked += [(row, row + 1) for row in range(start, stop - 1)]
        for number, each in self.objects.items():
            if each.parent is not None:
                linked.append((rows[each.parent][1], rows[number][0]))
        return sorted(linked)

    def trees(self) -> list[tuple[int, ...]]:
        """Return the ids of each family: a root and all objects that come from it."""
        families = []
        for number, each in self.objects.items():
            if each.parent is None:
                family, waiting = [], [number]
                while waiting:
                    family.append(waiting.pop(0))
                    waiting += self.objects[family[-1]].children
                families.append(tuple(family))
        return families


def _runs(frames: list[int]) -> tuple[tuple[int, int], ...]:
    runs: list[tuple[int, int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return tuple(runs)
