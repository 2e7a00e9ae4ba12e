"""What the table says of each object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from napari_sam2.labels import FrameRecord
from napari_sam2.widgets.spec import Wanted


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
    records: Mapping[int, Iterable[FrameRecord]],
    names: Mapping[int, str],
    hidden: Collection[int],
) -> tuple[ObjectRow, ...]:
    """List all objects of a stack that are prompted, accepted or in the labels, by id.

    Parameters
    ----------
    wanted : Wanted
        Prompts and acceptance of the stack.
    records : mapping of int to records
        What is known, by object.
    names : mapping of int to str
    hidden : collection of int
    """
    prompts: Counter[int] = Counter()
    for placed in wanted.prompts:
        prompt = placed.prompt
        pieces = len(prompt.points) + (prompt.box is not None) + (prompt.mask is not None)
        prompts[placed.object_id] += pieces
    accepted = Counter(object_id for object_id, _ in wanted.accepted)
    rows = []
    for number in sorted(prompts.keys() | accepted.keys() | records.keys()):
        present = [record for record in records.get(number, ()) if record.area]
        scores = [record.score for record in present if record.score is not None]
        rows.append(
            ObjectRow(
                number,
                names.get(number, ""),
                prompts[number],
                len(present),
                min(scores, default=None),
                accepted[number],
                number in hidden,
            )
        )
    return tuple(rows)
