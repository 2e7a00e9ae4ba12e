"""The split of a session's masks into those for training and those held out to measure it."""

from __future__ import annotations

import math
from collections.abc import Collection, Set
from dataclasses import dataclass

import numpy as np

from napari_sam2.errors import TrainingError
from napari_sam2.types import ObjectFrame

FEWEST_MASKS = 4
"""With fewer masks nothing can be learnt and measured."""

_SHARE = 0.2
_LEAST = 2  # masks on either side
_OBJECTS = 3  # from so many on, whole objects are held out


@dataclass(frozen=True, slots=True)
class MaskSplit:
    """Objects and frames of masks in two.

    Attributes
    ----------
    train, held_out : frozenset of ObjectFrame
        Masks that lie between both belong to neither.
    """

    train: frozenset[ObjectFrame]
    held_out: frozenset[ObjectFrame]


def split_masks(
    pairs: Collection[ObjectFrame], decided: Set[ObjectFrame], seed: int = 0
) -> MaskSplit:
    """Hold out about a fifth of the masks, at least two, so that none is much like one trained on.

    The frames of an object are similar. With three or more objects, whole objects are held out.
    With fewer, consecutive frames at one end of those with masks are held out, and the neighbouring
    frame is not used.

    Parameters
    ----------
    pairs : collection of ObjectFrame
        Every mask.
    decided : set of ObjectFrame
        Masks that are the user's. The others, which the model made by itself, are held out only
        where there is no choice: on them the model that made them can hardly be beaten.
    seed : int

    Raises
    ------
    TrainingError
        There are too few masks, or too much alike.
    """
    if len(pairs) < FEWEST_MASKS:
        raise TrainingError(
            f"Only {len(pairs)} accepted or prompted masks are there to learn from.",
            remedy=f"Accept at least {FEWEST_MASKS}; a dozen is a good start.",
        )
    wanted = max(_LEAST, math.ceil(_SHARE * len(pairs)))
    objects = {pair.object_id for pair in pairs}
    if len(objects) >= _OBJECTS:
        return _by_object(pairs, decided, wanted, np.random.default_rng(seed))
    return _by_frame(pairs, wanted)


def _by_object(
    pairs: Collection[ObjectFrame],
    decided: Set[ObjectFrame],
    wanted: int,
    rng: np.random.Generator,
) -> MaskSplit:
    masks: dict[int, set[ObjectFrame]] = {}
    for pair in sorted(pairs):
        masks.setdefault(pair.object_id, set()).add(pair)
    order = rng.permutation(sorted(masks)).tolist()
    # Stable: at random among the objects that serve equally well.
    order.sort(key=lambda number: (not masks[number] & decided, len(masks[number]) > 2 * wanted))
    held_out: set[ObjectFrame] = set()
    for number in order:
        rest = len(pairs) - len(held_out) - len(masks[number])
        if len(held_out) < wanted and rest >= _LEAST:
            held_out |= masks[number]
    if len(held_out) < _LEAST:  # one object has all masks but a few
        return _by_frame(pairs, wanted)
    return MaskSplit(frozenset(pairs) - held_out, _measurable(held_out, decided))


def _by_frame(pairs: Collection[ObjectFrame], wanted: int) -> MaskSplit:
    frames = sorted({pair.frame for pair in pairs})
    counts = {frame: sum(pair.frame == frame for pair in pairs) for frame in frames}
    held, at = 0, len(frames)
    while at > 0 and held < wanted:
        at -= 1
        held += counts[frames[at]]
    first = frames[at]
    split = MaskSplit(
        frozenset(pair for pair in pairs if pair.frame < first - 1),
        frozenset(pair for pair in pairs if pair.frame >= first),
    )
    if len(split.train) < _LEAST:
        raise TrainingError(
            "The masks are too much alike to learn from some and to measure on others: they "
            "belong to one or two objects in a few frames beside each other.",
            remedy="Accept masks of more objects, or in frames farther away.",
        )
    return split


def _measurable(held_out: Set[ObjectFrame], decided: Set[ObjectFrame]) -> frozenset[ObjectFrame]:
    """Leave out masks without a user's correction, if enough others remain."""
    own = held_out & decided
    return frozenset(own if len(own) >= _LEAST else held_out)
