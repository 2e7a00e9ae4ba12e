"""Which of some selected objects is the parent of a division. Frozen values, any thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from napari_sam2.errors import LineageError
from napari_sam2.widgets.state.object_edits import Divide
from napari_sam2.widgets.state.session_spec import Annotations


def chosen_division(
    chosen: Sequence[int],
    frame: int,
    annotations: Annotations,
    frames: Mapping[int, Sequence[int]],
    new_id: int,
) -> Divide:
    """Return the division of selected objects in a frame.

    The parent is the one that was prompted or accepted before this frame; if that does not decide,
    the one that begins first. Where the parent goes on and only one other object is selected, the
    parent is the second child, with an id of its own.

    Parameters
    ----------
    chosen : sequence of int
        Selected objects.
    frame : int
        The frame in view: first frame of the children, unless all of them begin later: choosing
        the parent in the table shows a frame that it is in, which is before.
    annotations : Annotations
    frames : mapping of int to sequence of int
        Frames that each object is in, ascending.
    new_id : int
        An id that is free.

    Raises
    ------
    LineageError
        These objects, in this frame, are no division.
    """
    if len(chosen) < 2:
        raise LineageError(
            "A division needs the parent and a daughter.",
            safe="Nothing has changed.",
            remedy="Select both in the table, with Ctrl held.",
        )
    if frame < 1:
        raise LineageError(
            "No object divides in the first frame.",
            safe="Nothing has changed.",
            remedy="Go to the first frame of the daughters.",
        )
    begins = {number: min(frames.get(number, ()), default=frame) for number in chosen}
    decided = {number: annotations.decided(number) for number in chosen}
    earlier = [number for number in chosen if min(decided[number], default=frame) < frame]
    first = min(begins.values())
    frame = max(frame, sorted(begins.values())[1])
    candidates = earlier or [
        number for number in chosen if begins[number] == first and first < frame
    ]
    if len(candidates) != 1:
        named = ", ".join(map(str, candidates or chosen))
        raise LineageError(
            f"It is not clear which of the objects {named} is the parent.",
            safe="Nothing has changed.",
            remedy="Select one object that was there before this frame, and its daughters.",
        )
    (parent,) = candidates
    children = tuple(number for number in chosen if number != parent)
    goes_on = any(each >= frame for each in frames.get(parent, ()))
    if goes_on and len(children) == 1:
        return Divide(parent, (*children, new_id), frame, new_id)
    return Divide(parent, children, frame)
