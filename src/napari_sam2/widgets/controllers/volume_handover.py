"""Which objects go on from one volume to the next, and with which prompts.

Main thread only.
"""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.layers.prompt_reader import StackPrompts
from napari_sam2.widgets.layers.snapshot import UserState
from napari_sam2.widgets.state.positions import MaskKey, StackPosition
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
    prompts: StackPrompts,
    user_state: UserState,
    position: StackPosition,
    there: StackPosition,
    plan: RunPlan,
) -> frozenset[int]:
    """Return the objects of a volume that go on: all but those decided in the next one."""
    known = frozenset(placed.object_id for placed in prompts.at(position))
    ids = known if plan.object_ids is None else known & plan.object_ids
    return ids - decided(prompts, user_state, there)


def arrival(prompts: StackPrompts, user_state: UserState, answer: HandedOver) -> VolumeArrival:
    """Work out what has become of the objects that were looked for.

    What the user has decided meanwhile is left alone.
    """
    there = answer.there
    free = answer.object_ids - decided(prompts, user_state, there)
    old = [
        mask_key for mask_key in user_state.handed if mask_key[0] == there and mask_key[1] in free
    ]
    new = {(there, p.object_id, p.frame): p.prompt for p in answer.prompts if p.object_id in free}
    ended = {mask_key[1] for mask_key in old} - {mask_key[1] for mask_key in new}
    return VolumeArrival({**dict.fromkeys(old), **new}, frozenset(new), tuple(sorted(ended)))


def decided(
    prompts: StackPrompts, user_state: UserState, position: StackPosition
) -> frozenset[int]:
    """Return the objects of a stack that the user has prompted or accepted there."""
    own = {
        placed.object_id
        for placed in prompts.at(position)
        if placed.prompt.points
        or placed.prompt.box is not None
        or (position, *placed.object_frame) not in user_state.handed
    }
    return frozenset(own | {number for number, _ in user_state.accepted_at(position)})
