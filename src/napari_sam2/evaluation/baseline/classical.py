"""The classical baseline: threshold and watershed from the same clicks, tracked by overlap."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.evaluation.baseline.flooding import flood
from napari_sam2.evaluation.baseline.grey_frame import Cut, GreyFrame
from napari_sam2.evaluation.baseline.seeds import Marks, clicked_seed, followed_seed
from napari_sam2.evaluation.label_masks import LabelMasks, MaskPatch
from napari_sam2.evaluation.metrics import Mask
from napari_sam2.evaluation.simulated_user import Click, ObjectPrompt, Pixel
from napari_sam2.labels.masks import box_of
from napari_sam2.stack import FrameStack

_LEAK = 1.5
"""An object that has grown to so many times its first radius has leaked into something else."""


class ClassicalSegmenter:
    """Segments a stack from prompts without any learning.

    In a frame with clicks, objects are grown by a watershed over the edges of the smoothed frame
    from the clicks of all of them, within a threshold whose side is chosen by the clicked pixel.
    From there each is followed from frame to frame, to half way to its next clicked frame: where
    its mask still is foreground it goes on. The threshold stays that of the clicked frame.

    Parameters
    ----------
    stack : FrameStack
    object_ids : iterable of int
        The objects that will be prompted.
    """

    def __init__(self, stack: FrameStack, object_ids: Iterable[int]) -> None:
        ids = sorted(object_ids)
        self._stack = stack
        self._labels: NDArray[Any] = np.zeros(stack.shape, np.min_scalar_type(max(ids, default=0)))
        self._marks: dict[int, dict[int, Marks]] = {}
        self._cuts: dict[int, Cut] = {}
        self._radii: dict[int, float] = {}
        self._read: tuple[int, GreyFrame] | None = None
        self.masks = LabelMasks(self._labels, ids)

    def prompt(self, prompt: ObjectPrompt) -> None:
        """Add the first prompt of an object."""
        grey = self._grey(prompt.frame)
        marks = Marks()
        if prompt.point is not None:
            marks.positive.append(_pixel(prompt.point))
            self._cuts[prompt.object_id] = grey.cut_at(marks.positive)
        if prompt.box is not None:
            y0, x0, y1, x1 = (round(side) for side in prompt.box)
            marks.box = (slice(y0, y1 + 1), slice(x0, x1 + 1))
            self._cuts[prompt.object_id] = grey.cut_in(marks.box)
        self._marks[prompt.object_id] = {prompt.frame: marks}

    def correct(self, object_id: int, frame: int, click: Click) -> None:
        """Add a corrective click."""
        marks = self._marks[object_id].get(frame)
        if marks is None:
            marks = Marks(self._patch(object_id, frame), radius=self._radii.get(object_id))
            self._marks[object_id][frame] = marks
        (marks.positive if click.positive else marks.negative).append(_pixel(click.point))

    @property
    def immediate(self) -> bool:
        """False: the clicks of all objects share a frame out among them."""
        return False

    def show(self, frames: Collection[int]) -> None:
        """Segment the objects that are clicked in some frames, in these frames alone."""
        for frame in sorted(frames):
            self._labels[frame] = 0
            self._segment(frame, [i for i, marks in self._marks.items() if frame in marks], 0)

    def planned(self) -> int:
        """Return the number of steps of the next `propagate`."""
        return 2 * self._stack.n_frames

    def propagate(self) -> Iterator[int]:
        """Segment all frames again from all prompts, up, then down; yield their numbers."""
        sources = {object_id: self._sources(object_id) for object_id in self._marks}
        self._labels[:] = 0
        for frame in range(self._stack.n_frames):
            below = [i for i, nearest in sources.items() if nearest[frame] <= frame]
            self._segment(frame, below, towards=-1)
            yield frame
        for frame in reversed(range(self._stack.n_frames)):
            above = [i for i, nearest in sources.items() if nearest[frame] > frame]
            self._segment(frame, above, towards=1)
            yield frame

    def _segment(self, frame: int, active: list[int], towards: int) -> None:
        """Segment the objects that have clicks in a frame or a mask in the neighbouring frame."""
        clicked = [i for i in active if frame in self._marks[i]]
        known: dict[int, MaskPatch] = {}
        if len(clicked) < len(active):
            known = {patch.object_id: patch for patch in self.masks.patches(frame + towards)}
        followed = [known[i] for i in active if i in known and i not in set(clicked)]
        if not clicked and not followed:
            return
        grey = self._grey(frame)
        seeds = [clicked_seed(grey, i, self._marks[i][frame], self._cuts[i]) for i in clicked]
        seeds += [followed_seed(grey, patch, self._cuts[patch.object_id]) for patch in followed]
        labels = self._labels[frame]
        for patch in flood(grey, [seed for seed in seeds if seed is not None], labels != 0):
            mask = patch.mask
            if patch.object_id not in clicked:
                mask = self._unleaked(patch, known[patch.object_id])
            elif frame == next(iter(self._marks[patch.object_id])):
                self._radii[patch.object_id] = patch.radius
            labels[patch.window][mask] = patch.object_id

    def _unleaked(self, patch: MaskPatch, before: MaskPatch) -> Mask:
        """Stop objects that have become far larger than they were first."""
        leaked = patch.radius > _LEAK * self._radii.get(patch.object_id, math.inf)
        return patch.shared(before) if leaked else patch.mask

    def _sources(self, object_id: int) -> NDArray[np.intp]:
        """Find the nearest frame in which the object itself was clicked, the earlier of two.

        Background clicks alone correct their frame, but what they leave is no better known.
        """
        marks = self._marks[object_id].items()
        clicked = np.array(sorted(frame for frame, each in marks if each.box or each.positive))
        frames = np.arange(self._stack.n_frames)
        nearest: NDArray[np.intp] = clicked[np.abs(frames[:, None] - clicked).argmin(axis=1)]
        return nearest

    def _patch(self, object_id: int, frame: int) -> MaskPatch | None:
        mask = self.masks.mask(object_id, frame)
        window = box_of(mask)
        return None if window is None else MaskPatch(object_id, window, mask[window])

    def _grey(self, frame: int) -> GreyFrame:
        if self._read is None or self._read[0] != frame:
            self._read = (frame, GreyFrame(self._stack.read(frame)))
        return self._read[1]


def _pixel(point: tuple[float, float]) -> Pixel:
    return round(point[0]), round(point[1])
