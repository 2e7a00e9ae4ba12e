"""Results of a frame that are put together."""

from __future__ import annotations

import sys

import numpy as np
import psutil
import pytest

from napari_sam2.tracking.label_writer import merge
from napari_sam2.types import FrameMasks


def part(*object_ids: int, side: int = 12) -> FrameMasks:
    """Masks of a few pixels, each in a place of its own."""
    masks = np.zeros((len(object_ids), side, side), bool)
    for mask, number in zip(masks, object_ids, strict=True):
        mask[number % side, 2:5] = True
    scores = np.array(object_ids, np.float32)
    return FrameMasks(3, object_ids, masks, scores, scores / 2)


def test_parts_are_put_together_in_the_order_of_ids():
    merged = merge(3, [part(4, 9), part(), part(2, 7), part(5)])
    assert merged.object_ids == (2, 4, 5, 7, 9)
    assert merged.scores.tolist() == [2, 4, 5, 7, 9]
    for number, mask in zip(merged.object_ids, merged.masks, strict=True):
        np.testing.assert_array_equal(mask, part(number).masks[0])


@pytest.mark.skipif(sys.platform != "linux", reason="others count memory otherwise")
def test_what_is_empty_of_many_masks_takes_no_memory():
    parts = [part(number, side=2048) for number in range(1, 33)]
    before = psutil.Process().memory_info().rss
    merged = merge(3, parts)
    grown = psutil.Process().memory_info().rss - before
    assert merged.masks.nbytes == 32 * 2048**2
    assert grown < merged.masks.nbytes * 0.75
