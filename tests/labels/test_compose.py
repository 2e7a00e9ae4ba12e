from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.labels.masks import box_of
from napari_sam2.labels.volume import compose_frame, pixels_of, without

frames = hnp.arrays(np.uint8, (4, 5), elements=st.integers(0, 4))
mask_stacks = hnp.arrays(bool, (3, 4, 5))


@settings(max_examples=50, deadline=None)
@given(frames, mask_stacks, st.permutations([1, 2, 3, 4, 5]), st.sets(st.integers(1, 5)))
def test_every_pixel_follows_the_rule(labels, masks, order, protected):
    ids = order[:3]
    before = labels.copy()
    patch = compose_frame(labels, ids, masks, protected)
    composed = labels if patch is None else patch.applied_to(labels)
    np.testing.assert_array_equal(labels, before)
    for place in np.ndindex(labels.shape):
        claims = [
            number
            for number, mask in zip(ids, masks, strict=True)
            if mask[place] and number not in protected
        ]
        old = int(labels[place])
        if old in protected:
            expected = old
        elif claims:
            expected = claims[-1]
        else:
            expected = 0 if old in ids and old not in protected else old
        assert composed[place] == expected


def test_no_objects_change_nothing():
    labels = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert compose_frame(labels, (), np.zeros((0, 2, 3), bool)) is None


@settings(max_examples=50, deadline=None)
@given(frames, mask_stacks)
def test_a_patch_is_what_changes_and_no_more(labels, masks):
    patch = compose_frame(labels, (1, 2, 3), masks)
    if patch is not None:
        changed = patch.applied_to(labels) != labels
        assert patch.box == box_of(changed)


@settings(max_examples=50, deadline=None)
@given(frames, mask_stacks, st.lists(st.booleans(), min_size=3, max_size=3))
def test_boxes_that_are_known_change_nothing(labels, masks, whole):
    everything = slice(0, 4), slice(0, 5)
    boxes = [everything if wide else box_of(m) for wide, m in zip(whole, masks, strict=True)]
    told = compose_frame(labels, (1, 2, 3), masks, boxes=boxes)
    found = compose_frame(labels, (1, 2, 3), masks)
    assert (told is None) == (found is None)
    if told is not None and found is not None:
        assert told.box == found.box
        np.testing.assert_array_equal(told.labels, found.labels)


@settings(max_examples=50, deadline=None)
@given(frames, st.sets(st.integers(1, 5)))
def test_objects_are_told_apart_from_the_others(labels, ids):
    theirs = np.isin(labels, list(ids))
    np.testing.assert_array_equal(pixels_of(labels, ids), theirs)
    np.testing.assert_array_equal(without(labels, ids), np.where(theirs, 0, labels))
