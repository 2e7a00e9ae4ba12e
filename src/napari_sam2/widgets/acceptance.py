"""What is accepted, sorted out by stack."""

from __future__ import annotations

from collections import defaultdict

from napari_sam2.widgets.places import Place, Spot

Accepted = frozenset[tuple[int, int]]
"""Object and frame of all that is accepted in one stack."""


class Acceptance:
    """Sorts accepted spots out by stack; once for each set of them, however often it is asked.

    With hundreds of objects accepted in thousands of frames, going through all of them takes longer
    than a view may take to change.
    """

    def __init__(self) -> None:
        self._spots: frozenset[Spot] = frozenset()
        self._by_place: dict[Place, Accepted] = {}

    def sort(self, spots: frozenset[Spot]) -> None:
        """Take another set of spots in; nothing is done where it is the same one."""
        if spots is self._spots:
            return
        found: defaultdict[Place, list[tuple[int, int]]] = defaultdict(list)
        for place, object_id, frame in spots:
            found[place].append((object_id, frame))
        self._spots = spots
        self._by_place = {place: frozenset(pairs) for place, pairs in found.items()}

    @property
    def places(self) -> frozenset[Place]:
        """Stacks in which anything is accepted."""
        return frozenset(self._by_place)

    def at(self, place: Place) -> Accepted:
        """Return what is accepted in one stack: the same object as long as the spots are."""
        return self._by_place.get(place, _NOTHING)


_NOTHING: Accepted = frozenset()
