"""Translation of prompts between the coordinates of two windows of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.prompts.book import PromptBook
from napari_sam2.prompts.frame_prompt import FramePrompt


def moved_book(book: PromptBook, origin: tuple[int, int], shape: Sequence[int]) -> PromptBook:
    """Return prompts as they are in a part of their frames, or in frames that theirs are part of.

    Parameters
    ----------
    book : PromptBook
    origin : (y, x)
        Pixel of the book's frames that is the first one of the new frames; negative where
        these reach further.
    shape : (T, Y, X)
        Frames, and rows and columns of the new ones.

    Raises
    ------
    PromptError
        A prompt is not inside the new frames; boxes and masks are cut at their edges.
    """
    moved = PromptBook(shape)
    for object_id, frame, prompt in book:
        try:
            moved.put(object_id, frame, _moved(prompt, origin, moved.shape[1:]))
        except PromptError as error:
            raise PromptError(
                f"The prompt of object {object_id} in frame {frame} is not inside the part of the "
                f"image that begins at (y, x) = {origin}: {error.happened}",
                remedy="Choose a part that holds all prompts, or leave this one out.",
            ) from error
    return moved


def _moved(prompt: FramePrompt, origin: tuple[int, int], shape: tuple[int, int]) -> FramePrompt:
    y, x = origin
    box = prompt.box
    return replace(
        prompt,
        points=tuple((row - y, column - x) for row, column in prompt.points),
        box=None if box is None else (box[0] - y, box[1] - x, box[2] - y, box[3] - x),
        mask=None if prompt.mask is None else moved_mask(prompt.mask, origin, shape),
    )


def moved_mask(
    mask: NDArray[np.bool_], origin: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return a mask as it is in other frames; see `moved_book`. What they do not hold is cut."""
    cut = np.zeros(shape, bool)
    sides = list(zip(origin, mask.shape, shape, strict=True))
    there = tuple(slice(max(0, o), max(0, min(size, o + n))) for o, size, n in sides)
    here = tuple(slice(max(0, -o), max(0, min(n, size - o))) for o, size, n in sides)
    cut[here] = mask[there]
    return cut
