"""Checks of divisions, and what follows from them: parents, generations and lifetimes.

Pure functions of values; any thread may use them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import index
from typing import Any

from napari_sam2.errors import LineageError
from napari_sam2.types import Division


def checked_divisions(
    divisions: Iterable[Division], n_frames: int | None = None
) -> tuple[Division, ...]:
    """Return divisions, by frame and parent, that can all be true.

    Parameters
    ----------
    divisions : iterable of Division
    n_frames : int, optional
        Number of frames of the stack.

    Raises
    ------
    LineageError
        An id is below 1 or a frame outside of the stack; a parent is its own child or has no
        frame before it divides; an object divides twice, has two parents, or divides before it
        begins.
    """
    checked = [_checked(each, n_frames) for each in divisions]
    checked.sort(key=lambda each: (each.frame, each.parent))
    divided: dict[int, Division] = {}
    born: dict[int, Division] = {}
    for each in checked:
        if each.parent in divided:
            raise LineageError(
                f"Object {each.parent} divides in frame {divided[each.parent].frame} and in frame "
                f"{each.frame}.",
                remedy="Remove one of the two divisions.",
            )
        divided[each.parent] = each
        for child in each.children:
            if child in born:
                raise LineageError(
                    f"Object {child} has two parents, {born[child].parent} and {each.parent}.",
                    remedy="Remove one of the two divisions, or give the object another id.",
                )
            born[child] = each
    for child, birth in born.items():
        end = divided.get(child)
        if end is not None and end.frame <= birth.frame:
            raise LineageError(
                f"Object {child} divides in frame {end.frame}, but begins in frame {birth.frame}.",
                remedy="Correct the frame of one of the two divisions.",
            )
    return tuple(checked)


def parents_of(divisions: Iterable[Division]) -> dict[int, int]:
    """Return the parent of each child."""
    return {child: each.parent for each in divisions for child in each.children}


def generations_of(divisions: Iterable[Division]) -> dict[int, int]:
    """Return how many divisions lie before each object that takes part in one: 0, 1, 2, ..."""
    parents = parents_of(divisions)
    found: dict[int, int] = {}

    for start in (*parents.values(), *parents):
        above = [start]
        while above[-1] in parents and above[-1] not in found:
            above.append(parents[above[-1]])
        known = found.get(above[-1], 0)
        for number in reversed(above):
            found[number] = known
            known += 1
    return found


def lifetimes_of(divisions: Iterable[Division]) -> dict[int, tuple[int, int | None]]:
    """Return the first frame and the end of each object that takes part in a division.

    The end is the frame after the last one; None where the object does not divide.
    """
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    for each in divisions:
        ends[each.parent] = each.frame
        begins |= dict.fromkeys(each.children, each.frame)
    return {number: (begins.get(number, 0), ends.get(number)) for number in begins | ends}


def check_presence(
    divisions: Iterable[Division], first: Mapping[int, int], last: Mapping[int, int]
) -> None:
    """Check divisions against the frames in which objects have pixels.

    Parameters
    ----------
    divisions : iterable of Division
    first, last : mapping of int to int
        First and last frame of each object in the labels.

    Raises
    ------
    LineageError
        A parent or child has no pixel, the parent begins too late or goes on too long, or a child
        begins too early.
    """
    for each in divisions:
        for number in (each.parent, *each.children):
            if number not in first:
                raise LineageError(
                    f"Object {number} of the division in frame {each.frame} is not in the labels.",
                    remedy="Propagate first, or remove the division.",
                )
        if first[each.parent] >= each.frame:
            raise LineageError(
                f"Object {each.parent} divides in frame {each.frame}, but begins in frame "
                f"{first[each.parent]}.",
                remedy="Correct the frame of the division.",
            )
        if last[each.parent] >= each.frame:
            raise LineageError(
                f"Object {each.parent} divides in frame {each.frame}, but is still in the labels "
                f"of frame {last[each.parent]}.",
                remedy="Erase it there, or give it the id of a child from that frame on.",
            )
        for child in each.children:
            if first[child] < each.frame:
                raise LineageError(
                    f"Object {child} is born in frame {each.frame}, but is already in the labels "
                    f"of frame {first[child]}.",
                    remedy="Erase it there, or correct the frame of the division.",
                )


def _checked(division: Division, n_frames: int | None) -> Division:
    parent = _whole(division.parent, "The parent")
    try:
        children = tuple(_whole(child, "A child") for child in division.children)
    except TypeError:
        raise LineageError(
            f"The children of object {parent} are {division.children!r}.",
            remedy="Give their ids as a tuple.",
        ) from None
    frame = _whole(division.frame, "The frame")
    for number in (parent, *children):
        if number < 1:
            raise LineageError(f"No object has the id {number}.", remedy="Ids begin with 1.")
    if not children:
        raise LineageError(f"Object {parent} divides into nothing.", remedy="Name its children.")
    if parent in children:
        raise LineageError(
            f"Object {parent} cannot be its own child.",
            remedy="Split it first, so that the child has an id of its own.",
        )
    if len(set(children)) < len(children):
        raise LineageError(
            f"Object {parent} has the same child twice: {children}.", remedy="Name it once."
        )
    if frame < 1:
        raise LineageError(
            f"Object {parent} cannot divide in frame {frame}: it would have no frame before.",
            remedy="Give the first frame of the children.",
        )
    if n_frames is not None and frame >= n_frames:
        raise LineageError(
            f"Object {parent} cannot divide in frame {frame} of {n_frames} frame(s).",
            remedy=f"Frames go from 0 to {n_frames - 1}.",
        )
    return Division(parent, children, frame)


def _whole(value: Any, name: str) -> int:
    try:
        return index(value)
    except TypeError:
        raise LineageError(
            f"{name} of a division must be a whole number, not {value!r}.",
            remedy="Give ids and frames as integers.",
        ) from None
