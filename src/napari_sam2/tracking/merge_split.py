"""Merging of two objects and splitting of one, in prompts, tracks and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.prompts import PromptBook
from napari_sam2.tracking.decoding.prediction import Conditioning
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.types import ObjectFrame

DecideMask = Callable[[ObjectTrack, int, NDArray[np.bool_]], Conditioning]
"""Makes a mask (Y, X) the decided mask of an object in a frame."""

MaskOf = Callable[[int, Sequence[int]], NDArray[np.bool_]]
"""Returns the pixels, bool (Y, X), of some objects in a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class SessionObjects:
    """The prompts and labels of all objects of a session.

    Attributes
    ----------
    prompts : PromptBook
    accepted : set of ObjectFrame
    mask_of : callable
    decide_mask : callable
    """

    prompts: PromptBook
    accepted: Set[ObjectFrame]
    mask_of: MaskOf
    decide_mask: DecideMask


@dataclass(frozen=True, slots=True, eq=False)
class MergeSplit:
    """The planned prompts, tracks and pixels of two objects after a merge or split.

    Attributes
    ----------
    tracks : tuple of ObjectTrack
        The remaining one or both objects.
    prompts : PromptBook
        Prompts of all objects.
    accepted : frozenset of ObjectFrame
        Accepted frames of these two.
    old, new : int
        Pixels of object `old` become pixels of object `new`.
    frames : tuple of int
        The frames in which they do.
    """

    tracks: tuple[ObjectTrack, ...]
    prompts: PromptBook
    accepted: frozenset[ObjectFrame]
    old: int
    new: int
    frames: tuple[int, ...]


def plan_merge(into: ObjectTrack, gone: ObjectTrack, objects: SessionObjects) -> MergeSplit:
    """Return the merge of two tracks; masks of their conditioning frames become mask prompts.

    Conditioning frames without a mask become accepted ones.
    """
    both = (into.object_id, gone.object_id)
    held = {pair.frame for pair in objects.accepted if pair.object_id in both}
    book, track = objects.prompts.copy(), into.copy()
    for each in both:
        if book.frames(each):
            book.remove(each)
    track.written |= gone.written
    track.span = min(into.span[0], gone.span[0]), max(into.span[1], gone.span[1])
    for frame in sorted(into.conditioning.keys() | gone.conditioning.keys()):
        mask = objects.mask_of(frame, both if gone.written[frame] else (into.object_id,))
        if not mask.any():
            held.add(frame)  # a prompt cannot say that the object is not there
        elif frame not in held:
            book.add_mask(into.object_id, frame, mask)
        track.accept(objects.decide_mask(track, frame, mask))
    track.done = into.done | gone.done
    return MergeSplit(
        (track,),
        book,
        frozenset(ObjectFrame(into.object_id, frame) for frame in held),
        old=gone.object_id,
        new=into.object_id,
        frames=tuple(np.flatnonzero(gone.written).tolist()),
    )


def plan_split(
    track: ObjectTrack, frame: int, new_id: int, last: int, objects: SessionObjects
) -> MergeSplit:
    """Return the split of a track at a frame: from there on, its masks belong to a new object.

    Neither object is tracked across that frame, unless the user decides a frame beyond it.

    The mask in the first frame of the new object becomes a mask prompt. So does the mask in the
    last frame of the old object, if no conditioning frame is left before the split.

    Parameters
    ----------
    track : ObjectTrack
    frame, new_id : int
    last : int
        The last frame before `frame` in which the object has pixels.
    objects : SessionObjects
    """
    old, new = track.copy(), track.another(new_id)
    book = objects.prompts.copy()
    for where in [f for f in track.conditioning if f >= frame]:
        new.conditioning[where] = old.conditioning.pop(where)
    new.done[frame:], old.done[frame:] = track.done[frame:], False
    new.written[frame:], old.written[frame:] = track.written[frame:], False
    begin, end = track.span
    old.span, new.span = (begin, frame), (frame, max(end, frame + 1))
    old.conditioning_memory.clear()
    old.forget_recent()
    for where in objects.prompts.frames(track.object_id):
        prompt = objects.prompts.get(track.object_id, where)
        if where >= frame and prompt is not None:
            book.remove(track.object_id, where)
            book.put(new_id, where, prompt)
    for each, where in ((new, frame), (old, last)):
        if where not in each.conditioning and (each is new or not each.conditioning):
            mask = objects.mask_of(where, (track.object_id,))
            book.add_mask(each.object_id, where, mask)
            each.accept(objects.decide_mask(each, where, mask))
    moved = np.flatnonzero(new.written).tolist()
    return MergeSplit(
        (old, new),
        book,
        frozenset(
            ObjectFrame(new_id if where in moved else each, where)
            for each, where in objects.accepted
            if each == track.object_id
        ),
        old=track.object_id,
        new=new_id,
        frames=tuple(moved),
    )
