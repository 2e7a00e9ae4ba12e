"""A search for objects and what it has found. Frozen values, any thread."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam2.labels import PackedMask
from napari_sam2.types import Region


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Where objects are looked for, and which.

    Attributes
    ----------
    number : int
        Of the search; each has its own.
    frame : int
    min_size : int or None
        Smallest area in pixels; None: 8, and what is unlikely is left out.
    max_size : int or None
        Largest area in pixels; None: no limit.
    region : Region or None
        The part of the frame, in its pixels; None: all of it.
    like : tuple of int
        Only objects like these; none: all objects.
    also_searched : tuple of int
        Frames that are searched too: what stands out far more in one of them is left to it.
    """

    number: int
    frame: int
    min_size: int | None = None
    max_size: int | None = None
    region: Region | None = None
    like: tuple[int, ...] = ()
    also_searched: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """An object that was found and is not one of the session yet.

    Attributes
    ----------
    mask : PackedMask
        In pixels of the frame.
    similarity : float or None
        How alike it is to the examples, in -1..1; None without examples.
    continues : int or None
        The object that this is: it was lost near by, or is seen better here than it was followed.
    unlikely : bool
        It is left out: it is probably no object, and no smallest area was given.
    """

    mask: PackedMask
    similarity: float | None = None
    continues: int | None = None
    unlikely: bool = False


def alike(found: tuple[Sighting, ...], similarity: float) -> tuple[int, ...]:
    """Return the numbers of those that are at least so similar to the examples."""
    return tuple(
        number
        for number, each in enumerate(found)
        if each.similarity is None or each.similarity >= similarity
    )
