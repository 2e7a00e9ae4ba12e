"""What is accepted, sorted out by stack."""

from __future__ import annotations

from collections import defaultdict

from napari_sam2.types import ObjectFrame
from napari_sam2.widgets.places import Place, Spot


class Acceptance:
    """Sorts accepted spots out by stack; once for each set of them, however often it is asked.

    With hundreds of objects accepted in thousands of frames, going through all of them takes longer
    than a view may take to change.
    """

    def __init__(self) -> None:
        self._spots: frozenset[Spot] = frozenset()
        self._by_place: dict[Place, frozenset[ObjectFrame]] = {}

    def sort(self, spots: frozenset[Spot]) -> None:
        """Take another set of spots in; nothing is done where it is the same one."""
        if spots is self._spots:
            return
        found: defaultdict[Place, list[ObjectFrame]] = defaultdict(list)
        for place, object_id, frame in spots:
            found[place].append(ObjectFrame(object_id, frame))
        self._spots = spots
        self._by_place = {place: frozenset(pairs) for place, pairs in found.items()}

    @property
    def places(self) -> frozenset[Place]:
        """Stacks in which anything is accepted."""
        return frozenset(self._by_place)

    def at(self, place: Place) -> frozenset[ObjectFrame]:
        """Return what is accepted in one stack: the same object as long as the spots are."""
        return self._by_place.get(place, _NOTHING)


_NOTHING: frozenset[ObjectFrame] = frozenset()
