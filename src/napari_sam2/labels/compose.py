"""Composition of new masks with the labels of one frame, as pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels.masks import Box, box_of, placed, spanning, within

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """New labels for a part of a frame.

    Attributes
    ----------
    box : Box
        Rows and columns.
    labels : ndarray of int, shape of the box
    """

    box: Box
    labels: Labels

    def on(self, frame: Labels) -> Labels:
        """Return a copy of the labels of a frame, (Y, X), with this part as it is here."""
        patched = frame.copy()
        patched[self.box] = self.labels
        return patched


def compose_frame(
    labels: Labels,
    object_ids: Sequence[int],
    masks: NDArray[np.bool_],
    protected: Collection[int] = (),
    boxes: Sequence[Box | None] | None = None,
) -> Patch | None:
    """Set these objects to these masks in the labels of a frame.

    Old pixels of the given objects become background unless a new mask covers them; pixels of
    other objects stay theirs unless a new mask covers them.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Current labels of the frame, which are not changed.
    object_ids : sequence of int
    masks : ndarray of bool, shape (N, Y, X)
        One per id. Where masks overlap, the later one gets the pixel.
    protected : collection of int
        Ids whose pixels stay exactly as they are, even where a mask covers them.
    boxes : sequence of N Box or None, optional
        A box of each mask that holds all of it; None where it is empty. Found here by default.

    Returns
    -------
    Patch or None
        The change within its bounding box; None if nothing changes.
    """
    free = [i for i, number in enumerate(object_ids) if number not in protected]
    held = [box_of(masks[i]) if boxes is None else boxes[i] for i in free]
    # What is neither labelled nor covered stays background: it is not looked at again.
    part = spanning([box_of(labels), *held])
    if part is None:
        return None
    old = labels[part]
    new = np.where(_belongs_to(old, [object_ids[i] for i in free]), 0, old)
    for i, box in zip(free, held, strict=True):
        if box is not None:
            np.copyto(new[within(box, part)], labels.dtype.type(object_ids[i]), where=masks[i][box])
    if protected:
        np.copyto(new, old, where=_belongs_to(old, protected))
    changed = box_of(new != old)
    if changed is None:
        return None
    return Patch(placed(changed, part), new[changed])


def without(labels: Labels, object_ids: Collection[int]) -> Labels:
    """Return the labels of a frame, (Y, X), as if these objects were not in it."""
    left = labels.copy()
    part = box_of(labels)
    if part is not None:
        left[part][_belongs_to(labels[part], object_ids)] = 0
    return left


def pixels_of(labels: Labels, object_ids: Collection[int]) -> NDArray[np.bool_]:
    """Return the pixels, bool (Y, X), that some objects have in the labels of a frame."""
    pixels = np.zeros(labels.shape, dtype=bool)
    part = box_of(labels) if object_ids else None
    if part is not None:
        pixels[part] = _belongs_to(labels[part], object_ids)
    return pixels


def _belongs_to(labels: Labels, object_ids: Collection[int]) -> NDArray[np.bool_]:
    numbers = np.fromiter(object_ids, dtype=labels.dtype, count=len(object_ids))
    if len(numbers) == 1:
        one: NDArray[np.bool_] = labels == numbers[0]
        return one
    return np.isin(labels, numbers)
