"""Which objects go on from one volume to the next, and with which prompts.

Main thread only.
"""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.layers.prompt_reader import StackPrompts
from napari_sam2.widgets.layers.snapshot import UserState
from napari_sam2.widgets.state.positions import MaskKey, Place
from napari_sam2.widgets.state.session_spec import RunPlan
from napari_sam2.widgets.worker.messages import HandedOver


@dataclass(frozen=True, slots=True)
class VolumeArrival:
    """What the objects that were looked for are in their next volume.

    Attributes
    ----------
    painted : dict of MaskKey to FramePrompt or None
        Masks that are new, and None for those whose place they take.
    handed : frozenset of MaskKey
        The new ones.
    ended : tuple of int
        Objects that were there after an earlier run, and are no longer.
    """

    painted: dict[MaskKey, FramePrompt | None]
    handed: frozenset[MaskKey]
    ended: tuple[int, ...]


def going_on(
    prompts: StackPrompts, said: UserState, place: Place, there: Place, plan: RunPlan
) -> frozenset[int]:
    """Return the objects of a volume that go on: all but those decided in the next one."""
    known = frozenset(placed.object_id for placed in prompts.at(place))
    ids = known if plan.object_ids is None else known & plan.object_ids
    return ids - decided(prompts, said, there)


def arrival(prompts: StackPrompts, said: UserState, answer: HandedOver) -> VolumeArrival:
    """Work out what has become of the objects that were looked for.

    What the user has decided meanwhile is left alone.
    """
    there = answer.there
    free = answer.object_ids - decided(prompts, said, there)
    old = [spot for spot in said.handed if spot[0] == there and spot[1] in free]
    new = {(there, p.object_id, p.frame): p.prompt for p in answer.prompts if p.object_id in free}
    ended = {spot[1] for spot in old} - {spot[1] for spot in new}
    return VolumeArrival({**dict.fromkeys(old), **new}, frozenset(new), tuple(sorted(ended)))


def decided(prompts: StackPrompts, said: UserState, place: Place) -> frozenset[int]:
    """Return the objects of a stack that the user has prompted or accepted there."""
    own = {
        placed.object_id
        for placed in prompts.at(place)
        if placed.prompt.points
        or placed.prompt.box is not None
        or (place, *placed.place) not in said.handed
    }
    return frozenset(own | {number for number, _ in said.accepted_at(place)})
