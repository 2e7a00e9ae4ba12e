"""Edits of objects: delete, merge, split, choose a mask, add found ones, divide.

Frozen values, any thread.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delete:
    """Take an object out of all frames."""

    object_id: int

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that it changes."""
        return (self.object_id,)


@dataclass(frozen=True, slots=True)
class Discard:
    """Take several objects out of all frames, as one step."""

    object_ids: tuple[int, ...]

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that it changes."""
        return self.object_ids


@dataclass(frozen=True, slots=True)
class Merge:
    """Make `other` a part of `object_id`."""

    object_id: int
    other: int

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that it changes."""
        return self.object_id, self.other


@dataclass(frozen=True, slots=True)
class Split:
    """Make what an object is from `frame` on an object of its own."""

    object_id: int
    frame: int
    new_id: int

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that it changes."""
        return self.object_id, self.new_id


@dataclass(frozen=True, slots=True)
class Choose:
    """Show the next of the masks that a click could mean."""

    object_id: int
    frame: int
    rank: int

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that it changes."""
        return (self.object_id,)


@dataclass(frozen=True, slots=True)
class AddFound:
    """Make objects of what a search has found.

    Attributes
    ----------
    search : int
        Number of the search.
    chosen : tuple of int
        Which of the proposals, by their numbers.
    object_ids : tuple of int
        Ids for them: new ones, or those of the objects that they continue.
    """

    search: int
    chosen: tuple[int, ...]
    object_ids: tuple[int, ...]

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that it changes."""
        return self.object_ids


@dataclass(frozen=True, slots=True)
class Divide:
    """Have an object divide.

    Attributes
    ----------
    parent : int
    children : tuple of int
        With `new_id`, where there is one.
    frame : int
        The first frame of the children.
    new_id : int or None
        The parent goes on from this frame as the child of this id.
    """

    parent: int
    children: tuple[int, ...]
    frame: int
    new_id: int | None = None

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that it changes."""
        return self.parent, *self.children


@dataclass(frozen=True, slots=True)
class Undivide:
    """Have objects not divide after all."""

    parents: tuple[int, ...]

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that it changes."""
        return self.parents


ObjectEdit = Delete | Discard | Merge | Split | Choose | AddFound | Divide | Undivide
