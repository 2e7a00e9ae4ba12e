"""The split of labelled stacks into training and held-out data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from napari_sam2.errors import TrainingError
from napari_sam2.network import Sam2
from napari_sam2.training.data.sources import LabelledStack, default_video_axes, median_diameter

_GUARD_FROM = 10
_MIN_SIDE = 16
_FEWEST_INSTANCES = 4


@dataclass(frozen=True, slots=True, eq=False)
class DataSplit:
    """Labelled data in two.

    Attributes
    ----------
    train, held_out : tuple of LabelledStack
        Never empty.
    """

    train: tuple[LabelledStack, ...]
    held_out: tuple[LabelledStack, ...]


def split_stacks(stacks: Sequence[LabelledStack], share: float, seed: int = 0) -> DataSplit:
    """Hold out some of the data, the same for the same names, share and seed.

    Whole stacks are held out from every group with several stacks, at least one in all. From a
    single stack one block of frames is held out, and a frame on either side is not used, because
    neighbouring frames are similar; from a single still, one of its ends.

    Parameters
    ----------
    stacks : sequence of LabelledStack
    share : float
        What part of the stacks, or of the one stack's frames, is held out; above 0, below 1.
    seed : int

    Raises
    ------
    TrainingError
        The share is impossible, or no object is left on one side.
    """
    if not 0.0 < share < 1.0:
        raise TrainingError(
            f"A share of {share:g} cannot be held out.", remedy="Give one between 0 and 1, as 0.2."
        )
    rng = np.random.default_rng(seed)
    if len(stacks) == 1:
        return _split_frames(stacks[0], share, rng)
    chosen = _chosen_stacks(stacks, share, rng)
    return DataSplit(
        tuple(stack for index, stack in enumerate(stacks) if index not in chosen),
        tuple(stack for index, stack in enumerate(stacks) if index in chosen),
    )


def labelled_instances(stacks: Sequence[LabelledStack]) -> int:
    """Count objects, once per frame that shows them."""
    return sum(
        int(np.count_nonzero(np.unique(frame))) for stack in stacks for frame in stack.labels
    )


def check_enough(stacks: Sequence[LabelledStack]) -> None:
    """Check that there is something to train on.

    Raises
    ------
    TrainingError
        There are too few objects, counted anew in every frame.
    """
    instances = labelled_instances(stacks)
    if instances < _FEWEST_INSTANCES:
        raise TrainingError(
            f"Only {instances} labelled objects, counted in every frame, are left to train on.",
            remedy=f"Label at least {_FEWEST_INSTANCES}; some dozens are a good start.",
        )


def _chosen_stacks(
    stacks: Sequence[LabelledStack], share: float, rng: np.random.Generator
) -> set[int]:
    groups: dict[str, list[int]] = {}
    for index, stack in enumerate(stacks):
        groups.setdefault(stack.group, []).append(index)
    several = [members for members in groups.values() if len(members) > 1]
    alone = [members[0] for members in groups.values() if len(members) == 1]
    chosen: set[int] = set()
    for members in (*several, alone):
        count = max(0, min(round(share * len(members)), len(members) - 1))
        chosen.update(rng.permutation(np.array(members, int))[:count].tolist())
    return chosen or {int(rng.integers(len(stacks)))}


def _split_frames(stack: LabelledStack, share: float, rng: np.random.Generator) -> DataSplit:
    still = len(stack.image) == 1
    axis = 1 + int(np.argmax(stack.image.shape[1:])) if still else 0
    length = stack.image.shape[axis]
    count = min(max(1, round(share * length)), length - 1)
    guard = 1 if not still and length >= _GUARD_FROM else 0
    starts = np.array([0, length - count]) if still else np.arange(length - count + 1)
    for start in rng.permutation(starts).tolist():
        held_out = _part(stack, axis, start, start + count)
        sides = (0, start - guard), (start + count + guard, length)
        train = [_part(stack, axis, begin, end) for begin, end in sides]
        kept = tuple(part for part in train if part is not None)
        if held_out is not None and kept:
            return DataSplit(kept, (held_out,))
    raise TrainingError(
        f"{stack.name} cannot be split into frames to train on and frames to validate on, "
        "with an object in both.",
        remedy="Label more frames or images, or give labelled data to validate on.",
    )


def _part(stack: LabelledStack, axis: int, start: int, stop: int) -> LabelledStack | None:
    """Cut a stack along an axis; None if too little or no object is left."""
    if stop - start < (_MIN_SIDE if axis else 1):
        return None
    window = (*(slice(None),) * axis, slice(start, stop))
    image, labels = stack.image[window], stack.labels[window]
    ids = np.unique(labels)
    if not ids.any():
        return None
    axes = default_video_axes(image.shape)
    return replace(
        stack,
        name=f"{stack.name}[{', '.join([':'] * axis + [f'{start}:{stop}'])}]",
        image=image,
        labels=labels,
        video_axes=tuple(a for a in axes if a in stack.video_axes),
        diameter=median_diameter(labels),
        n_objects=int(np.count_nonzero(ids)),
    )


@dataclass(frozen=True, slots=True)
class HeldOutIou:
    """Mean IoU over the objects of held-out data, 0..1.

    Attributes
    ----------
    click, box : float
        IoU of single frames, from one click or from the bounding box.
    tracked : float, optional
        IoU of short clips, from one click per object; None without stacks.
    """

    click: float
    box: float
    tracked: float | None = None

    @property
    def score(self) -> float:
        """Return the mean of all measured IoUs, by which models are compared."""
        return fmean(v for v in (self.click, self.box, self.tracked) if v is not None)


Measure = Callable[[Sam2], HeldOutIou]
"""Measures a network in evaluation mode on held-out data."""
