"""Prompts counted from another corner."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import PromptError
from napari_sam2.prompts import FramePrompt, PromptBook, moved_book

WHOLE = (4, 30, 40)


@given(y=st.integers(3, 12), x=st.integers(3, 12))
def test_there_and_back_again_is_the_same(y, x):
    book = PromptBook(WHOLE)
    book.put(1, 2, FramePrompt(((14.0, 15.5), (20.0, 14.0)), (True, False), rounds=(1, 1)))
    book.add_box(2, 0, (13, 14, 20, 22))
    mask = np.zeros(WHOLE[1:], bool)
    mask[15:18, 13:20] = True
    book.add_mask(3, 3, mask)
    part = moved_book(book, (y, x), (4, 18, 28))
    assert part.get(1, 2).points[0] == (14.0 - y, 15.5 - x)
    assert np.array_equal(part.get(3, 3).mask, mask[y : y + 18, x : x + 28])
    assert moved_book(part, (-y, -x), WHOLE) == book


def test_boxes_and_masks_are_cut_at_the_edges():
    book = PromptBook(WHOLE)
    book.add_box(1, 0, (2, 2, 20, 20))
    mask = np.zeros(WHOLE[1:], bool)
    mask[:, :20] = True
    book.add_mask(2, 0, mask)
    part = moved_book(book, (10, 10), (4, 15, 30))
    assert part.get(1, 0).box == (-0.5, -0.5, 10, 10)
    assert part.get(2, 0).mask.sum() == 15 * 10


@pytest.mark.parametrize("kind", ["point", "box", "mask", "frame"])
def test_prompts_outside_the_part_are_named(kind):
    book = PromptBook(WHOLE)
    mask = np.zeros(WHOLE[1:], bool)
    mask[0, 0] = True
    prompts = {
        "point": FramePrompt(points=((2, 2),)),
        "box": FramePrompt(box=(0, 0, 5, 5)),
        "mask": FramePrompt(mask=mask),
        "frame": FramePrompt(points=((15, 15),)),
    }
    book.put(7, 3, prompts[kind])
    frames = 2 if kind == "frame" else 4
    with pytest.raises(PromptError, match="object 7 in frame 3"):
        moved_book(book, (10, 10), (frames, 15, 30))
