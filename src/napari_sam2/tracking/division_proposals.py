"""Proposed divisions: objects that, followed backward, come out of another one.

It runs on the calling thread; the labels may be read from any.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.types import Division

MaskAt = Callable[[int, int], NDArray[np.bool_]]
"""Gives the mask (Y, X) of an object in a frame."""

Follow = Callable[[int, int, int], Iterable[tuple[int, NDArray[np.bool_]]]]
"""Follows an object backward from its first frame: object, that frame, number of frames; gives
frame and mask (Y, X), the nearest frame first."""


@dataclass(frozen=True, slots=True)
class DivisionLimits:
    """What a plausible division looks like.

    What the frame's edge cuts has no area to compare: the upper limits do not hold for the children
    of a parent that touches it, nor the lower ones for a child that does, if there are two.

    Attributes
    ----------
    overlap : float
        So much of the child, followed backward, lies in the parent at least.
    smallest, largest : float
        Area of a child, as a part of the parent's last one.
    least_total, most_total : float
        Area of both children together, as a part of the parent's last one.
    apart : int
        Frames by which the first frames of two children may differ.
    """

    overlap: float = 0.5
    smallest: float = 0.15
    largest: float = 0.9
    least_total: float = 0.5
    most_total: float = 1.8
    apart: int = 2


@dataclass(frozen=True, slots=True)
class ProposedDivision:
    """A division that may have happened, for the user to accept or refuse.

    Attributes
    ----------
    division : Division
        Where the parent goes on as one of the children, the children have a new id for this part.
    new_id : int or None
        That id; None where the parent ends by itself.
    overlap : float
        Part of the child, followed backward, that lies in the parent; the less certain child
        counts.
    area_ratio : float
        Area of the children together, as a part of the parent's last one.
    """

    division: Division
    new_id: int | None
    overlap: float
    area_ratio: float

    @property
    def key(self) -> tuple[int, frozenset[int]]:
        """Parent and found children: the same for every proposal of this division."""
        return self.division.parent, frozenset(self.division.children) - {self.new_id or 0}


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where an object comes from, as the backward pass says."""

    child: int
    parent: int
    frame: int
    overlap: float


