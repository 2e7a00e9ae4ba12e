"""What the table says of each object."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from napari_sam2.widgets.shelf import Summary
from napari_sam2.widgets.spec import Asked, Wanted


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object of the stack in view.

    Attributes
    ----------
    object_id : int
    name : str
        As the user named it; empty if that was not done.
    prompts : int
        Points, boxes and masks.
    frames : int
        Frames that it is in.
    lowest : float or None
        Lowest score of these frames; None if none has a score.
    accepted : int
        Accepted frames.
    hidden : bool
    """

    object_id: int
    name: str = ""
    prompts: int = 0
    frames: int = 0
    lowest: float | None = None
    accepted: int = 0
    hidden: bool = False


def object_rows(
    wanted: Wanted,
    summaries: Mapping[int, Summary],
    names: Mapping[int, str],
    hidden: Collection[int],
) -> tuple[ObjectRow, ...]:
    """List all objects of a stack that are prompted, accepted or in the labels, by id.

    Parameters
    ----------
    wanted : Wanted
        Prompts and acceptance of the stack.
    summaries : mapping of int to Summary
        What is known, by object.
    names : mapping of int to str
    hidden : collection of int
    """
    rows = []
    for number in sorted(wanted.by_object.keys() | summaries.keys()):
        known, asked = summaries.get(number, Summary()), wanted.by_object.get(number, Asked())
        rows.append(
            ObjectRow(
                number,
                names.get(number, ""),
                asked.pieces,
                known.frames,
                known.lowest,
                len(asked.accepted),
                number in hidden,
            )
        )
    return tuple(rows)