def propose_divisions(
    spans: Mapping[int, Sequence[int]],
    mask_at: MaskAt,
    follow: Follow,
    divisions: Sequence[Division],
    frames_back: int,
    limits: DivisionLimits | None = None,
    *,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[ProposedDivision, ...]:
    """Find objects that begin where another one may divide.

    An object that begins at frame t is followed backward a few frames. If its mask there lies in an
    object that lived before, this object may be its parent, and a division is proposed if the areas
    are plausible. Other objects that begin there and lead to the same parent are children too. If
    there are none and the parent continues, the parent becomes the second child. If an object leads
    further back, to one that ended beside the parent, no division is proposed: the two objects were
    merged in between, and the object is the ended one.

    Parameters
    ----------
    spans : mapping of int to sequence of int
        Frames in which each object has pixels, ascending.
    mask_at : callable
    follow : callable
    divisions : sequence of Division
        Those that are known: their children have a parent, and their parents divide no more.
    frames_back : int
        Frames that an object is followed backward.
    limits : DivisionLimits, optional
    progress : callable, optional
        Called with the part of the objects, in 0..1, that has been followed.
    cancelled : callable
        Called before each object; nothing is proposed once it returns True.

    Returns
    -------
    tuple of ProposedDivision
        By frame; one at most for each parent.
    """
    limits = limits or DivisionLimits()
    born = {child for each in divisions for child in each.children}
    divided = {each.parent for each in divisions}
    found: dict[int, list[_Origin]] = {}
    beginning = [
        (child, frames)
        for child, frames in sorted(spans.items())
        if child not in born and frames and frames[0] > 0
    ]
    for done, (child, frames) in enumerate(beginning, start=1):
        if cancelled():
            return ()
        living = {
            number: set(known)
            for number, known in spans.items()
            if number not in divided and number != child and known and known[0] < frames[0]
        }
        origin = _origin(child, frames[0], living, mask_at, follow, frames_back, limits)
        if origin is not None:
            found.setdefault(origin.parent, []).append(origin)
        if progress is not None:
            progress(done / len(beginning))
    if cancelled():  # the last object may not have been followed to the end
        return ()
    free = max([0, *spans, *born, *divided]) + 1
    proposed = []
    for parent, origins in sorted(found.items()):
        one = _proposal(parent, origins, spans, mask_at, free, limits)
        if one is not None:
            free += one.new_id is not None
            proposed.append(one)
    return tuple(sorted(proposed, key=lambda each: (each.division.frame, each.division.parent)))


def _origin(
    child: int,
    first: int,
    living: Mapping[int, Collection[int]],
    mask_at: MaskAt,
    follow: Follow,
    frames_back: int,
    limits: DivisionLimits,
) -> _Origin | None:
    """Follow an object backward until its mask lies in an object of the session.

    If the object is in no earlier frame, its first mask is compared with the frame before: it may
    have been a part of another object there.
    """

    def covered_by(number: int, frame: int, mask: NDArray[np.bool_]) -> float:
        shared, area = np.count_nonzero(mask_at(number, frame) & mask), np.count_nonzero(mask)
        return float(shared / area) if area else 0.0

    def find_parent(frame: int, mask: NDArray[np.bool_]) -> _Origin | None:
        shares = {
            number: covered_by(number, frame, mask)
            for number, frames in living.items()
            if frame in frames
        }
        parent = max(shares, key=lambda number: shares[number], default=0)
        if not parent or shares[parent] < limits.overlap:
            return None
        return _Origin(child, parent, frame + 1, shares[parent])

    seen, origin = False, None
    ended: list[int] = []
    for frame, mask in follow(child, first, frames_back):
        if not mask.any():
            continue
        seen = True
        if origin is None:
            origin = find_parent(frame, mask)
            if origin is None:
                continue
            ended = [
                number
                for number, frames in living.items()
                if number != origin.parent and first - frames_back <= max(frames) < frame
            ]
            if not ended:
                return origin
        elif frame in living[origin.parent] and any(
            frame in living[number] and covered_by(number, frame, mask) >= limits.overlap
            for number in ended
        ):
            return None
    return origin if seen else find_parent(first - 1, mask_at(child, first))


def _proposal(
    parent: int,
    origins: Sequence[_Origin],
    spans: Mapping[int, Sequence[int]],
    mask_at: MaskAt,
    free: int,
    limits: DivisionLimits,
) -> ProposedDivision | None:
    """Return the earliest plausible division of a parent; None if there is none.

    An object that enters the image and touches the parent is no child: a later division is tried.
    """
    ordered = sorted(origins, key=lambda each: each.frame)
    for at, first in enumerate(ordered):
        together = [each for each in ordered[at:] if each.frame <= first.frame + limits.apart]
        one = _joined(parent, together, spans, mask_at, free, limits)
        if one is not None:
            return one
    return None


def _joined(
    parent: int,
    children: list[_Origin],
    spans: Mapping[int, Sequence[int]],
    mask_at: MaskAt,
    free: int,
    limits: DivisionLimits,
) -> ProposedDivision | None:
    """Return the division of a parent into some children; None if their areas are implausible."""
    frame = children[0].frame
    before = [each for each in spans[parent] if each < frame]
    later = [each for each in spans[parent] if each >= frame]
    if not before:
        return None
    whole = mask_at(parent, before[-1])
    size = int(np.count_nonzero(whole))
    rest = mask_at(parent, later[0]) if later else None
    if rest is not None:  # the parent may divide again later
        children = [each for each in children if each.frame == frame]
    born = {each: mask_at(each.child, spans[each.child][0]) for each in children}
    # Objects that are too small are debris, unless the edge of the frame cuts them.
    large = {
        each: mask
        for each, mask in born.items()
        if np.count_nonzero(mask) >= limits.smallest * size
        or (rest is None and len(born) > 1 and _is_cut(mask))
    }
    if len(large) > 1 and rest is not None and np.count_nonzero(rest) > limits.largest * size:
        return None  # the parent does not divide
    if rest is None or len(large) > 1:
        # Two children are known: the rest of the parent was tracked too far.
        total = _plausible(list(large.values()), whole, limits)
        if total is not None:
            ids = tuple(each.child for each in large)
            overlap = min(each.overlap for each in large)
            return ProposedDivision(Division(parent, ids, frame), None, overlap, total)
    if rest is None or np.count_nonzero(rest) < limits.smallest * size:
        return None
    # The parent continues as one child; the other child is the one with the largest overlap.
    best = max(large, key=_overlap, default=None)
    total = None if best is None else _plausible([large[best], rest], whole, limits)
    if best is None or total is None:
        return None
    division = Division(parent, (best.child, free), frame)
    return ProposedDivision(division, free, best.overlap, total)


def _overlap(origin: _Origin) -> float:
    return origin.overlap


def _plausible(
    masks: Sequence[NDArray[np.bool_]], whole: NDArray[np.bool_], limits: DivisionLimits
) -> float | None:
    """Return the area of children as a fraction of the parent's; None if it is implausible."""
    if not masks:
        return None
    parts = [np.count_nonzero(mask) / np.count_nonzero(whole) for mask in masks]
    total = float(sum(parts))
    if len(masks) == 1:  # at the edge of the frame one child looks like the parent itself
        return total if parts[0] <= limits.largest else None
    if not _is_cut(whole) and (max(parts) > limits.largest or total > limits.most_total):
        return None
    return total if total >= limits.least_total or any(map(_is_cut, masks)) else None


def _is_cut(mask: NDArray[np.bool_]) -> bool:
    """Return whether an object reaches the edge of the frame, which may cut it."""
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())
